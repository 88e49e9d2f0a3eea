package app

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/crypt"
)

// dataKeys is where the wrapped data keys lie in the store.
const dataKeys = "keys"

// encrypted returns raw as settings want it: encrypted, or as it is.
func encrypted(cfg config.Config, raw objstore.Bucket) (objstore.Bucket, error) {
	if !cfg.Security.Encryption.Enabled {
		return raw, nil
	}
	return openCrypt(cfg, raw)
}

func openCrypt(cfg config.Config, raw objstore.Bucket) (*crypt.Bucket, error) {
	path := cfg.Security.Encryption.KeyFile
	specs, err := readKeyring(path)
	if err != nil {
		return nil, err
	}
	ring, err := crypt.ParseKeyring(specs)
	if err != nil {
		return nil, fmt.Errorf("security.encryption.key_file %s: %w", path, err)
	}
	keys, err := objstore.Sub(raw, dataKeys)
	if err != nil {
		return nil, err
	}
	return crypt.New(raw, keys, ring)
}

// sameEncryption refuses a store that was begun the other way: read with the
// wrong setting, everything in it looks damaged.
func sameEncryption(ctx context.Context, cfg config.Config, raw objstore.Bucket) error {
	keys, _, err := raw.List(ctx, dataKeys+"/", "", 1)
	if err != nil {
		return fmt.Errorf("storage.url: %w", err)
	}
	on := cfg.Security.Encryption.Enabled
	if len(keys) > 0 && !on {
		return kb.E(kb.Invalid, nil, "security.encryption.enabled: the store is encrypted; set it to true and security.encryption.key_file to its keyring")
	}
	if len(keys) > 0 || !on {
		return nil
	}
	data, _, err := raw.List(ctx, "t/", "", 1)
	if err != nil {
		return fmt.Errorf("storage.url: %w", err)
	}
	if len(data) > 0 {
		return kb.E(kb.Invalid, nil, "security.encryption.enabled: the store holds data that is not encrypted; export its tenants, and import them into a store that is new (another storage.url)")
	}
	return nil
}

// readKeyring reads one key a line, the one to wrap with first; blank lines
// and those that begin with '#' are left out.
func readKeyring(path string) (specs []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, kb.E(kb.Invalid, err, "security.encryption.key_file: %s cannot be read; make a keyring with: bin/server keyring init %s", path, path)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			specs = append(specs, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, kb.E(kb.Invalid, err, "security.encryption.key_file: %s is no keyring", path)
	}
	return specs, nil
}

// newKey is a random key with an id that is not among known.
func newKey(now time.Time, known []string) string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	id := now.UTC().Format("2006-01-02")
	for n := 2; slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, id+":") }); n++ {
		id = fmt.Sprintf("%s-%d", now.UTC().Format("2006-01-02"), n)
	}
	return id + ":" + base64.StdEncoding.EncodeToString(secret)
}

const keyringHead = `# Keyring of Eino QA: the key that wraps is the first one.
# Who has this file and the store reads everything; who loses it reads nothing
# any more. Keep a copy where the store is not.
`

// initKeyring makes a keyring with one key. It never replaces a file.
func initKeyring(path string, now time.Time) error {
	if _, err := os.Lstat(path); err == nil {
		return kb.E(kb.Conflict, nil, "%s is there already; a keyring is never replaced. To rotate: bin/server keyring add %s", path, path)
	}
	return writeKeyring(path, []string{newKey(now, nil)}, false)
}

// addKey puts a new key before the others of a keyring.
func addKey(path string, now time.Time) error {
	specs, err := readKeyring(path)
	if err != nil {
		return err
	}
	if _, err := crypt.ParseKeyring(specs); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeKeyring(path, append([]string{newKey(now, specs)}, specs...), true)
}

// writeKeyring makes the file appear whole or not at all, readable by this
// user only.
func writeKeyring(path string, specs []string, replace bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".keyring-*")
	if err != nil {
		return kb.E(kb.Invalid, err, "%s cannot be written", path)
	}
	defer func() { _ = os.Remove(f.Name()) }() // it has its name by then
	_, err = f.WriteString(keyringHead + strings.Join(specs, "\n") + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write keyring: %w", err)
	}
	if replace {
		err = os.Rename(f.Name(), path)
	} else {
		err = os.Link(f.Name(), path) // fails where somebody was faster
	}
	if err != nil {
		return kb.E(kb.Invalid, err, "%s cannot be written", path)
	}
	return nil
}
