package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// rootKeyFile is where the generated root key is kept, readable by this user
// only.
func (a *App) rootKeyFile() string { return filepath.Join(a.cfg.Database.DataDir, "root.key") }

// keepRootKey writes the generated key so that it is durable before it is
// printed; the store only has its hash.
func (a *App) keepRootKey(key string) (err error) {
	path := a.rootKeyFile()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep root key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep root key: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(key + "\n"); err != nil {
		return fmt.Errorf("keep root key: %w", err)
	}
	return f.Sync()
}
