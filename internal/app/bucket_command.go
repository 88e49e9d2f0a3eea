//go:build !function

package app

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/storage"
)

func (o *operator) keyring() error {
	if len(o.args) != 2 || o.args[0] != "init" && o.args[0] != "add" {
		return o.bad("say init or add, and the file")
	}
	path := o.args[1]
	if o.args[0] == "add" {
		if err := addKey(path, time.Now()); err != nil {
			return err
		}
		fmt.Fprintf(o.out, "%s has a new first key. Give the file to every server, restart them, then run: bin/server rekey\n", path)
		return nil
	}
	if err := initKeyring(path, time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(o.out, "%s is made, readable by you only. Keep a copy where the store is not: without it nothing can be read.\nThen set SECURITY_ENCRYPTION_ENABLED=true and SECURITY_ENCRYPTION_KEY_FILE=%s\n", path, path)
	return nil
}

func (o *operator) rekey(ctx context.Context) error {
	if !o.cfg.Security.Encryption.Enabled {
		return kb.E(kb.Invalid, nil, "security.encryption.enabled is false: there is nothing to wrap")
	}
	raw, _, err := storage.Open(o.cfg, nil)
	if err != nil {
		return err
	}
	b, err := openCrypt(o.cfg, raw)
	if err != nil {
		return err
	}
	n, err := b.Rekey(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "%d data keys were wrapped with the first key of the keyring; the others may be removed from it when every server was restarted\n", n)
	return nil
}

func (o *operator) replica(ctx context.Context) error {
	if len(o.args) != 1 {
		return o.bad("give the folder to write to")
	}
	b, _, err := openBucket(ctx, o.cfg)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.args[0], 0o700); err != nil {
		return kb.E(kb.Invalid, err, "%s cannot be made", o.args[0])
	}
	n, size, err := copyReplica(ctx, b, inTenant(o.tenant), o.args[0], func(files int, bytes int64) {
		if files%1000 == 0 {
			fmt.Fprintf(o.err, "%d files, %d MiB\n", files, bytes>>20)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "%d files, %d bytes. A tenant's newest database: litestream restore -o out.db file://ABSOLUTE/%s/t/TENANT/LINEAGE\n", n, size, strings.Trim(o.args[0], "/"))
	return nil
}
