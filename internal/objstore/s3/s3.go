// Package s3 is the bucket on Amazon S3 or a server compatible with it. It
// needs If-None-Match on PutObject (AWS has it since August 2024), strong
// consistency and versioning switched off; Check and objstore.SelfTest tell.
// The design is DESIGN §4, the traps are in facts/storage.md §6 and §7.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go/middleware"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/transport"
)

// Bucket is an objstore.Bucket on S3. Make it with New.
type Bucket struct {
	cfg    Config
	client func() *sdk.Client // made at the first request: cold starts have better to do
}

var (
	_ objstore.Bucket    = (*Bucket)(nil)
	_ objstore.Checker   = (*Bucket)(nil)
	_ objstore.Presigner = (*Bucket)(nil)
)

// Open returns the bucket at cfg, with keys below cfg.Prefix. It sends
// nothing.
func Open(cfg Config) (objstore.Bucket, error) {
	b, err := New(cfg)
	if err != nil {
		return nil, err
	}
	return objstore.Sub(b, cfg.Prefix)
}

// New returns the whole bucket at cfg, whatever its Prefix. It sends nothing.
func New(cfg Config) (*Bucket, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Credentials == nil {
		return nil, kb.E(kb.Invalid, nil, "storage.url: %s needs an access key and its secret", cfg.Bucket)
	}
	b := &Bucket{cfg: cfg}
	b.client = sync.OnceValue(b.newClient)
	return b, nil
}

func (b *Bucket) newClient() *sdk.Client {
	o := sdk.Options{
		Region:       b.cfg.Region,
		UsePathStyle: b.cfg.PathStyle,
		Credentials:  aws.NewCredentialsCache(retrieve(b.cfg.Credentials)),
		HTTPClient:   transport.New(b.cfg.Stall),
		// One attempt each: a retried conditional write turns its own success
		// into "exists", and reads are retried here, bodies included.
		Retryer: aws.NopRetryer{},
		// Compatible servers refuse the trailing checksums of the default.
		RequestChecksumCalculation:                aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation:                aws.ResponseChecksumValidationWhenRequired,
		DisableLogOutputChecksumValidationSkipped: true,
	}
	if b.cfg.Endpoint != "" {
		o.BaseEndpoint = aws.String(b.cfg.Endpoint)
	}
	return sdk.New(o)
}

func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return objstore.ValidateKey(key)
}

// date is the server's clock in its answer.
func date(m smithy.Metadata) time.Time {
	t, _ := middleware.GetServerTime(m)
	return t.UTC()
}

// Get implements objstore.Bucket.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, objstore.Info, error) {
	return b.read(ctx, key, "", func(size int64) (int64, int64, error) {
		if size > objstore.MaxGet {
			return 0, 0, objstore.ErrTooLarge
		}
		return 0, size, nil
	})
}

// GetRange implements objstore.Bucket.
func (b *Bucket) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error) {
	if err := check(ctx, key); err != nil {
		return nil, objstore.Info{}, err
	}
	if _, _, err := objstore.Span(0, off, n); err != nil {
		return nil, objstore.Info{}, err
	}
	if n == 0 { // HTTP has no empty ranges
		_, info, err := b.GetRange(ctx, key, 0, 1)
		return nil, info, err
	}
	// One byte above the bound, so that a longer range is seen to be one.
	header := rangeHeader(off, min(n, objstore.MaxGet+1))
	return b.read(ctx, key, header, func(size int64) (int64, int64, error) { return objstore.Span(size, off, n) })
}

// rangeHeader asks for n bytes from off; of a suffix it can only ask for all.
func rangeHeader(off, n int64) string {
	switch {
	case off < 0:
		return "bytes=-" + strconv.FormatInt(max(off, -math.MaxInt64), 10)[1:]
	case n > math.MaxInt64-off:
		return fmt.Sprintf("bytes=%d-", off)
	default:
		return fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	}
}

