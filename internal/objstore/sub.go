package objstore

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Sub returns the part of b below prefix, a folder with or without its '/', as
// a bucket whose keys leave prefix out. It keeps what else b can do: Check,
// and Presigner where b is one.
func Sub(b Bucket, prefix string) (Bucket, error) {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return b, nil
	}
	if err := ValidateKey(prefix); err != nil {
		return nil, fmt.Errorf("storage prefix: %w", err)
	}
	if len(prefix) > maxPrefixBytes {
		return nil, fmt.Errorf("storage prefix: %w %q…: %d bytes, at most %d", ErrInvalidKey, prefix[:20], len(prefix), maxPrefixBytes)
	}
	s := &sub{b: b, prefix: prefix + "/"}
	if p, ok := b.(Presigner); ok {
		return &subPresigner{s, p}, nil
	}
	return s, nil
}

type sub struct {
	b      Bucket
	prefix string
}

// full refuses what only the prefix would make a valid key.
func (s *sub) full(key string) (string, error) {
	if err := ValidateKey(key); err != nil {
		return "", err
	}
	return s.prefix + key, nil
}

func (s *sub) strip(i Info, err error) (Info, error) {
	i.Key = strings.TrimPrefix(i.Key, s.prefix)
	return i, err
}

func (s *sub) Get(ctx context.Context, key string) ([]byte, Info, error) {
	full, err := s.full(key)
	if err != nil {
		return nil, Info{}, err
	}
	data, info, err := s.b.Get(ctx, full)
	info, err = s.strip(info, err)
	return data, info, err
}

func (s *sub) GetRange(ctx context.Context, key string, off, n int64) ([]byte, Info, error) {
	full, err := s.full(key)
	if err != nil {
		return nil, Info{}, err
	}
	data, info, err := s.b.GetRange(ctx, full, off, n)
	info, err = s.strip(info, err)
	return data, info, err
}

func (s *sub) Open(ctx context.Context, key string, off int64) (io.ReadCloser, Info, error) {
	full, err := s.full(key)
	if err != nil {
		return nil, Info{}, err
	}
	r, info, err := s.b.Open(ctx, full, off)
	info, err = s.strip(info, err)
	return r, info, err
}

func (s *sub) Create(ctx context.Context, key string, body io.ReadSeeker) (Info, error) {
	full, err := s.full(key)
	if err != nil {
		return Info{}, err
	}
	return s.strip(s.b.Create(ctx, full, body))
}

func (s *sub) Put(ctx context.Context, key string, body io.ReadSeeker) (Info, error) {
	full, err := s.full(key)
	if err != nil {
		return Info{}, err
	}
	return s.strip(s.b.Put(ctx, full, body))
}

func (s *sub) List(ctx context.Context, prefix, after string, limit int) ([]Info, bool, error) {
	if err := ValidatePrefix(prefix); err != nil {
		return nil, false, err
	}
	if after != "" {
		after = s.prefix + after
	}
	infos, more, err := s.b.List(ctx, s.prefix+prefix, after, limit)
	for i := range infos {
		infos[i], _ = s.strip(infos[i], nil)
	}
	return infos, more, err
}

func (s *sub) Delete(ctx context.Context, keys ...string) error {
	full := make([]string, len(keys))
	for i, key := range keys {
		var err error
		if full[i], err = s.full(key); err != nil {
			return err
		}
	}
	return s.b.Delete(ctx, full...)
}

// Check implements Checker for what b can tell.
func (s *sub) Check(ctx context.Context) error {
	if c, ok := s.b.(Checker); ok {
		return c.Check(ctx)
	}
	return nil
}

type subPresigner struct {
	*sub
	p Presigner
}

func (s *subPresigner) PresignGet(ctx context.Context, key string, life time.Duration) (Presigned, error) {
	full, err := s.full(key)
	if err != nil {
		return Presigned{}, err
	}
	return s.p.PresignGet(ctx, full, life)
}

func (s *subPresigner) PresignPut(ctx context.Context, key string, size int64, mediaType string, life time.Duration) (Presigned, error) {
	full, err := s.full(key)
	if err != nil {
		return Presigned{}, err
	}
	return s.p.PresignPut(ctx, full, size, mediaType, life)
}
