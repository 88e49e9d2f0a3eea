package objstore_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestSubPassesTheSuite(t *testing.T) {
	t.Parallel()
	objstoretest.Run(t, func(t *testing.T) objstore.Bucket {
		b := new(mem.Bucket)
		for _, key := range []string{"p", "p0/x", "o/x", "p-/x"} { // neighbours that must stay out of sight
			if _, err := b.Create(t.Context(), key+"/neighbour", strings.NewReader("n")); err != nil {
				t.Fatal(err)
			}
		}
		s, err := objstore.Sub(b, "p/q/")
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestSubRefusesABadPrefix(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"..", "a//b", "/a", "a b", strings.Repeat("p", 113)} {
		if _, err := objstore.Sub(new(mem.Bucket), prefix); !errors.Is(err, objstore.ErrInvalidKey) {
			t.Errorf("Sub(%q) = %v, want ErrInvalidKey", prefix, err)
		}
	}
}

// liar breaks one promise, as real stores have been seen to.
type liar struct {
	objstore.Bucket
	create func(ctx context.Context, key string, r io.ReadSeeker) (objstore.Info, error)
	get    func(ctx context.Context, key string) ([]byte, objstore.Info, error)
	span   func(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error)
	list   func(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, bool, error)
	del    func(ctx context.Context, keys ...string) error
	check  func(context.Context) error
}

func (l liar) Create(ctx context.Context, key string, r io.ReadSeeker) (objstore.Info, error) {
	if l.create != nil {
		return l.create(ctx, key, r)
	}
	return l.Bucket.Create(ctx, key, r)
}

func (l liar) Get(ctx context.Context, key string) ([]byte, objstore.Info, error) {
	if l.get != nil {
		return l.get(ctx, key)
	}
	return l.Bucket.Get(ctx, key)
}

func (l liar) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error) {
	if l.span != nil {
		return l.span(ctx, key, off, n)
	}
	return l.Bucket.GetRange(ctx, key, off, n)
}

func (l liar) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, bool, error) {
	if l.list != nil {
		return l.list(ctx, prefix, after, limit)
	}
	return l.Bucket.List(ctx, prefix, after, limit)
}

func (l liar) Delete(ctx context.Context, keys ...string) error {
	if l.del != nil {
		return l.del(ctx, keys...)
	}
	return l.Bucket.Delete(ctx, keys...)
}

func (l liar) Check(ctx context.Context) error {
	if l.check != nil {
		return l.check(ctx)
	}
	return nil
}

func TestSelfTestNamesTheBrokenPromise(t *testing.T) {
	t.Parallel()
	denied := objstore.Trouble(objstore.ErrDenied, errors.New("403"))
	for _, c := range []struct {
		name string
		make func(*mem.Bucket) liar
		want string
	}{
		{"versioned OSS overwrites in spite of the header", func(b *mem.Bucket) liar { return liar{create: b.Put} }, "does not create conditionally"},
		{"a store that compares only what is older", func(b *mem.Bucket) liar {
			var n atomic.Int32
			return liar{create: func(ctx context.Context, key string, r io.ReadSeeker) (objstore.Info, error) {
				i, err := b.Create(ctx, key, r)
				if n.Add(1) > 4 && err != nil {
					return objstore.Info{}, nil
				}
				return i, err
			}}
		}, "does not refuse to create what exists"},
		{"refused, yet overwritten", func(b *mem.Bucket) liar {
			var n atomic.Int32
			return liar{create: func(ctx context.Context, key string, r io.ReadSeeker) (objstore.Info, error) {
				i, err := b.Create(ctx, key, r)
				if n.Add(1) > 4 && err != nil {
					_, _ = b.Put(ctx, key, r)
				}
				return i, err
			}}
		}, "changed an object although it refused to"},
		{"absence is remembered", func(b *mem.Bucket) liar {
			gone := map[string]bool{}
			return liar{get: func(ctx context.Context, key string) ([]byte, objstore.Info, error) {
				data, i, err := b.Get(ctx, key)
				if gone[key] = gone[key] || err != nil; gone[key] {
					return nil, objstore.Info{}, objstore.ErrNotExist
				}
				return data, i, err
			}}
		}, "does not return what was just created"},
		{"the list lags", func(b *mem.Bucket) liar {
			return liar{list: func(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, bool, error) {
				infos, more, err := b.List(ctx, prefix, after, limit)
				return infos[:max(0, len(infos)-1)], more, err
			}}
		}, "does not list what was just created"},
		{"the list has no order", func(b *mem.Bucket) liar {
			return liar{list: func(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, bool, error) {
				infos, more, err := b.List(ctx, prefix, after, limit)
				if len(infos) == 2 {
					infos[0], infos[1] = infos[1], infos[0]
				}
				return infos, more, err
			}}
		}, "does not list what was just created, in order"},
		{"after is ignored", func(b *mem.Bucket) liar {
			return liar{list: func(ctx context.Context, prefix, _ string, limit int) ([]objstore.Info, bool, error) {
				return b.List(ctx, prefix, "", limit)
			}}
		}, "in order"},
		{"a proxy drops Range", func(b *mem.Bucket) liar {
			return liar{span: func(ctx context.Context, key string, _, _ int64) ([]byte, objstore.Info, error) {
				return b.Get(ctx, key)
			}}
		}, "does not read ranges"},
		{"writing is forbidden", func(*mem.Bucket) liar {
			return liar{create: func(context.Context, string, io.ReadSeeker) (objstore.Info, error) { return objstore.Info{}, denied }}
		}, "cannot create objects"},
		{"reading is forbidden", func(*mem.Bucket) liar {
			return liar{get: func(context.Context, string) ([]byte, objstore.Info, error) { return nil, objstore.Info{}, denied }}
		}, "cannot be read"},
		{"deleting is forbidden", func(*mem.Bucket) liar {
			return liar{del: func(context.Context, ...string) error { return denied }}
		}, "cannot delete"},
		{"the bucket says itself", func(*mem.Bucket) liar {
			return liar{check: func(context.Context) error { return errors.New("versioning is enabled") }}
		}, "is not fit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := new(mem.Bucket)
			l := c.make(b)
			l.Bucket = b
			err := objstore.SelfTest(t.Context(), l, "control")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("SelfTest = %v, want it to say %q", err, c.want)
			}
			if got := kb.KindOf(err); got != kb.Unavailable {
				t.Errorf("kind = %v, want Unavailable", got)
			}
			if infos, _, _ := b.List(t.Context(), "", "", 10); len(infos) > 0 && l.del == nil {
				t.Errorf("left behind: %v", infos)
			}
		})
	}
}

