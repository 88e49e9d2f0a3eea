// Package oss is the bucket on Alibaba Cloud OSS, by its own API: over its S3
// API it knows no conditional writes. Creating an object only if it is absent
// is x-oss-forbid-overwrite, which OSS ignores without a word where versioning
// is or ever was on; Check and objstore.SelfTest refuse such buckets. The
// design is DESIGN §4, the traps are in facts/storage.md §6.
package oss

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/retry"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/ranges"
	"github.com/eino-qa/eino-qa/internal/objstore/transport"
)

// Bucket is an objstore.Bucket on OSS. Make it with New.
type Bucket struct {
	cfg         Config
	credentials *provider
	client      func() *sdk.Client // made at the first request: cold starts have better to do
	presigner   func() *sdk.Client // signs the length of uploads too
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
	b := &Bucket{cfg: cfg, credentials: newProvider(cfg.Credentials)}
	b.client = sync.OnceValue(func() *sdk.Client { return b.newClient() })
	b.presigner = sync.OnceValue(func() *sdk.Client { return b.newClient("Content-Length") })
	return b, nil
}

// Config is what New made of its argument, with what was missing filled in.
func (b *Bucket) Config() Config { return b.cfg }

func (b *Bucket) newClient(signedHeaders ...string) *sdk.Client {
	cfg := &sdk.Config{
		Endpoint: &b.cfg.Endpoint, Region: &b.cfg.Region, UseCName: &b.cfg.CName,
		CredentialsProvider: b.credentials,
		HttpClient:          sender{transport.New(b.cfg.Stall)},
		// One attempt each: a retried conditional write turns its own success
		// into "exists", and reads are retried here, bodies included.
		Retryer:           retry.NopRetryer{},
		AdditionalHeaders: signedHeaders,
	}
	return sdk.NewClient(cfg, func(o *sdk.Options) {
		o.FeatureFlags &^= sdk.FeatureCorrectClockSkew // needs a second attempt, and writes the client without a lock
	})
}

// sender sends an empty body as Content-Length: 0. The SDK leaves it to
// net/http, which cannot know that it is empty and sends it in chunks.
type sender struct{ *http.Client }

func (s sender) Do(r *http.Request) (*http.Response, error) {
	if r.ContentLength == 0 {
		r.Body = http.NoBody
	}
	return s.Client.Do(r)
}

func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return objstore.ValidateKey(key)
}

// date is the server's clock in its answer.
func date(h http.Header) time.Time {
	t, _ := http.ParseTime(h.Get("Date"))
	return t.UTC()
}

// Get implements objstore.Bucket.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, objstore.Info, error) {
	return b.reader().Whole(ctx, key)
}

// GetRange implements objstore.Bucket.
func (b *Bucket) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error) {
	return b.reader().Part(ctx, key, off, n)
}

// Open implements objstore.Bucket. A stream that breaks is gone on with.
func (b *Bucket) Open(ctx context.Context, key string, off int64) (io.ReadCloser, objstore.Info, error) {
	return b.reader().Stream(ctx, key, off)
}

func (b *Bucket) reader() ranges.Reader {
	return ranges.Reader{Get: b.get, Head: b.head, Trouble: trouble}
}

func (b *Bucket) get(ctx context.Context, key, header, etag string) (ranges.Answer, error) {
	in := &sdk.GetObjectRequest{Bucket: &b.cfg.Bucket, Key: &key}
	if header != "" {
		in.Range = &header
		in.RangeBehavior = new("standard") // else a range that cannot be satisfied gets the whole object
	}
	if etag != "" {
		in.IfMatch = &etag
	}
	out, err := b.client().GetObject(ctx, in)
	if status(err) == http.StatusRequestedRangeNotSatisfiable {
		return ranges.Answer{}, ranges.ErrUnsatisfiable
	}
	if err != nil {
		return ranges.Answer{}, trouble(ctx, "get "+key, err)
	}
	return ranges.Answer{
		Body: out.Body, Length: out.ContentLength, Range: sdk.ToString(out.ContentRange), ETag: sdk.ToString(out.ETag),
		Modified: sdk.ToTime(out.LastModified), Date: date(out.Headers),
	}, nil
}

