// Package ranges reads objects over HTTP: Get, GetRange and Open of an
// objstore.Bucket from the one request that S3 and OSS have, GET with a Range.
// It checks every answer against what was asked, tries reads again within
// bounds, and goes on with streams that break.
package ranges

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// ErrUnsatisfiable is what Reader.Get returns for status 416.
var ErrUnsatisfiable = errors.New("the range begins after the end of the object")

// Reader reads objects by its two functions, which send one request each.
type Reader struct {
	// Get sends one GET. header is a Range or empty; etag is an If-Match or empty.
	Get func(ctx context.Context, key, header, etag string) (Answer, error)
	// Head describes an object; it is asked when a range was unsatisfiable.
	Head func(ctx context.Context, key string) (objstore.Info, error)
	// Trouble turns an error of a body into one of the store's.
	Trouble func(ctx context.Context, what string, err error) error
}

// Answer to a GET, as it came.
type Answer struct {
	Body           io.ReadCloser
	Length         int64  // Content-Length
	Range          string // Content-Range, or empty
	ETag           string
	Modified, Date time.Time
}

func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return objstore.ValidateKey(key)
}

// Whole is Bucket.Get.
func (r Reader) Whole(ctx context.Context, key string) ([]byte, objstore.Info, error) {
	return r.read(ctx, key, "", func(size int64) (int64, int64, error) {
		if size > objstore.MaxGet {
			return 0, 0, objstore.ErrTooLarge
		}
		return 0, size, nil
	})
}

// Part is Bucket.GetRange.
func (r Reader) Part(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error) {
	if _, _, err := objstore.Span(0, off, n); err != nil {
		return nil, objstore.Info{}, err
	}
	if n == 0 { // HTTP has no empty ranges
		_, info, err := r.Part(ctx, key, 0, 1)
		return nil, info, err
	}
	// One byte above the bound, so that a longer range is seen to be one.
	header := Header(off, min(n, objstore.MaxGet+1))
	return r.read(ctx, key, header, func(size int64) (int64, int64, error) { return objstore.Span(size, off, n) })
}

// Header asks for n bytes from off; of a suffix it can only ask for all.
func Header(off, n int64) string {
	switch {
	case off < 0:
		return "bytes=-" + strconv.FormatInt(-max(off, -math.MaxInt64), 10)
	case n > math.MaxInt64-off:
		return fmt.Sprintf("bytes=%d-", off)
	default:
		return fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	}
}

// read gets the bytes that span chooses, knowing the object's size, of those
// that header asks for.
func (r Reader) read(ctx context.Context, key, header string, span func(size int64) (start, n int64, err error)) (data []byte, info objstore.Info, err error) {
	if err := check(ctx, key); err != nil {
		return nil, objstore.Info{}, err
	}
	err = objstore.Retry(ctx, func() error {
		a, start, i, err := r.open(ctx, key, header, "")
		if err != nil {
			return err
		}
		defer a.Body.Close()
		from, n, err := span(i.Size)
		if err != nil {
			return fmt.Errorf("get %s, %d bytes: %w", key, i.Size, err)
		}
		if from != start && n > 0 {
			return fmt.Errorf("get %s: asked for %s, the store sent from byte %d", key, header, start)
		}
		data, info = make([]byte, n), i
		if _, err := io.ReadFull(a.Body, data); err != nil {
			return r.Trouble(ctx, "get "+key, err)
		}
		return nil
	})
	if errors.Is(err, ErrUnsatisfiable) { // beyond the end, or an empty object
		info, err = r.head(ctx, key)
		return nil, info, err
	}
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return data, info, nil
}

// open sends one GET and says where in the object the body begins.
func (r Reader) open(ctx context.Context, key, header, etag string) (a Answer, start int64, info objstore.Info, err error) {
	a, err = r.Get(ctx, key, header, etag)
	if err != nil {
		return Answer{}, 0, objstore.Info{}, err
	}
	info = objstore.Info{Key: key, Size: a.Length, Modified: a.Modified.UTC(), Date: a.Date.UTC()}
	if header != "" && (a.Range != "" || a.Length > 0) {
		start, info.Size, err = parseContentRange(a.Range)
	} else if a.Length < 0 {
		err = errors.New("the store did not say how long the object is")
	}
	if err != nil {
		a.Body.Close()
		return Answer{}, 0, objstore.Info{}, fmt.Errorf("get %s %s: %w", key, header, err)
	}
	return a, start, info, nil
}

// parseContentRange parses "bytes 0-9/100".
func parseContentRange(s string) (start, size int64, err error) {
	span, total, ok1 := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	first, last, ok2 := strings.Cut(span, "-")
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	size, err3 := strconv.ParseInt(total, 10, 64)
	if !ok1 || !ok2 || errors.Join(err1, err2, err3) != nil || start < 0 || end < start || end >= size {
		return 0, 0, fmt.Errorf("the store ignored the range, or a proxy dropped it: Content-Range is %q", s)
	}
	return start, size, nil
}

func (r Reader) head(ctx context.Context, key string) (info objstore.Info, err error) {
	err = objstore.Retry(ctx, func() error {
		info, err = r.Head(ctx, key)
		return err
	})
	return info, err
}

// Stream is Bucket.Open.
func (r Reader) Stream(ctx context.Context, key string, off int64) (io.ReadCloser, objstore.Info, error) {
	if err := check(ctx, key); err != nil {
		return nil, objstore.Info{}, err
	}
	header := ""
	if off != 0 {
		header = Header(off, math.MaxInt64)
	}
	var a Answer
	var start int64
	var info objstore.Info
	err := objstore.Retry(ctx, func() (err error) {
		a, start, info, err = r.open(ctx, key, header, "")
		return err
	})
	if errors.Is(err, ErrUnsatisfiable) {
		if info, err = r.head(ctx, key); err == nil {
			return io.NopCloser(strings.NewReader("")), info, nil
		}
	}
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return objstore.Resume(ctx, a.Body, start, func(pos int64) (io.ReadCloser, error) {
		if pos == info.Size { // it broke after the last byte
			return io.NopCloser(strings.NewReader("")), nil
		}
		more, at, _, err := r.open(ctx, key, Header(pos, math.MaxInt64), a.ETag)
		if err == nil && at != pos {
			more.Body.Close()
			return nil, fmt.Errorf("get %s: asked to go on at %d, the store sent from byte %d", key, pos, at)
		}
		return more.Body, err
	}), info, nil
}
