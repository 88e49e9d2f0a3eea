package oss

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// status is the HTTP status of err, 0 if OSS gave none.
func status(err error) int {
	if e, ok := errors.AsType[*sdk.ServiceError](err); ok {
		return e.StatusCode
	}
	return 0
}

// code is the OSS error code of err, "" if OSS gave none.
func code(err error) string {
	if e, ok := errors.AsType[*sdk.ServiceError](err); ok {
		return e.Code
	}
	return ""
}

// trouble says what err, of one request, means.
func trouble(ctx context.Context, what string, err error) error {
	if cerr := ctx.Err(); cerr != nil {
		return fmt.Errorf("%s: %w: %w", what, cerr, err)
	}
	if objstore.Reason(err) != "" { // of the caller's credentials
		return fmt.Errorf("%s: %w", what, err)
	}
	if code(err) == "NoSuchKey" { // no other 404 says that the object is absent
		return fmt.Errorf("%s: %w", what, objstore.ErrNotExist)
	}
	return objstore.Trouble(reason(status(err), code(err)), fmt.Errorf("%s: %w", what, err))
}

// reason sorts a status and a code (OSS API reference, "Common error codes")
// into the troubles that there are.
func reason(status int, code string) error {
	switch code {
	case "RequestTimeout", "InternalError":
		return objstore.ErrDown
	case "SlowDown", "QpsLimitExceeded", "DownloadTrafficRateLimitExceeded", "UploadTrafficRateLimitExceeded", "TotalQpsLimitExceeded":
		return objstore.ErrThrottled
	case "StorageCapacityExceeded", "QuotaExceeded", "BucketQuotaExceeded":
		return objstore.ErrFull
	case "UserDisable", "FileImmutable", "FileAlreadyExists": // an unpaid account; a retention policy, or a rule of the bucket, that forbids overwriting
		return objstore.ErrReadOnly
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "SecurityTokenExpired", "InvalidSecurityToken", "RequestTimeTooSkewed", "AccessDenied":
		return objstore.ErrDenied
	case "NoSuchBucket", "InvalidBucketName", "NotImplemented":
		return objstore.ErrConfig
	}
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return objstore.ErrThrottled
	case status == http.StatusInsufficientStorage:
		return objstore.ErrFull
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return objstore.ErrDenied
	case status == http.StatusMethodNotAllowed:
		return objstore.ErrReadOnly
	case status == http.StatusConflict:
		return objstore.ErrConflict
	case status >= 300 && status < 500 && status != http.StatusRequestTimeout:
		return objstore.ErrConfig
	}
	return objstore.ErrDown
}

// Check implements objstore.Checker: the bucket is there, these credentials
// may ask, and versioning was never on.
func (b *Bucket) Check(ctx context.Context) error {
	var out *sdk.GetBucketVersioningResult
	err := objstore.Retry(ctx, func() (err error) {
		out, err = b.client().GetBucketVersioning(ctx, &sdk.GetBucketVersioningRequest{Bucket: &b.cfg.Bucket})
		if err != nil {
			return trouble(ctx, "versioning of bucket "+b.cfg.Bucket, err)
		}
		return nil
	})
	switch {
	case code(err) == "AccessDenied":
		return kb.E(kb.Unavailable, err, "the credentials may not see whether bucket %s has versioning; allow them oss:GetBucketVersioning", b.cfg.Bucket)
	case err != nil:
		return err
	case sdk.ToString(out.VersionStatus) != "":
		return b.versioned(sdk.ToString(out.VersionStatus))
	}
	return nil
}

func (b *Bucket) versioned(state string) error {
	return kb.E(kb.Unavailable, nil, "bucket %s has versioning (%s), where OSS ignores the request not to overwrite and commits would be lost; use a bucket that never had it", b.cfg.Bucket, state)
}

// maxLife of a link is what signature version 4 allows.
const maxLife = 7 * 24 * time.Hour

// PresignGet implements objstore.Presigner.
func (b *Bucket) PresignGet(ctx context.Context, key string, life time.Duration) (objstore.Presigned, error) {
	return b.presign(ctx, key, life, &sdk.GetObjectRequest{Bucket: &b.cfg.Bucket, Key: &key})
}

// PresignPut implements objstore.Presigner.
func (b *Bucket) PresignPut(ctx context.Context, key string, size int64, mediaType string, life time.Duration) (objstore.Presigned, error) {
	if size < 0 || size > maxPut {
		return objstore.Presigned{}, kb.E(kb.TooLarge, nil, "an upload must have 0 bytes to 5 GiB, not %d", size)
	}
	in := &sdk.PutObjectRequest{Bucket: &b.cfg.Bucket, Key: &key, ContentLength: &size}
	if mediaType != "" {
		in.ContentType = &mediaType
	}
	return b.presign(ctx, key, life, in)
}

func (b *Bucket) presign(ctx context.Context, key string, life time.Duration, in any) (objstore.Presigned, error) {
	if life < time.Second || life > maxLife {
		return objstore.Presigned{}, kb.E(kb.Invalid, nil, "a link must expire within 1 second to 7 days, not %v", life)
	}
	if err := check(ctx, key); err != nil {
		return objstore.Presigned{}, err
	}
	out, err := b.presigner().Presign(ctx, in, sdk.PresignExpires(life))
	if err != nil {
		return objstore.Presigned{}, fmt.Errorf("presign %s: %w", key, err)
	}
	h := http.Header{}
	for name, value := range out.SignedHeaders {
		h.Set(name, value)
	}
	return objstore.Presigned{Method: out.Method, URL: out.URL, Header: h, Expires: out.Expiration.UTC()}, nil
}
