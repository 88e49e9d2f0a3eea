package objstore

import (
	"context"
	"net/http"
	"time"
)

// Checker is a bucket that can tell why it must not be used: versioning is on,
// the file system has no links. SelfTest asks it first.
type Checker interface {
	// Check returns nil or a reason with its remedy; it changes nothing.
	Check(ctx context.Context) error
}

// Presigner is a bucket that can hand out links which work without our
// credentials until they expire.
type Presigner interface {
	PresignGet(ctx context.Context, key string, life time.Duration) (Presigned, error)
	// PresignPut allows one object of exactly size bytes and that media type
	// to be stored under key; it replaces what is there.
	PresignPut(ctx context.Context, key string, size int64, mediaType string, life time.Duration) (Presigned, error)
}

// Presigned is a request that its holder may send as it stands.
type Presigned struct {
	Method  string
	URL     string
	Header  http.Header // to be sent too; it is part of the signature
	Expires time.Time
}
