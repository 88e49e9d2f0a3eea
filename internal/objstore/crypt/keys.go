package crypt

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Scope names what shares data keys with key: a tenant's data and inbox
// ("t/acme/…", "inbox/acme/…" → "t.acme"), else everything.
func Scope(key string) string {
	kind, rest, _ := strings.Cut(key, "/")
	if tenant, _, ok := strings.Cut(rest, "/"); ok && (kind == "t" || kind == "inbox") {
		return "t." + tenant
	}
	return "shared"
}

// store keeps data keys in a bucket. Key n of a scope is the object
// scope/n/w with the highest w, both of 10 digits: wrapping it anew makes
// w+1. Everything is created if absent, so that servers which start at the
// same time, or rewrap at the same time, agree.
type store struct {
	b    objstore.Bucket
	ring Keyring

	mu     sync.Mutex
	scopes map[string]*scope
}

// scope is the data keys of one scope, as far as they are known.
type scope struct {
	lock chan struct{} // one token; a mutex that ctx can end the wait for
	keys []dataKey     // ascending; append only
}

func newStore(b objstore.Bucket, ring Keyring) *store {
	return &store{b: b, ring: ring, scopes: map[string]*scope{}}
}

// with calls f with the scope, which no one else uses meanwhile.
func (s *store) with(ctx context.Context, name string, f func(*scope) error) error {
	s.mu.Lock()
	sc := s.scopes[name]
	if sc == nil {
		sc = &scope{lock: make(chan struct{}, 1)}
		s.scopes[name] = sc
	}
	s.mu.Unlock()
	select {
	case sc.lock <- struct{}{}:
		defer func() { <-sc.lock }()
		return f(sc)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// current returns the key to encrypt with, and makes the first one.
func (s *store) current(ctx context.Context, name string) (dk dataKey, err error) {
	err = s.with(ctx, name, func(sc *scope) error {
		if len(sc.keys) == 0 {
			if err := s.load(ctx, name, sc); err != nil {
				return err
			}
		}
		if len(sc.keys) == 0 {
			if err := s.create(ctx, name, 1); err != nil {
				return err
			}
			if err := s.load(ctx, name, sc); err != nil {
				return err
			}
		}
		if len(sc.keys) == 0 {
			return objstore.Trouble(objstore.ErrDown, fmt.Errorf("data key of %s was made and is not listed", name))
		}
		dk = sc.keys[len(sc.keys)-1]
		return nil
	})
	return dk, err
}

// find returns the key with a number, which an object was encrypted with.
func (s *store) find(ctx context.Context, name string, number uint32) (dk dataKey, err error) {
	err = s.with(ctx, name, func(sc *scope) error {
		for range 2 {
			if i := slices.IndexFunc(sc.keys, func(k dataKey) bool { return k.number == number }); i >= 0 {
				dk = sc.keys[i]
				return nil
			}
			if err := s.load(ctx, name, sc); err != nil {
				return err
			}
		}
		return objstore.Trouble(objstore.ErrCorrupt, fmt.Errorf("data key %d of %s is missing in the store", number, name))
	})
	return dk, err
}

// create makes key number of a scope. That another did is as good.
func (s *store) create(ctx context.Context, name string, number uint32) error {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	place := name + "/" + digits(number)
	_, err := s.b.Create(ctx, place+"/"+digits(1), bytes.NewReader(s.ring.wrap(secret, place)))
	if err != nil && !errors.Is(err, objstore.ErrExist) {
		// Whatever became of it, the next call reads what is there.
		return fmt.Errorf("make data key %s: %w", place, err)
	}
	return nil
}

func digits(n uint32) string { return fmt.Sprintf("%010d", n) }

// load reads the keys that sc does not have yet.
func (s *store) load(ctx context.Context, name string, sc *scope) error {
	places, err := s.list(ctx, name+"/")
	if err != nil {
		return fmt.Errorf("data keys of %s: %w", name, err)
	}
	for _, p := range places {
		if slices.ContainsFunc(sc.keys, func(k dataKey) bool { return k.number == p.number }) {
			continue
		}
		secret, _, err := s.read(ctx, p)
		if err != nil {
			return err
		}
		dk, err := newDataKey(p.number, secret)
		if err != nil {
			return err
		}
		sc.keys = append(sc.keys, dk)
	}
	slices.SortFunc(sc.keys, func(a, b dataKey) int { return int(int64(a.number) - int64(b.number)) })
	return nil
}

// place is where a data key lies.
type place struct {
	scope  string
	number uint32
	wraps  []uint32 // ascending
}

func (p place) String() string { return p.scope + "/" + digits(p.number) }

func (p place) newest() uint32 { return p.wraps[len(p.wraps)-1] }

// list finds the data keys below prefix, in order.
func (s *store) list(ctx context.Context, prefix string) ([]place, error) {
	var places []place
	for after, more := "", true; more; {
		infos, m, err := s.b.List(ctx, prefix, after, 0)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			after = info.Key
			name, number, wrap, ok := parsePlace(info.Key)
			if !ok {
				continue // nothing of ours
			}
			if n := len(places); n > 0 && places[n-1].scope == name && places[n-1].number == number {
				places[n-1].wraps = append(places[n-1].wraps, wrap)
				continue
			}
			places = append(places, place{name, number, []uint32{wrap}})
		}
		more = m && len(infos) > 0
	}
	return places, nil
}

func parsePlace(key string) (name string, number, wrap uint32, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 || len(parts[1]) != 10 || len(parts[2]) != 10 {
		return "", 0, 0, false
	}
	n, err1 := strconv.ParseUint(parts[1], 10, 32)
	w, err2 := strconv.ParseUint(parts[2], 10, 32)
	return parts[0], uint32(n), uint32(w), err1 == nil && err2 == nil && n > 0 && w > 0
}

// read unwraps the newest form of the key at p. A rekey may have replaced it
// since it was listed.
func (s *store) read(ctx context.Context, p place) (secret []byte, ringID string, err error) {
	for wrap := p.newest(); ; wrap++ {
		data, _, err := s.b.Get(ctx, p.String()+"/"+digits(wrap))
		if errors.Is(err, objstore.ErrNotExist) && wrap < p.newest()+8 { // rekeys within one load
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("data key %s: %w", p, err)
		}
		return s.ring.unwrap(data, p.String())
	}
}

// rekey wraps every data key with the first key of the ring, and deletes a
// former form only after the new one was read back and opened.
func (s *store) rekey(ctx context.Context) (wrapped int, err error) {
	places, err := s.list(ctx, "")
	if err != nil {
		return 0, fmt.Errorf("list data keys: %w", err)
	}
	for _, p := range places {
		secret, id, err := s.read(ctx, p)
		if err != nil {
			return wrapped, err
		}
		if id != s.ring.keys[0].id {
			next := p.newest() + 1
			_, err := s.b.Create(ctx, p.String()+"/"+digits(next), bytes.NewReader(s.ring.wrap(secret, p.String())))
			if err != nil && !errors.Is(err, objstore.ErrExist) {
				return wrapped, fmt.Errorf("wrap data key %s: %w", p, err)
			}
			p.wraps = append(p.wraps, next)
			again, id, err := s.read(ctx, p)
			if err != nil {
				return wrapped, fmt.Errorf("read back: %w", err)
			}
			if !bytes.Equal(again, secret) || id != s.ring.keys[0].id {
				return wrapped, fmt.Errorf("data key %s was wrapped by another at the same time; run rekey again", p)
			}
			wrapped++
		}
		var old []string
		for _, w := range p.wraps[:len(p.wraps)-1] {
			old = append(old, p.String()+"/"+digits(w))
		}
		if err := s.b.Delete(ctx, old...); err != nil {
			return wrapped, fmt.Errorf("delete former wraps of %s: %w", p, err)
		}
	}
	return wrapped, nil
}
