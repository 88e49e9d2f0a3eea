package objstore

import (
	"errors"
	"fmt"
	"strings"
)

// MaxGet is the most that Get and GetRange return, in bytes; callers of larger
// objects stream with Open. It is four times the largest commit (DESIGN §4).
const MaxGet = 64 << 20

// ListPage is how many objects List returns when its limit is below 1: one
// page of S3 and OSS (both: max-keys at most 1000).
const ListPage = 1000

// MaxKey is the most bytes a key may have, the prefix of a Sub included. S3
// takes 1,024, OSS 1,023.
const MaxKey = 512

const (
	maxSegmentBytes = 255 // NAME_MAX of Linux file systems, which dir and versitygw stand on
	maxPrefixBytes  = 111 // of a Sub, without its '/': leaves 400 bytes to keys, thrice our longest
)

// More sentinels, of requests that no try can make good: they say that nothing
// was changed.
var (
	ErrInvalidKey = errors.New("invalid object key")
	// ErrKeyConflict: the key is a folder of another key or lies under one.
	// Stores on a file system cannot hold both, so no bucket has to.
	ErrKeyConflict = errors.New("object key is also a folder")
	ErrTooLarge    = errors.New("object is larger than 64 MiB, stream it")
	ErrInvalidSpan = errors.New("invalid range")
)

// ValidateKey returns an ErrInvalidKey with the reason unless key keeps the
// rules of Bucket.
func ValidateKey(key string) error {
	if key == "" || key[len(key)-1] == '/' {
		return fmt.Errorf("%w %q: it must name an object", ErrInvalidKey, key)
	}
	if err := validChars(key); err != nil {
		return err
	}
	return validSegments(key, key)
}

// ValidatePrefix returns an ErrInvalidKey with the reason unless some valid
// key can start with prefix. The empty prefix is valid.
func ValidatePrefix(prefix string) error {
	if err := validChars(prefix); err != nil {
		return err
	}
	// The last segment may go on, so "." and ".." are fine as its start.
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if folder == "" {
		return nil
	}
	return validSegments(prefix, folder[:len(folder)-1])
}

func validChars(key string) error {
	if len(key) > MaxKey {
		return fmt.Errorf("%w %q…: %d bytes, at most %d", ErrInvalidKey, key[:40], len(key), MaxKey)
	}
	for i := range len(key) {
		c := key[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '/' || c == '.' || c == '_' || c == '-'
		if !ok {
			return fmt.Errorf("%w %q: byte %d is not of A-Za-z0-9._-/", ErrInvalidKey, key, i)
		}
	}
	return nil
}

func validSegments(key, path string) error {
	for s := range strings.SplitSeq(path, "/") {
		switch {
		case s == "" || s == "." || s == "..":
			return fmt.Errorf("%w %q: it has a segment %q", ErrInvalidKey, key, s)
		case len(s) > maxSegmentBytes:
			return fmt.Errorf("%w %q: a segment has %d bytes, at most %d", ErrInvalidKey, key, len(s), maxSegmentBytes)
		}
	}
	return nil
}

// Span turns off and n of GetRange into a start and a length within an object
// of size bytes; implementations share it so that they agree. It returns
// ErrInvalidSpan for a negative n and ErrTooLarge for more than MaxGet bytes.
func Span(size, off, n int64) (start, length int64, err error) {
	if n < 0 {
		return 0, 0, fmt.Errorf("%w: %d bytes from %d", ErrInvalidSpan, n, off)
	}
	if off < 0 {
		off = max(0, size+off)
	}
	start = min(off, size)
	length = min(n, size-start)
	if length > MaxGet {
		return 0, 0, fmt.Errorf("range of %d bytes: %w", length, ErrTooLarge)
	}
	return start, length, nil
}
