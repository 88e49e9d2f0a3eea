// Package s3 is the bucket on Amazon S3 or a server compatible with it. It
// needs If-None-Match on PutObject (AWS has it since August 2024), strong
// consistency and versioning switched off; Check and objstore.SelfTest tell.
// The design is DESIGN §4, the traps are in facts/storage.md §6 and §7.
package s3

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithy "github.com/aws/smithy-go/middleware"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/ranges"
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
	in := &sdk.GetObjectInput{Bucket: &b.cfg.Bucket, Key: &key}
	if header != "" {
		in.Range = &header
	}
	if etag != "" {
		in.IfMatch = &etag
	}
	out, err := b.client().GetObject(ctx, in)
	if status(err) == 416 {
		return ranges.Answer{}, ranges.ErrUnsatisfiable
	}
	if err != nil {
		return ranges.Answer{}, trouble(ctx, "get "+key, err)
	}
	length := int64(-1)
	if out.ContentLength != nil {
		length = *out.ContentLength
	}
	return ranges.Answer{
		Body: out.Body, Length: length, Range: aws.ToString(out.ContentRange), ETag: aws.ToString(out.ETag),
		Modified: aws.ToTime(out.LastModified), Date: date(out.ResultMetadata),
	}, nil
}

// head describes an object that was there a moment ago. It cannot tell an
// absent object from an absent bucket.
func (b *Bucket) head(ctx context.Context, key string) (objstore.Info, error) {
	out, err := b.client().HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &b.cfg.Bucket, Key: &key})
	if status(err) == 404 {
		return objstore.Info{}, fmt.Errorf("head %s: %w", key, objstore.ErrNotExist)
	}
	if err != nil {
		return objstore.Info{}, trouble(ctx, "head "+key, err)
	}
	return objstore.Info{Key: key, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified).UTC(), Date: date(out.ResultMetadata)}, nil
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
