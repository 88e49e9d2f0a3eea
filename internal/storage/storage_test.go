package storage

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, url string
		folder    bool
		kind      kb.Kind
		says      string // "" = it opens
	}{
		{"no url is the folder of the settings", "", true, 0, ""},
		{"a folder by its url", "file://" + t.TempDir(), true, 0, ""},
		{"a file is no folder", "file://" + file, false, kb.Unavailable, "STORAGE_URL"},
		{"s3", "s3://bucket/prefix?region=us-east-1", false, 0, ""},
		{"s3 without a region takes the setting", "s3://bucket?endpoint=" + url.QueryEscape("http://127.0.0.1:1"), false, 0, ""},
		{"oss", "oss://bucket?endpoint=oss-cn-hangzhou.aliyuncs.com", false, 0, ""},
		{"oss without a region takes the setting", "oss://bucket", false, 0, ""},
		{"oss over s3 loses writes", "s3://bucket?endpoint=https://oss-cn-hangzhou.aliyuncs.com", false, kb.Invalid, "oss://"},
		{"a store we do not know", "gs://bucket", false, kb.Invalid, `"gs" is not a store we know`},
		{"no url at all", "s3://%zz", false, kb.Invalid, "storage.url"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := config.Config{Storage: config.Storage{URL: c.url, Region: "cn-beijing"}, Database: config.Database{BasePath: t.TempDir()}}
			b, folder, err := Open(cfg, nil)
			if c.says == "" && (err != nil || b == nil || folder != c.folder) {
				t.Errorf("Open = folder %v, %v, want folder %v", folder, err, c.folder)
			}
			if c.says != "" && (kb.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("Open = %v, want %v with %q", err, c.kind, c.says)
			}
		})
	}
}

func TestKeysAreAskedInsteadOfTheSettings(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"s3://bucket?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A1", "oss://bucket?endpoint=http%3A%2F%2F127.0.0.1%3A1&region=cn-hangzhou"} {
		none := errors.New("the platform sent none")
		asked := 0
		b, _, err := Open(config.Config{Storage: config.Storage{URL: raw}}, func(context.Context) (string, string, string, time.Time, error) {
			asked++
			return "", "", "", time.Time{}, none
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = b.Get(t.Context(), "t/x")
		if asked == 0 || err == nil || errors.Is(err, objstore.ErrNotExist) {
			t.Errorf("%s: asked %d times, Get = %v", raw, asked, err)
		}
	}
}
