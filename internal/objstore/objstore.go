// Package objstore is the object storage that everything durable stands on:
// immutable objects, create-if-absent, range reads and ordered lists. It
// assumes a store with read-after-write and list-after-write consistency; the
// conformance suite in objstoretest checks that, and SelfTest checks it in
// short at every start. Packages s3, oss, dir and mem implement it.
package objstore

import (
	"context"
	"errors"
	"io"
	"time"
)

// Sentinels that callers branch on. Every other error means the outcome is
// unknown: a Create that failed so may have happened.
var (
	ErrNotExist = errors.New("object does not exist")
	ErrExist    = errors.New("object exists already")
)

// Info describes one object.
type Info struct {
	Key      string
	Size     int64     // bytes, of the whole object also where a range was read
	Modified time.Time // the store's clock
	Date     time.Time // the store's clock when it answered; zero where a store does not say
}

// Bucket is one place for objects. Keys are '/'-separated, of [A-Za-z0-9._-],
// without empty, "." or ".." segments, at most 512 bytes. Implementations are
// safe for concurrent use, retry nothing by themselves on Create, honour ctx,
// and pass objstoretest.Run.
//
// It has no conditional overwrite on purpose: OSS has none (facts/storage.md
// §6), so every pointer is a growing sequence of created objects.
type Bucket interface {
	// Get returns the whole object, at most 64 MiB of it (else an error), or ErrNotExist.
	Get(ctx context.Context, key string) ([]byte, Info, error)
	// GetRange returns n bytes from off, fewer at the end of the object; a
	// negative off counts from the end. ErrNotExist as Get.
	GetRange(ctx context.Context, key string, off, n int64) ([]byte, Info, error)
	// Open streams the whole object from off on; the caller closes it.
	Open(ctx context.Context, key string, off int64) (io.ReadCloser, Info, error)
	// Create stores body under key if there is no such object, else returns
	// ErrExist and changes nothing. When it returns nil the object is durable.
	// body is read from its start, once for each try.
	Create(ctx context.Context, key string, body io.ReadSeeker) (Info, error)
	// Put stores body under key, replacing what was there.
	Put(ctx context.Context, key string, body io.ReadSeeker) (Info, error)
	// List returns up to limit objects whose key has prefix and sorts after
	// after, in byte order of the keys. more reports whether there are others.
	List(ctx context.Context, prefix, after string, limit int) (infos []Info, more bool, err error)
	// Delete removes the objects; one that is absent is no error.
	Delete(ctx context.Context, keys ...string) error
}
