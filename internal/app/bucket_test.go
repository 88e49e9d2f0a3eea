package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/storage"
)

func TestStoresAreOpenedByTheirURL(t *testing.T) {
	t.Parallel()
	secret := config.NewSecret("secret")
	for url, tt := range map[string]struct {
		region string
		want   string // in the error; "" = it opens
	}{
		"s3://bucket/prefix?endpoint=http://127.0.0.1:1&path_style=true": {"us-east-1", ""},
		"oss://bucket/prefix?endpoint=oss-cn-hangzhou.aliyuncs.com":      {"", ""},
		"oss://bucket": {"cn-hangzhou", ""},
		"oss://bucket?endpoint=http://127.0.0.1:1":     {"cn-hangzhou", ""},
		"oss://bucket?endpoint=http://127.0.0.1:1&x=y": {"cn-hangzhou", `unknown setting "x"`},
		"oss://bucket?region=cn-beijing":               {"cn-hangzhou", ""},
		"gs://bucket":                                  {"", "gs"},
		"oss://key:word@bucket?region=cn-hangzhou":     {"", "credentials"},
	} {
		cfg := config.Config{Storage: config.Storage{URL: url, Region: tt.region, AccessKeyID: secret, SecretAccessKey: secret}}
		b, folder, err := storage.Open(cfg, nil)
		if tt.want == "" && (err != nil || b == nil || folder) {
			t.Errorf("%s: %v", url, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", url, err, tt.want)
		}
	}
}

func TestKeyring(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ring")
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	if err := initKeyring(path, day); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := initKeyring(path, day); kb.KindOf(err) != kb.Conflict {
		t.Errorf("a second init: %v, want a conflict", err)
	}
	for range 2 {
		if err := addKey(path, day); err != nil {
			t.Fatal(err)
		}
	}
	specs, err := readKeyring(path)
	if err != nil || len(specs) != 3 || !strings.HasPrefix(specs[0], "2026-05-01-3:") || !strings.Contains(string(first), specs[2]) {
		t.Errorf("%d keys, %v; want the newest first and the first last", len(specs), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
	cfg := config.Config{Security: config.Security{Encryption: config.Encryption{Enabled: true, KeyFile: path}}}
	if _, err := encrypted(cfg, new(mem.Bucket)); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"empty": "# nothing\n", "short": "a:AAAA\n", "twice": specs[0] + "\n" + specs[0] + "\n", "no id": "AAAA\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := encrypted(cfg, new(mem.Bucket)); kb.KindOf(err) != kb.Invalid || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: %v, want invalid, without the key", name, err)
		}
	}
}

// A store that is opened the wrong way is refused before anything is written:
// by its data keys it would be taken for an encrypted one from then on.
func TestEncryptionIsChosenOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ring := filepath.Join(dir, "ring")
	if err := initKeyring(ring, time.Now()); err != nil {
		t.Fatal(err)
	}
	cfg := func(name string, on bool) config.Config {
		return config.Config{
			Database: config.Database{BasePath: filepath.Join(dir, name)},
			Security: config.Security{Encryption: config.Encryption{Enabled: on, KeyFile: ring}},
		}
	}
	for _, on := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "encrypted"}[on]
		b, _, err := openBucket(t.Context(), cfg(name, on))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Create(t.Context(), "t/acme/head/0000000000000001", strings.NewReader("{}")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, _, err := openBucket(t.Context(), cfg(name, !on)); kb.KindOf(err) != kb.Invalid {
				t.Errorf("%s, opened the other way: %v, want invalid", name, err)
			}
		}
		if _, _, err := openBucket(t.Context(), cfg(name, on)); err != nil {
			t.Errorf("%s, opened as it is: %v", name, err)
		}
	}
}