// read gets the bytes that span chooses, knowing the object's size, of those
// that header asks for.
func (b *Bucket) read(ctx context.Context, key, header string, span func(size int64) (start, n int64, err error)) (data []byte, info objstore.Info, err error) {
	if err := check(ctx, key); err != nil {
		return nil, objstore.Info{}, err
	}
	err = objstore.Retry(ctx, func() error {
		var body io.ReadCloser
		var start int64
		body, start, info, err = b.open(ctx, key, header, "")
		if err != nil {
			return err
		}
		defer body.Close()
		from, n, err := span(info.Size)
		if err != nil {
			return fmt.Errorf("get %s, %d bytes: %w", key, info.Size, err)
		}
		if from != start && n > 0 {
			return fmt.Errorf("get %s: asked for %s, the store sent from byte %d", key, header, start)
		}
		data = make([]byte, n)
		if _, err := io.ReadFull(body, data); err != nil {
			return trouble(ctx, "get "+key, err)
		}
		return nil
	})
	if errors.Is(err, errUnsatisfiable) { // beyond the end, or an empty object
		info, err = b.head(ctx, key)
		return nil, info, err
	}
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return data, info, nil
}

var errUnsatisfiable = errors.New("the range begins after the end")

// open sends one GetObject. start is where the body begins in the object.
func (b *Bucket) open(ctx context.Context, key, header, etag string) (body io.ReadCloser, start int64, info objstore.Info, err error) {
	in := &sdk.GetObjectInput{Bucket: &b.cfg.Bucket, Key: &key}
	if header != "" {
		in.Range = &header
	}
	if etag != "" {
		in.IfMatch = &etag
	}
	out, err := b.client().GetObject(ctx, in)
	if status(err) == 416 {
		return nil, 0, objstore.Info{}, errUnsatisfiable
	}
	if err != nil {
		return nil, 0, objstore.Info{}, trouble(ctx, "get "+key, err)
	}
	info = objstore.Info{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified).UTC(), Date: date(out.ResultMetadata)}
	if header != "" && (out.ContentRange != nil || info.Size > 0) {
		start, info.Size, err = parseContentRange(aws.ToString(out.ContentRange))
		if err != nil {
			out.Body.Close()
			return nil, 0, objstore.Info{}, fmt.Errorf("get %s, %s: %w", key, header, err)
		}
	}
	return &tagged{out.Body, aws.ToString(out.ETag)}, start, info, nil
}

// tagged is a body with its object's entity tag, to go on with the same one.
type tagged struct {
	io.ReadCloser
	etag string
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

// Open implements objstore.Bucket. A stream that breaks is gone on with.
func (b *Bucket) Open(ctx context.Context, key string, off int64) (io.ReadCloser, objstore.Info, error) {
	if err := check(ctx, key); err != nil {
		return nil, objstore.Info{}, err
	}
	header := ""
	if off != 0 {
		header = rangeHeader(off, math.MaxInt64)
	}
	var body io.ReadCloser
	var start int64
	var info objstore.Info
	err := objstore.Retry(ctx, func() (err error) {
		body, start, info, err = b.open(ctx, key, header, "")
		return err
	})
	if errors.Is(err, errUnsatisfiable) {
		info, err = b.head(ctx, key)
		return io.NopCloser(strings.NewReader("")), info, err
	}
	if err != nil {
		return nil, objstore.Info{}, err
	}
	etag := body.(*tagged).etag
	return objstore.Resume(ctx, body, start, func(pos int64) (io.ReadCloser, error) {
		r, at, _, err := b.open(ctx, key, rangeHeader(pos, math.MaxInt64), etag)
		switch {
		case errors.Is(err, errUnsatisfiable): // it broke after the last byte
			return io.NopCloser(strings.NewReader("")), nil
		case err == nil && at != pos:
			r.Close()
			return nil, fmt.Errorf("get %s: asked to go on at %d, the store sent from byte %d", key, pos, at)
		}
		return r, err
	}), info, nil
}

// head describes an object that was there a moment ago. It cannot tell an
// absent object from an absent bucket.
func (b *Bucket) head(ctx context.Context, key string) (info objstore.Info, err error) {
	err = objstore.Retry(ctx, func() error {
		out, err := b.client().HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &b.cfg.Bucket, Key: &key})
		if status(err) == 404 {
			return fmt.Errorf("head %s: %w", key, objstore.ErrNotExist)
		}
		if err != nil {
			return trouble(ctx, "head "+key, err)
		}
		info = objstore.Info{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified).UTC(), Date: date(out.ResultMetadata)}
		return nil
	})
	return info, err
}

// Create implements objstore.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.put(ctx, key, body, aws.String("*"))
}

// Put implements objstore.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.put(ctx, key, body, nil)
}

// maxPut is what one PutObject takes (S3 user guide, "Uploading objects").
const maxPut = 5 << 30

