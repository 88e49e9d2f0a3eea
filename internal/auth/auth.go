// Package auth tells who asks and what they may do: API keys with scopes,
// public visitors, and signed links to quoted text. Keys are kept as hashes;
// nothing is open because a list is empty.
package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Scope is one thing a key may do.
type Scope string

// Scopes. Root may do everything; the others do not include one another.
const (
	Chat   Scope = "chat"
	Ingest Scope = "ingest"
	Admin  Scope = "admin"
	Root   Scope = "root"
)

// Key is one accepted key.
type Key struct {
	ID      string
	Hash    string // HashKey of the key
	Scopes  []Scope
	Tenant  kb.TenantID // "" = may name any tenant
	Expires time.Time   // zero = never
}

// HashKey returns the SHA-256 of a key in hex. Keys are random and long, so a
// fast hash is enough.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Principal is who asks. The zero Principal is a visitor without a key.
type Principal struct {
	KeyID  string
	Tenant kb.TenantID // the key's; "" = may name any
	scopes []Scope
}

// Public reports whether no key was given.
func (p Principal) Public() bool { return p.KeyID == "" }

// Can reports whether the principal's key has the scope.
func (p Principal) Can(s Scope) bool {
	return slices.Contains(p.scopes, s) || slices.Contains(p.scopes, Root)
}

// Require returns nil, kb.Unauthenticated without a key, or kb.Forbidden.
func (p Principal) Require(s Scope) error {
	switch {
	case p.Can(s):
		return nil
	case p.Public():
		return kb.E(kb.Unauthenticated, nil, "this needs an API key with scope %q: send it as X-API-Key or Authorization: Bearer", s)
	}
	return kb.E(kb.Forbidden, nil, "this key does not have scope %q", s)
}

// Keys checks presented keys against fixed ones and those of a source that is
// read again when it is older than maxAge.
type Keys struct {
	fixed  map[string]Key
	source func(context.Context) ([]Key, error)

	mu     sync.Mutex
	loaded map[string]Key
	at     time.Time
}

// maxAge bounds how long a revoked key works (DESIGN §4, _control).
const maxAge = 5 * time.Second

// NewKeys returns a checker of the fixed keys and those of source.
func NewKeys(fixed []Key, source func(context.Context) ([]Key, error)) *Keys {
	return &Keys{fixed: byHash(fixed), source: source}
}

func byHash(keys []Key) map[string]Key {
	m := make(map[string]Key, len(keys))
	for _, k := range keys {
		m[k.Hash] = k
	}
	return m
}

// Principal returns who sent r: the owner of its key, or a public visitor if
// it has none. An unknown or expired key is kb.Unauthenticated, never public.
func (k *Keys) Principal(r *http.Request) (Principal, error) {
	key := presented(r)
	if key == "" {
		return Principal{}, nil
	}
	hash := HashKey(key)
	found, ok := k.fixed[hash]
	if !ok {
		loaded, err := k.current(r.Context())
		if err != nil {
			return Principal{}, err
		}
		found, ok = loaded[hash]
	}
	if !ok || !found.Expires.IsZero() && time.Now().After(found.Expires) {
		return Principal{}, kb.E(kb.Unauthenticated, nil, "this API key is unknown or has expired")
	}
	return Principal{KeyID: found.ID, Tenant: found.Tenant, scopes: found.Scopes}, nil
}

func (k *Keys) current(ctx context.Context) (map[string]Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.at) < maxAge {
		return k.loaded, nil
	}
	keys, err := k.source(ctx)
	if err != nil {
		return nil, kb.E(kb.Unavailable, err, "keys cannot be checked now; try again")
	}
	k.loaded, k.at = byHash(keys), time.Now()
	return k.loaded, nil
}

// presented returns the key a request carries: X-API-Key, a bearer token, or
// the password of Basic auth (as go tool pprof and Prometheus send it).
func presented(r *http.Request) string {
	if key := r.Header.Get("X-API-Key"); key != "" {
		return key
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	_, password, _ := r.BasicAuth()
	return password
}

// ForTenant decides which tenant a request is for: the key's own, or for a key
// bound to none and for visitors the one that is named, in the order given,
// else the default. Naming another tenant than the key's is kb.Forbidden.
func (p Principal) ForTenant(named ...string) (kb.TenantID, error) {
	for _, n := range named {
		if n == "" {
			continue
		}
		id, err := kb.ParseTenant(n)
		if err != nil {
			return "", err
		}
		if p.Tenant != "" && p.Tenant != id {
			return "", kb.E(kb.Forbidden, nil, "this key belongs to another tenant than the one named")
		}
		return id, nil
	}
	if p.Tenant != "" {
		return p.Tenant, nil
	}
	return kb.DefaultTenant, nil
}
