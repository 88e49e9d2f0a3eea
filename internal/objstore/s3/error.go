package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// status is the HTTP status of err, 0 if the store gave none.
func status(err error) int {
	if re, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return re.HTTPStatusCode()
	}
	return 0
}

// code is the S3 error code of err, "" if the store gave none.
func code(err error) string {
	if ae, ok := errors.AsType[smithy.APIError](err); ok {
		return ae.ErrorCode()
	}
	return ""
}

// Codes of versitygw on a file system. codeIsFolder also says that another
// request removed the folder of a key while this one made it.
const (
	codeIsFolder    = "ExistingObjectIsDirectory"
	codeUnderObject = "ObjectParentIsFile"
	codeNotEmpty    = "ErrDirectoryNotEmpty"
)

// ignorable codes answer a Delete of what is not there.
func ignorable(code string) bool {
	switch code {
	case "NoSuchKey", "NotFound", codeNotEmpty, codeUnderObject:
		return true
	}
	return false
}

// trouble says what err, of one request, means.
func trouble(ctx context.Context, what string, err error) error {
	if cerr := ctx.Err(); cerr != nil {
		return fmt.Errorf("%s: %w: %w", what, cerr, err)
	}
	if objstore.Reason(err) != "" { // of the caller's credentials
		return fmt.Errorf("%s: %w", what, err)
	}
	s, c := status(err), code(err)
	switch {
	case c == "NoSuchBucket":
		return objstore.Trouble(objstore.ErrConfig, fmt.Errorf("%s: %w", what, err))
	case c == "NoSuchKey":
		// No other 404 says that the object is absent: versitygw has one for an
		// unknown access key, proxies for an unknown host.
		return fmt.Errorf("%s: %w", what, objstore.ErrNotExist)
	case c == codeUnderObject:
		return fmt.Errorf("%s: %w", what, objstore.ErrKeyConflict)
	}
	return objstore.Trouble(reason(s, c), fmt.Errorf("%s: %w", what, err))
}

// reason sorts a status and a code into the troubles that there are.
func reason(status int, code string) error {
	switch code {
	case "ConditionalRequestConflict", "OperationAborted", codeIsFolder:
		return objstore.ErrConflict
	case "SlowDown", "RequestLimitExceeded", "TooManyRequests", "ServiceUnavailable", "Throttling", "ThrottlingException", "BandwidthLimitExceeded":
		return objstore.ErrThrottled
	case "QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded":
		return objstore.ErrFull
	case "MethodNotAllowed", "ReadOnly":
		return objstore.ErrReadOnly
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed", "AccessDenied", "AccountProblem", "XAdminUserNotFound":
		return objstore.ErrDenied
	case "RequestTimeout", "InternalError":
		return objstore.ErrDown
	case "InvalidBucketName", "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", "NotImplemented":
		return objstore.ErrConfig
	}
	switch {
	case status == 429 || status == 503:
		return objstore.ErrThrottled
	case status == 507:
		return objstore.ErrFull
	case status == 401 || status == 403:
		return objstore.ErrDenied
	case status == 405:
		return objstore.ErrReadOnly
	case status == 409:
		return objstore.ErrConflict
	case status >= 300 && status < 500 && status != 408:
		return objstore.ErrConfig
	}
	return objstore.ErrDown
}

// Check implements objstore.Checker: the bucket is there, these credentials
// may ask, and versioning is off.
func (b *Bucket) Check(ctx context.Context) error {
	var out *sdk.GetBucketVersioningOutput
	err := objstore.Retry(ctx, func() (err error) {
		out, err = b.client().GetBucketVersioning(ctx, &sdk.GetBucketVersioningInput{Bucket: &b.cfg.Bucket})
		if err != nil {
			return trouble(ctx, "versioning of bucket "+b.cfg.Bucket, err)
		}
		return nil
	})
	switch {
	case b.cfg.AllowVersioning && err == nil:
		return nil
	case status(err) == 501, code(err) == "VersioningNotConfigured": // the server has no versioning
		return nil
	case errors.Is(err, objstore.ErrDenied) && code(err) == "AccessDenied":
		return kb.E(kb.Unavailable, err, "the credentials may not see whether bucket %s has versioning; allow them s3:GetBucketVersioning", b.cfg.Bucket)
	case err != nil:
		return err
	case out.Status == types.BucketVersioningStatusEnabled, out.Status == types.BucketVersioningStatusSuspended:
		return kb.E(kb.Unavailable, nil, "bucket %s has versioning (%s), which keeps everything that backups expire; use a bucket that never had it, or add allow_versioning=true to storage.url", b.cfg.Bucket, out.Status)
	}
	return nil
}

// maxLife of a link is what signature version 4 allows.
const maxLife = 7 * 24 * time.Hour

func presigned(req *v4.PresignedHTTPRequest, life time.Duration, err error) (objstore.Presigned, error) {
	if err != nil {
		return objstore.Presigned{}, fmt.Errorf("presign: %w", err)
	}
	h := req.SignedHeader.Clone()
	h.Del("Host") // in the URL
	return objstore.Presigned{Method: req.Method, URL: req.URL, Header: h, Expires: time.Now().Add(life).UTC()}, nil
}

func checkLink(ctx context.Context, key string, life time.Duration) error {
	if life < time.Second || life > maxLife {
		return kb.E(kb.Invalid, nil, "a link must expire within 1 second to 7 days, not %v", life)
	}
	return check(ctx, key)
}

// PresignGet implements objstore.Presigner.
func (b *Bucket) PresignGet(ctx context.Context, key string, life time.Duration) (objstore.Presigned, error) {
	if err := checkLink(ctx, key, life); err != nil {
		return objstore.Presigned{}, err
	}
	req, err := sdk.NewPresignClient(b.client()).PresignGetObject(ctx, &sdk.GetObjectInput{Bucket: &b.cfg.Bucket, Key: &key}, sdk.WithPresignExpires(life))
	return presigned(req, life, err)
}

// PresignPut implements objstore.Presigner.
func (b *Bucket) PresignPut(ctx context.Context, key string, size int64, mediaType string, life time.Duration) (objstore.Presigned, error) {
	if err := checkLink(ctx, key, life); err != nil {
		return objstore.Presigned{}, err
	}
	if size < 0 || size > maxPut {
		return objstore.Presigned{}, kb.E(kb.TooLarge, nil, "an upload must have 0 bytes to 5 GiB, not %d", size)
	}
	in := &sdk.PutObjectInput{Bucket: &b.cfg.Bucket, Key: &key, ContentLength: &size}
	if mediaType != "" {
		in.ContentType = aws.String(mediaType)
	}
	req, err := sdk.NewPresignClient(b.client()).PresignPutObject(ctx, in, sdk.WithPresignExpires(life))
	return presigned(req, life, err)
}
