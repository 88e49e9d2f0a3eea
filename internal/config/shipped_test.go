package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestTheExampleChangesNothing: .env.example unedited and config.yaml as
// shipped are a start without settings.
func TestTheExampleChangesNothing(t *testing.T) {
	t.Parallel()
	want := mustLoad(t, Source{Dir: dir(t)})
	got := mustLoad(t, Source{Dir: dir(t, ".env", read(t, "../../.env.example"), "config/config.yaml", read(t, "../../config/config.yaml"))})
	if got.Run.EnvFile == "" || got.Run.File == "" {
		t.Fatalf("read %q and %q, want both files", got.Run.EnvFile, got.Run.File)
	}
	if len(got.Run.Warnings) > 0 {
		t.Errorf("warnings: %q", got.Run.Warnings)
	}
	got.Run, want.Run = Run{}, Run{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the shipped files change settings (-without +with):\n%s", diff)
	}
}

// TestEveryLineOfTheExampleWorks: a line without its # is a variable that is
// read, and one with a value can be used as it is.
func TestEveryLineOfTheExampleWorks(t *testing.T) {
	t.Parallel()
	s, seen := knownSettings(), 0
	for line := range strings.Lines(read(t, "../../.env.example")) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "#"), "=")
		if !ok || !isName(name) {
			continue
		}
		seen++
		known := s.byEnv[name] != nil || name == "API_KEY_1" || name == "API_KEY_2" || name == "ROOT_KEY"
		if !known {
			t.Errorf("%s is not read", name)
		}
		if line[0] != '#' {
			t.Errorf("%s is not commented out", name)
		}
		if _, err := Load(Source{Dir: dir(t, ".env", name+"="+value)}); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if seen < 10 {
		t.Errorf("%d lines seen, want at least 10", seen)
	}
}

func TestProductionSettings(t *testing.T) {
	t.Parallel()
	root := dir(t, "config.prod.yaml", read(t, "../../config/config.prod.yaml"))
	if _, err := Load(Source{Dir: root, Args: []string{"-config", "config.prod.yaml"}}); err == nil {
		t.Error("config.prod.yaml starts without a key")
	}
	c := mustLoad(t, Source{Dir: root, Args: []string{"-config", "config.prod.yaml"}, Environ: []string{
		"DASHSCOPE_API_KEY=sk-0123456789", "API_KEY_1=prod-key-0123456789", "API_KEY_2=prod-key-9876543210", "MILVUS_HOST=milvus", "MILVUS_USERNAME=u", "MILVUS_PASSWORD=p",
	}})
	got := []any{
		c.Server.Mode, c.Listen(), c.Logging.Output, c.Logging.FilePath, c.Database.BasePath, c.Database.DataDir, len(c.Security.APIKeys),
		c.Milvus.Address(), c.PublicChat(), c.Sample(),
	}
	want := []any{Release, "0.0.0.0:8080", "file", "/var/log/eino-qa/app.log", "/var/lib/eino-qa/db", "/var/lib/eino-qa", 2, "milvus:19530", false, false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCommentedSettingsWork: what the shipped files show in comments can be
// taken as it is.
func TestCommentedSettingsWork(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for line := range strings.Lines(read(t, "../../config/config.prod.yaml")) {
		rest := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(rest)]
		if after, ok := strings.CutPrefix(rest, "# "); ok {
			if name, _, isKey := strings.Cut(strings.TrimSpace(after), ":"); isKey && isName(name) {
				line = indent + after
			}
		}
		b.WriteString(line)
	}
	root := dir(t, "a.yaml", b.String())
	_, err := Load(Source{Dir: root, Args: []string{"-config", "a.yaml"}, Environ: []string{"API_KEY_1=prod-key-0123456789"}})
	bad, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("Load = %v, want complaints about the TLS and key files only\n%s", err, b.String())
	}
	var got []string
	for _, p := range bad.Problems {
		got = append(got, p.Setting)
	}
	want := []string{"security.encryption.key_file", "server.tls.cert_file", "server.tls.key_file"}
	if diff := cmp.Diff(want, sorted(got)); diff != "" {
		t.Errorf("complaints (-want +got):\n%s\n%v", diff, err)
	}
}

// TestTheGuidesSettingsLoad loads every piece of YAML of the deployment guide
// as it stands there.
func TestTheGuidesSettingsLoad(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/guide-*.yaml")
	if err != nil || len(names) < 4 {
		t.Fatalf("Glob = %q, %v", names, err)
	}
	environ := []string{
		"DASHSCOPE_API_KEY=sk-0123456789", "API_KEY_1=prod-key-0123456789", "API_KEY_2=prod-key-9876543210", "MILVUS_USERNAME=u", "MILVUS_PASSWORD=p",
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			abs, err := filepath.Abs(name)
			if err != nil {
				t.Fatal(err)
			}
			c := mustLoad(t, Source{Dir: dir(t), Args: []string{"-config", abs}, Environ: environ})
			if c.Run.File != abs || len(c.Run.Origin) == 0 {
				t.Errorf("Run = %+v, want the file and the origins", c.Run)
			}
		})
	}
}

func TestTheGuidesSampleKeysAreRefused(t *testing.T) {
	t.Parallel()
	abs, err := filepath.Abs("testdata/guide-production.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Load(Source{Dir: dir(t, ".env", read(t, "testdata/guide.env")), Args: []string{"-config", abs}})
	bad, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("Load = %v", err)
	}
	var got []string
	for _, p := range bad.Problems {
		got = append(got, p.Setting)
	}
	want := []string{"dashscope.api_key", "milvus.password", "milvus.username", "security.api_keys"}
	if diff := cmp.Diff(want, sorted(got)); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

func TestShippedFilesUseUnixLineEnds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../../config/config.yaml", "../../config/config.prod.yaml", "../../.env.example"} {
		if data := []byte(read(t, name)); bytes.ContainsRune(data, '\r') || bytes.ContainsRune(data, '\t') {
			t.Errorf("%s has a carriage return or a tab", name)
		}
	}
}