// head describes an object that was there a moment ago.
func (b *Bucket) head(ctx context.Context, key string) (objstore.Info, error) {
	out, err := b.client().HeadObject(ctx, &sdk.HeadObjectRequest{Bucket: &b.cfg.Bucket, Key: &key})
	if status(err) == http.StatusNotFound {
		return objstore.Info{}, fmt.Errorf("head %s: %w", key, objstore.ErrNotExist)
	}
	if err != nil {
		return objstore.Info{}, trouble(ctx, "head "+key, err)
	}
	return objstore.Info{Key: key, Size: out.ContentLength, Modified: sdk.ToTime(out.LastModified).UTC(), Date: date(out.Headers)}, nil
}

// Create implements objstore.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.put(ctx, key, body, true)
}

// Put implements objstore.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.put(ctx, key, body, false)
}

// maxPut is what one PutObject takes (OSS developer guide, "Simple upload").
const maxPut = 5 << 30

func (b *Bucket) put(ctx context.Context, key string, body io.ReadSeeker, forbidOverwrite bool) (objstore.Info, error) {
	if err := check(ctx, key); err != nil {
		return objstore.Info{}, err
	}
	r, err := objstore.NewBody(body)
	if err != nil {
		return objstore.Info{}, fmt.Errorf("store %s: rewind body: %w", key, err)
	}
	if r.Size > maxPut {
		return objstore.Info{}, kb.E(kb.TooLarge, nil, "an object of %d bytes is more than OSS takes at once (5 GiB)", r.Size)
	}
	in := &sdk.PutObjectRequest{Bucket: &b.cfg.Bucket, Key: &key, Body: r, ContentLength: &r.Size, ContentType: new("application/octet-stream")}
	if forbidOverwrite {
		in.ForbidOverwrite = new("true")
	}
	out, err := b.client().PutObject(ctx, in)
	bodyErr := r.Release()
	switch {
	case err == nil && forbidOverwrite && sdk.ToString(out.VersionId) != "":
		// Only buckets with versioning answer with a version, and they ignored
		// the header: nobody knows whether this object was there before.
		return objstore.Info{}, objstore.Trouble(objstore.ErrConfig, fmt.Errorf("create %s: %w", key, b.versioned("on")))
	case err == nil:
		now := date(out.Headers)
		return objstore.Info{Key: key, Size: r.Size, Modified: now, Date: now}, nil
	case bodyErr != nil:
		return objstore.Info{}, fmt.Errorf("store %s: read body: %w", key, bodyErr)
	case forbidOverwrite && code(err) == "FileAlreadyExists":
		return objstore.Info{}, fmt.Errorf("create %s: %w", key, objstore.ErrExist)
	}
	return objstore.Info{}, trouble(ctx, "store "+key, err)
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
		var out *sdk.ListObjectsV2Result
		err := objstore.Retry(ctx, func() error {
			in := &sdk.ListObjectsV2Request{Bucket: &b.cfg.Bucket, Prefix: &prefix, MaxKeys: int32(min(limit-len(infos), objstore.ListPage))}
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
		more = out.IsTruncated && len(out.Contents) > 0
		for _, o := range out.Contents {
			if after = sdk.ToString(o.Key); objstore.ValidateKey(after) == nil {
				infos = append(infos, objstore.Info{Key: after, Size: o.Size, Modified: sdk.ToTime(o.LastModified).UTC(), Date: date(out.Headers)})
			}
		}
	}
	return infos, more, nil
}

// deleteBatch is what one DeleteMultipleObjects takes (OSS API reference).
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
				_, err := b.client().DeleteObject(ctx, &sdk.DeleteObjectRequest{Bucket: &b.cfg.Bucket, Key: &batch[0]})
				if err != nil {
					return trouble(ctx, "delete "+batch[0], err)
				}
				return nil
			}
			return b.deleteMany(ctx, batch)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteMany asks for the verbose answer: it names what was deleted, absent
// objects included, and so shows what was not.
func (b *Bucket) deleteMany(ctx context.Context, keys []string) error {
	objects := make([]sdk.ObjectIdentifier, len(keys))
	left := make(map[string]bool, len(keys))
	for i := range keys {
		objects[i].Key = &keys[i]
		left[keys[i]] = true
	}
	out, err := b.client().DeleteMultipleObjects(ctx, &sdk.DeleteMultipleObjectsRequest{
		Bucket: &b.cfg.Bucket, Delete: &sdk.Delete{Objects: objects, Quiet: false},
	})
	if err != nil {
		return trouble(ctx, "delete", err)
	}
	for _, d := range out.DeletedObjects {
		delete(left, sdk.ToString(d.Key))
	}
	for key := range left {
		return objstore.Trouble(objstore.ErrDown, fmt.Errorf("delete %s: OSS left it and %d more", key, len(left)-1))
	}
	return nil
}