func TestSelfTestTakesAboutTenRoundTrips(t *testing.T) {
	t.Parallel()
	m := objstoretest.NewMeter(new(mem.Bucket), 0)
	if err := objstore.SelfTest(t.Context(), m, "control"); err != nil {
		t.Fatal(err)
	}
	if u := m.Usage(); u.Depth > 14 {
		t.Errorf("SelfTest took %s", u)
	}
}

func TestTroubleIsNamed(t *testing.T) {
	t.Parallel()
	cause := errors.New("SlowDown: reduce your request rate")
	err := objstore.Trouble(objstore.ErrThrottled, cause)
	var e *kb.Error
	if !errors.As(err, &e) || e.Kind != kb.Unavailable || e.Retry < time.Second || strings.Contains(e.Msg, "SlowDown") {
		t.Errorf("Trouble = %+v", e)
	}
	if !errors.Is(err, cause) || objstore.Reason(err) != "throttled" || objstore.Reason(cause) != "" {
		t.Errorf("Trouble loses its cause or name: %v", err)
	}
}

func FuzzKeysThatAreValidHaveValidPrefixes(f *testing.F) {
	for _, s := range []string{"a", "a/b.c/_-", "..", "a/../b", "a/", "", "/", "ä", "..x/y", "a/.", strings.Repeat("k", 256)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if objstore.ValidateKey(key) != nil {
			return
		}
		for i := range len(key) + 1 {
			if err := objstore.ValidatePrefix(key[:i]); err != nil {
				t.Errorf("key %q is valid, its start %q is not: %v", key, key[:i], err)
			}
		}
		for seg := range strings.SplitSeq(key, "/") {
			if seg == "" || seg == "." || seg == ".." || len(seg) > 255 || strings.ContainsAny(seg, "~\\ %\x00") {
				t.Errorf("key %q passed with segment %q", key, seg)
			}
		}
	})
}

func FuzzSpanStaysWithinTheObject(f *testing.F) {
	f.Add(int64(10), int64(-3), int64(2))
	f.Add(int64(0), int64(5), int64(1<<62))
	f.Add(int64(1<<40), int64(-1<<63), int64(1<<63-1))
	f.Fuzz(func(t *testing.T, size, off, n int64) {
		if size < 0 {
			return
		}
		start, length, err := objstore.Span(size, off, n)
		if err == nil && (start < 0 || length < 0 || start+length > size || length > n || length > objstore.MaxGet) {
			t.Errorf("Span(%d, %d, %d) = %d, %d", size, off, n, start, length)
		}
	})
}