func (b *Bucket) put(ctx context.Context, key string, body io.ReadSeeker, ifNoneMatch *string) (objstore.Info, error) {
	if err := check(ctx, key); err != nil {
		return objstore.Info{}, err
	}
	r, err := objstore.NewBody(body)
	if err != nil {
		return objstore.Info{}, fmt.Errorf("store %s: rewind body: %w", key, err)
	}
	if r.Size > maxPut {
		return objstore.Info{}, kb.E(kb.TooLarge, nil, "an object of %d bytes is more than S3 takes at once (5 GiB)", r.Size)
	}
	out, err := b.client().PutObject(ctx, &sdk.PutObjectInput{
		Bucket: &b.cfg.Bucket, Key: &key, Body: r, ContentLength: &r.Size, IfNoneMatch: ifNoneMatch,
	})
	bodyErr := r.Release()
	switch {
	case err == nil:
		now := date(out.ResultMetadata)
		return objstore.Info{Key: key, Size: r.Size, Modified: now, Date: now}, nil
	case bodyErr != nil:
		return objstore.Info{}, fmt.Errorf("store %s: read body: %w", key, bodyErr)
	case status(err) == 412 && ifNoneMatch != nil:
		return objstore.Info{}, fmt.Errorf("create %s: %w", key, objstore.ErrExist)
	case code(err) == codeIsFolder && b.isFolder(ctx, key):
		return objstore.Info{}, fmt.Errorf("store %s: %w", key, objstore.ErrKeyConflict)
	}
	return objstore.Info{}, trouble(ctx, "store "+key, err)
}

func (b *Bucket) isFolder(ctx context.Context, key string) bool {
	infos, _, err := b.List(ctx, key+"/", "", 1)
	return err == nil && len(infos) > 0
}

// List implements objstore.Bucket. Objects that others put there under names
// that are no keys are left out.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) (infos []objstore.Info, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if err := objstore.ValidatePrefix(prefix); err != nil {
		return nil, false, err
	}
	if limit < 1 {
		limit = objstore.ListPage
	}
	for more = true; more && len(infos) < limit; {
		var out *sdk.ListObjectsV2Output
		err := objstore.Retry(ctx, func() error {
			in := &sdk.ListObjectsV2Input{Bucket: &b.cfg.Bucket, Prefix: &prefix, MaxKeys: aws.Int32(int32(min(limit-len(infos), objstore.ListPage)))}
			if after != "" {
				in.StartAfter = &after
			}
			out, err = b.client().ListObjectsV2(ctx, in)
			if err != nil {
				return trouble(ctx, "list "+prefix, err)
			}
			return nil
		})
		if err != nil {
			return nil, false, err
		}
		more = aws.ToBool(out.IsTruncated) && len(out.Contents) > 0
		for _, o := range out.Contents {
			if after = aws.ToString(o.Key); objstore.ValidateKey(after) == nil {
				infos = append(infos, objstore.Info{Key: after, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified).UTC(), Date: date(out.ResultMetadata)})
			}
		}
	}
	return infos, more, nil
}

// deleteBatch is what one DeleteObjects takes (S3 API reference).
const deleteBatch = 1000

// Delete implements objstore.Bucket.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := check(ctx, key); err != nil {
			return err
		}
	}
	for len(keys) > 0 {
		batch := keys[:min(len(keys), deleteBatch)]
		keys = keys[len(batch):]
		err := objstore.Retry(ctx, func() error {
			if len(batch) == 1 {
				return b.deleteOne(ctx, batch[0])
			}
			return b.deleteMany(ctx, batch)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket) deleteOne(ctx context.Context, key string) error {
	_, err := b.client().DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: &b.cfg.Bucket, Key: &key})
	if err == nil || ignorable(code(err)) {
		return nil
	}
	return trouble(ctx, "delete "+key, err)
}

func (b *Bucket) deleteMany(ctx context.Context, keys []string) error {
	ids := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		ids[i].Key = &keys[i]
	}
	out, err := b.client().DeleteObjects(ctx, &sdk.DeleteObjectsInput{
		Bucket: &b.cfg.Bucket, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
	})
	if s := status(err); s == 400 || s == 501 { // some servers want another checksum, some have no such call
		for _, key := range keys {
			if err := b.deleteOne(ctx, key); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		return trouble(ctx, "delete", err)
	}
	for _, e := range out.Errors {
		if c := aws.ToString(e.Code); !ignorable(c) {
			return objstore.Trouble(reason(0, c), fmt.Errorf("delete %s: %s: %s", aws.ToString(e.Key), c, aws.ToString(e.Message)))
		}
	}
	return nil
}
