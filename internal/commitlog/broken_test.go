package commitlog

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// A server that is killed while it sends a file ends the connection early. The
// file is as good as before.
func TestAConnectionThatBreaksIsNoCorruption(t *testing.T) {
	t.Parallel()
	raw := testFile(t, 7, 3).Raw
	for _, cause := range []error{io.ErrUnexpectedEOF, io.EOF} {
		for n := range len(raw) {
			down := objstore.Trouble(objstore.ErrDown, cause)
			r, err := NewReader(io.MultiReader(bytes.NewReader(raw[:n]), iotest.ErrReader(down)), 0)
			for data := make([]byte, PageSize); err == nil; {
				_, err = r.Next(data)
			}
			if errors.Is(err, ErrCorrupt) || errors.Is(err, io.EOF) || !errors.Is(err, objstore.ErrDown) {
				t.Fatalf("broken by %v after %d bytes of %d: %v, want the store's trouble", cause, n, len(raw), err)
			}
		}
	}
}
