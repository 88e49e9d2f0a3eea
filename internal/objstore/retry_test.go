package objstore_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

func TestRetryIsBoundedAndOnlyForWhatMayPass(t *testing.T) {
	t.Parallel()
	down := objstore.Trouble(objstore.ErrDown, errors.New("reset"))
	for _, c := range []struct {
		name string
		errs []error // of the tries, the last for ever
		want int
	}{
		{"success", []error{nil}, 1},
		{"down and up again", []error{down, objstore.Trouble(objstore.ErrThrottled, nil), nil}, 3},
		{"down for ever", []error{down}, 4},
		{"an answer", []error{objstore.ErrNotExist}, 1},
		{"denied", []error{objstore.Trouble(objstore.ErrDenied, nil)}, 1},
		{"undecided", []error{objstore.Trouble(objstore.ErrConflict, nil)}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, start := 0, time.Now()
				err := objstore.Retry(t.Context(), func() error {
					n++
					return c.errs[min(n, len(c.errs))-1]
				})
				if want := c.errs[len(c.errs)-1]; !errors.Is(err, want) || n != c.want {
					t.Errorf("Retry = %v after %d tries, want %v after %d", err, n, want, c.want)
				}
				if d := time.Since(start); d > 700*time.Millisecond {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := objstore.Retry(ctx, func() error {
			n++
			cancel()
			return down
		})
		if n != 1 || !errors.Is(err, objstore.ErrDown) {
			t.Errorf("with an ended context: %v after %d tries", err, n)
		}
	})
}

func TestResumeGivesUpWithoutProgress(t *testing.T) {
	t.Parallel()
	broken := func(s string) io.ReadCloser {
		return io.NopCloser(io.MultiReader(strings.NewReader(s), iotest.ErrReader(errors.New("reset"))))
	}
	var asked []int64
	r := objstore.Resume(t.Context(), broken("01"), 0, func(pos int64) (io.ReadCloser, error) {
		asked = append(asked, pos)
		if pos == 2 && len(asked) == 1 {
			return broken("23"), nil
		}
		return nil, objstore.Trouble(objstore.ErrDown, nil)
	})
	got, err := io.ReadAll(r)
	if string(got) != "0123" || !errors.Is(err, objstore.ErrDown) || len(asked) != 4 || asked[3] != 4 {
		t.Errorf("read %q, %v, asked from %v", got, err, asked)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r = objstore.Resume(ctx, broken(""), 0, func(int64) (io.ReadCloser, error) { panic("asked again") })
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Read with an ended context = %v", err)
	}
}

func TestBodyIsLetGoOf(t *testing.T) {
	t.Parallel()
	text := strings.NewReader("some text")
	if _, err := text.Seek(4, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	b, err := objstore.NewBody(text)
	if err != nil || b.Size != 9 {
		t.Fatalf("NewBody = %d bytes, %v", b.Size, err)
	}
	p := make([]byte, 4)
	if n, err := b.Read(p); n != 4 || err != nil || string(p) != "some" {
		t.Errorf("Read = %q, %v", p[:n], err)
	}
	if err := b.Release(); err != nil {
		t.Errorf("Release = %v", err)
	}
	if n, err := b.Read(p); n != 0 || err == nil || text.Len() != 5 {
		t.Errorf("Read after Release = %d, %v; %d bytes left", n, err, text.Len())
	}
	if _, err := b.Seek(0, io.SeekStart); err == nil || text.Len() != 5 {
		t.Errorf("Seek after Release = %v", err)
	}
	lost := errors.New("lost")
	b, _ = objstore.NewBody(struct {
		io.Reader
		io.Seeker
	}{iotest.ErrReader(lost), text})
	if _, err := io.ReadAll(b); !errors.Is(err, lost) {
		t.Errorf("ReadAll = %v", err)
	}
	if err := b.Release(); !errors.Is(err, lost) {
		t.Errorf("Release = %v, want the body's own error", err)
	}
}
