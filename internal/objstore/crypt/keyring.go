package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// ErrKey is in the errors that say that the keyring does not open the store.
var ErrKey = errors.New("the keyring does not open this store")

// Keyring wraps data keys. Its first key wraps; all of them unwrap. The zero
// Keyring is empty and of no use.
type Keyring struct {
	keys []ringKey
}

type ringKey struct {
	id   string
	aead cipher.AEAD
}

// ParseKeyring parses keys written as id:base64 of 32 random bytes
// ("2026-11:" + the output of `openssl rand -base64 32`), the one to wrap with
// first. Its errors are kb.Invalid and show no key.
func ParseKeyring(specs []string) (Keyring, error) {
	var ring Keyring
	for i, spec := range specs {
		id, text, ok := strings.Cut(strings.TrimSpace(spec), ":")
		if !ok || !validID(id) {
			return Keyring{}, kb.E(kb.Invalid, nil, "key %d of the keyring must be written as id:base64, the id of a-z, 0-9, '-' and at most 32 characters", i+1)
		}
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil || len(secret) != 32 {
			return Keyring{}, kb.E(kb.Invalid, nil, "key %q of the keyring must be the base64 of 32 bytes; make one with: openssl rand -base64 32", id)
		}
		if ring.find(id) != nil {
			return Keyring{}, kb.E(kb.Invalid, nil, "key %q is twice in the keyring", id)
		}
		block, err := aes.NewCipher(secret)
		if err != nil {
			return Keyring{}, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return Keyring{}, err
		}
		ring.keys = append(ring.keys, ringKey{id, aead})
	}
	if len(ring.keys) == 0 {
		return Keyring{}, kb.E(kb.Invalid, nil, "the keyring is empty")
	}
	return ring, nil
}

func validID(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= 32
}

func (r Keyring) find(id string) *ringKey {
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}

// wrapped is a data key at rest, as JSON.
type wrapped struct {
	Version int    `json:"version"` // 1
	Ring    string `json:"key"`     // id of the key that wraps it
	Nonce   []byte `json:"nonce"`
	Secret  []byte `json:"secret"` // AES-256-GCM of the 32 bytes, with where it lies as associated data
}

// wrap encrypts secret for the place where it will lie.
func (r Keyring) wrap(secret []byte, place string) []byte {
	k := r.keys[0]
	w := wrapped{Version: 1, Ring: k.id, Nonce: make([]byte, k.aead.NonceSize())}
	rand.Read(w.Nonce) // never fails; random, as one key wraps far fewer than 2^32
	w.Secret = k.aead.Seal(nil, w.Nonce, secret, []byte(place))
	data, err := json.Marshal(w)
	if err != nil {
		panic(err) // a struct of strings and bytes
	}
	return data
}

// unwrap is the inverse. It also returns the id of the key that it used.
func (r Keyring) unwrap(data []byte, place string) (secret []byte, id string, err error) {
	var w wrapped
	if err := json.Unmarshal(data, &w); err != nil || w.Version != 1 {
		return nil, "", fmt.Errorf("data key %s: not of version 1", place)
	}
	k := r.find(w.Ring)
	if k == nil {
		var have []string
		for _, k := range r.keys {
			have = append(have, k.id)
		}
		return nil, "", kb.E(kb.Unavailable, fmt.Errorf("data key %s: %w", place, ErrKey),
			"storage is encrypted with key %q, and the keyring has %s; add that key", printable(w.Ring), strings.Join(have, ", "))
	}
	if len(w.Nonce) != k.aead.NonceSize() {
		return nil, "", fmt.Errorf("data key %s: nonce of %d bytes", place, len(w.Nonce))
	}
	secret, err = k.aead.Open(nil, w.Nonce, w.Secret, []byte(place))
	if err == nil && len(secret) != 32 {
		err = fmt.Errorf("%d bytes", len(secret))
	}
	if err != nil {
		return nil, "", kb.E(kb.Unavailable, fmt.Errorf("data key %s: %w: %w", place, ErrKey, err),
			"key %q of the keyring is not the one that storage was encrypted with, or the data key was altered", w.Ring)
	}
	return secret, w.Ring, nil
}

// printable keeps what a foreign object says out of logs unless it is an id.
func printable(id string) string {
	if validID(id) {
		return id
	}
	return "?"
}
