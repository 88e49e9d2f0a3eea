package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/google/go-cmp/cmp"
)

// TestEnvironmentNamesArePathsInCapitals holds the env tags against the yaml
// tags.
func TestEnvironmentNamesArePathsInCapitals(t *testing.T) {
	t.Parallel()
	params, err := env.GetFieldParamsWithOptions(&Config{}, env.Options{Environment: map[string]string{"X": "y"}, FuncMap: parsers()})
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, p := range params {
		got = append(got, p.Key)
	}
	for _, one := range knownSettings().settings {
		want = append(want, one.env)
	}
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Errorf("environment names (-paths +tags):\n%s", diff)
	}
}

// TestEverySettingIsBounded: a number without bounds lets a slip of the finger
// through, and a default outside its bounds would refuse every start.
func TestEverySettingIsBounded(t *testing.T) {
	t.Parallel()
	s, c := knownSettings(), Default()
	for i := range s.settings {
		one := &s.settings[i]
		switch reflect.New(one.field.Type).Elem().Interface().(type) {
		case int, float64, Bytes, time.Duration:
			if one.field.Tag.Get("min") == "" || one.field.Tag.Get("max") == "" {
				t.Errorf("%s has no min or max", one.path)
			}
		}
		if err := s.check(&c, one); err != nil {
			t.Errorf("the default of %s: %v", one.path, err)
		}
		if strings.ToLower(one.path) != one.path {
			t.Errorf("%s is not in lower case", one.path)
		}
	}
}

// TestGuideKeys: every key of the deployment guide is a setting, and so are
// those DESIGN names.
func TestGuideKeys(t *testing.T) {
	t.Parallel()
	s := knownSettings()
	for path := range strings.FieldsSeq(`
		server.host server.port server.mode server.max_concurrent_requests server.request_timeout server.read_timeout server.write_timeout
		server.tls.enabled server.tls.cert_file server.tls.key_file
		dashscope.api_key dashscope.base_url dashscope.chat_model dashscope.embed_model dashscope.embedding_dimension dashscope.max_retries dashscope.timeout
		milvus.host milvus.port milvus.username milvus.password milvus.timeout milvus.max_connections milvus.max_idle_connections milvus.connection_timeout
		database.base_path database.max_open_conns database.max_idle_conns database.conn_max_lifetime
		cache.enabled cache.type cache.redis.host cache.redis.port cache.redis.db cache.ttl
		logging.level logging.format logging.output logging.file_path
		security.api_keys security.encryption.enabled security.encryption.key_file security.sensitive_fields
		rag.top_k rag.score_threshold intent.confidence_threshold session.max_history session.timeout
		handoff.timeout storage.url tenants.auto_create backup.commit_window`) {
		if s.byPath[path] == nil {
			t.Errorf("%s is no setting", path)
		}
	}
	for _, name := range []string{"DASHSCOPE_API_KEY", "MILVUS_HOST", "MILVUS_PORT", "MILVUS_USERNAME", "MILVUS_PASSWORD", "SERVER_PORT", "STORAGE_URL"} {
		if s.byEnv[name] == nil {
			t.Errorf("%s is not read", name)
		}
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0": "0", "1": "1", "1023": "1023", "1024": "1KiB", "1k": "1KiB", "10M": "10MiB", "10MB": "10MiB", "10 MiB": "10MiB", "1536K": "1536KiB",
		"2G": "2GiB", "1T": "1TiB", "1048576": "1MiB", "5b": "5",
		"": "!", "-1": "!", "1.5M": "!", "M": "!", "1X": "!", "9223372036854775807": "!", "99999999T": "!", "iB": "!",
	} {
		b, err := ParseBytes(in)
		got := b.String()
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("ParseBytes(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0": "0s", "1ms": "1ms", "90s": "1m30s", "60m": "1h", "1h30m": "1h30m", "1d": "24h", "30d": "720h", "1h0m1s": "1h0m1s",
		"-1d": "!", "1.5d": "!", "d": "!", "30": "!", "1w": "!", "99999999d": "!",
	} {
		d, err := parseDuration(in)
		got := "!"
		if err == nil {
			got = show(d)
		}
		if got != want {
			t.Errorf("parseDuration(%q) = %s, want %s", in, got, want)
		}
	}
}
