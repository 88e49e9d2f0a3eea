package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dir makes a folder with files in it: name, content, name, content …
func dir(t testing.TB, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(root, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// mustLoad loads and fails the test on an error.
func mustLoad(t *testing.T, src Source) Config {
	t.Helper()
	c, err := Load(src)
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	return c
}

func TestNothingSetMeansTheDefaults(t *testing.T) {
	t.Parallel()
	got := mustLoad(t, Source{Dir: dir(t)})
	want := Default()
	want.Server.Host = "127.0.0.1"
	want.Logging.Format = "text"
	want.Database.DataDir = "data"
	want.Run.Platform, want.Run.Origin, want.Run.Args = "local", map[string]string{}, nil
	got.Run.Args = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load of nothing (-want +got):\n%s", diff)
	}
}

func TestTheHeavierSourceWins(t *testing.T) {
	t.Parallel()
	const file, dot = "server:\n  port: 1001\n", "SERVER_PORT=1002\n"
	tests := []struct {
		name    string
		files   []string
		args    []string
		environ []string
		want    int
		from    string
	}{
		{name: "nothing is the default", want: 8080},
		{name: "the default file is read where it exists", files: []string{"config/config.yaml", file}, want: 1001, from: "config/config.yaml:2"},
		{name: "-config names the file", files: []string{"a.yaml", file}, args: []string{"-config", "a.yaml"}, want: 1001, from: "a.yaml:2"},
		{name: "--config=FILE is the same", files: []string{"a.yaml", file}, args: []string{"--config=a.yaml"}, want: 1001, from: "a.yaml:2"},
		{name: "CONFIG_PATH names the file", files: []string{"a.yaml", file}, environ: []string{"CONFIG_PATH=a.yaml"}, want: 1001, from: "a.yaml:2"},
		{name: "CONFIG_PATH may stand in .env", files: []string{"a.yaml", file, ".env", "CONFIG_PATH=a.yaml"}, want: 1001, from: "a.yaml:2"},
		{name: "-config beats CONFIG_PATH", files: []string{"a.yaml", file, "b.yaml", "server: {port: 1}"}, args: []string{"-config", "a.yaml"}, environ: []string{"CONFIG_PATH=b.yaml"}, want: 1001, from: "a.yaml:2"},
		{name: "a named file replaces the default file", files: []string{"config/config.yaml", "server: {port: 1}", "a.yaml", "{}"}, args: []string{"-config", "a.yaml"}, want: 8080},
		{name: ".env beats the file", files: []string{"config/config.yaml", file, ".env", dot}, want: 1002, from: ".env:1 SERVER_PORT"},
		{name: "the environment beats .env", files: []string{"config/config.yaml", file, ".env", dot}, environ: []string{"SERVER_PORT=1003"}, want: 1003, from: "SERVER_PORT"},
		{name: "an empty variable counts as absent", files: []string{"config/config.yaml", file}, environ: []string{"SERVER_PORT="}, want: 1001, from: "config/config.yaml:2"},
		{name: "an empty variable does not hide .env", files: []string{".env", dot}, environ: []string{"SERVER_PORT= "}, want: 1002, from: ".env:1 SERVER_PORT"},
		{name: "the later line of .env wins", files: []string{".env", "SERVER_PORT=1\nSERVER_PORT=2\nSERVER_PORT=\n"}, want: 2, from: ".env:2 SERVER_PORT"},
		{name: "a Kubernetes service link is no setting", environ: []string{"SERVER_PORT=tcp://10.0.0.7:8080"}, want: 8080},
		{name: "space around a value is not part of it", environ: []string{"SERVER_PORT= 1003\n"}, want: 1003, from: "SERVER_PORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := mustLoad(t, Source{Args: tt.args, Environ: tt.environ, Dir: dir(t, tt.files...)})
			if c.Server.Port != tt.want {
				t.Errorf("port = %d, want %d", c.Server.Port, tt.want)
			}
			if got := c.Run.Origin["server.port"]; got != tt.from {
				t.Errorf("origin = %q, want %q", got, tt.from)
			}
		})
	}
}

// TestEveryTypeIsRead sets one setting of each type in each way it may be
// written.
func TestEveryTypeIsRead(t *testing.T) {
	t.Parallel()
	const yaml = `
server:
  host: 0.0.0.0
  port: "08081"        # ten-based, quoted or not
  max_body_bytes: 2M
  request_timeout: 1m
  trusted_proxies: [10.0.0.0/8, "::1"]
dashscope: {api_key: 'sk-a:b"c#d', max_retries: 0}
rag:
  score_threshold: 0.25
tenants:
  auto_create: no
  public_chat: on
backup:
  retention: 30d
security:
  api_keys:
    - first-key-0123456789
    - ${SECOND}
    - ${THIRD}
  sensitive_fields: password, phone
database:
  base_path: >-
    /srv/data/db
`
	c := mustLoad(t, Source{
		Dir: dir(t, "config/config.yaml", yaml),
		Environ: []string{
			"SECOND=second-key-0123456789", "RAG_TOP_K=7", "CACHE_MAX_SIZE=1GiB",
			"SESSION_TIMEOUT=2d", "CACHE_ENABLED=off", "INTENT_CONFIDENCE_THRESHOLD=1e-1",
			"MILVUS_HOST=milvus", "MILVUS_PASSWORD=p@ss w0rd$", "MILVUS_USERNAME=root",
		},
	})
	var keys []string
	for _, k := range c.Security.APIKeys {
		keys = append(keys, k.Reveal())
	}
	got := map[string]any{
		"host": c.Server.Host, "port": c.Server.Port, "body": c.Server.MaxBodyBytes, "timeout": c.Server.RequestTimeout,
		"proxies": c.Server.TrustedProxies, "key": c.DashScope.APIKey.Reveal(), "retries": c.DashScope.MaxRetries,
		"score": c.RAG.ScoreThreshold, "auto": c.Tenants.AutoCreate, "public": c.Tenants.PublicChat, "retention": c.Backup.Retention,
		"keys": keys, "fields": c.Security.SensitiveFields, "path": c.Database.BasePath, "data": c.Database.DataDir,
		"k": c.RAG.TopK, "cache": c.Cache.MaxSize, "session": c.Session.Timeout, "enabled": c.Cache.Enabled,
		"intent": c.Intent.ConfidenceThreshold, "password": c.Milvus.Password.Reveal(),
	}
	want := map[string]any{
		"host": "0.0.0.0", "port": 8081, "body": Bytes(2 << 20), "timeout": time.Minute,
		"proxies": []string{"10.0.0.0/8", "::1"}, "key": `sk-a:b"c#d`, "retries": 0,
		"score": 0.25, "auto": false, "public": "on", "retention": 30 * 24 * time.Hour,
		"keys": []string{"first-key-0123456789", "second-key-0123456789"}, "fields": []string{"password", "phone"},
		"path": "/srv/data/db", "data": "/srv/data",
		"k": 7, "cache": Bytes(1 << 30), "session": 48 * time.Hour, "enabled": false,
		"intent": 0.1, "password": "p@ss w0rd$",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestDefaultsFollowOtherSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ []string
		get     func(Config) any
		want    any
	}{
		{"debug listens on this machine only", nil, func(c Config) any { return c.Listen() }, "127.0.0.1:8080"},
		{"release listens to all", []string{"SERVER_MODE=release", "ROOT_KEY=root-key-0123456789"}, func(c Config) any { return c.Listen() }, "0.0.0.0:8080"},
		{"a host that was set stays in debug", []string{"SERVER_HOST=0.0.0.0"}, func(c Config) any { return c.Listen() }, "0.0.0.0:8080"},
		{"a host that was set stays in release", []string{"SERVER_MODE=release", "SERVER_HOST=::1", "API_KEY_1=api-key-0123456789"}, func(c Config) any { return c.Listen() }, "[::1]:8080"},
		{"a custom runtime listens where its contract says", []string{"FC_CUSTOM_LISTEN_PORT=9000"}, func(c Config) any { return c.Listen() }, "0.0.0.0:9000"},
		{"a custom runtime with a port listens there", []string{"SERVERLESS_PLATFORM=fc-custom", "SERVER_PORT=9001"}, func(c Config) any { return c.Listen() }, "0.0.0.0:9001"},
		{"Lambda is found out", []string{"AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001"}, func(c Config) any { return c.Run.Platform }, "lambda"},
		{"a custom runtime has a name", []string{"FC_FUNCTION_NAME=f"}, func(c Config) any { return c.Run.Platform }, "fc-custom"},
		{"Function Compute is found out", []string{"FC_RUNTIME_API=127.0.0.1:9001"}, func(c Config) any { return c.Run.Platform }, "fc"},
		{"release logs JSON", []string{"SERVER_MODE=release", "ROOT_KEY=root-key-0123456789"}, func(c Config) any { return c.Logging.Format }, "json"},
		{"public chat in debug", nil, func(c Config) any { return []bool{c.PublicChat(), c.Sample()} }, []bool{true, true}},
		{"no public chat in release", []string{"SERVER_MODE=release", "ROOT_KEY=root-key-0123456789"}, func(c Config) any { return []bool{c.PublicChat(), c.Sample()} }, []bool{false, false}},
		{"public chat in release when asked for", []string{"SERVER_MODE=release", "ROOT_KEY=root-key-0123456789", "TENANTS_PUBLIC_CHAT=on"}, func(c Config) any { return []bool{c.PublicChat(), c.Sample()} }, []bool{true, false}},
		{"the dimension follows the model", []string{"DASHSCOPE_EMBED_MODEL=text-embedding-v3"}, func(c Config) any { return c.DashScope.EmbeddingDimension }, 1024},
		{"a dimension that was set stays", []string{"DASHSCOPE_EMBED_MODEL=text-embedding-v4", "DASHSCOPE_EMBEDDING_DIMENSION=64"}, func(c Config) any { return c.DashScope.EmbeddingDimension }, 64},
		{"an unknown model keeps the default dimension", []string{"DASHSCOPE_EMBED_MODEL=bge-m3"}, func(c Config) any { return c.DashScope.EmbeddingDimension }, 1536},
		{"a short request shortens the budgets in it", []string{"SERVER_REQUEST_TIMEOUT=5s"}, func(c Config) any {
			return []time.Duration{c.DashScope.Timeout, c.Milvus.Timeout, c.Milvus.ConnectionTimeout}
		}, []time.Duration{5 * time.Second, 5 * time.Second, 5 * time.Second}},
		{"few connections mean few idle ones", []string{"DATABASE_MAX_OPEN_CONNS=4", "MILVUS_MAX_CONNECTIONS=3"}, func(c Config) any {
			return []int{c.Database.MaxIdleConns, c.Milvus.MaxIdleConnections}
		}, []int{4, 3}},
		{"the store is a folder", []string{"DATABASE_BASE_PATH=/srv/db"}, func(c Config) any { return c.StoreURL() }, "file:///srv/db"},
		{"the store is what it is set to", []string{"STORAGE_URL=s3://b/p?region=r"}, func(c Config) any { return c.StoreURL() }, "s3://b/p?region=r"},
		{"without a key there are no models", nil, func(c Config) any {
			return []bool{c.DashScope.Chat(), c.DashScope.Embed(), c.DashScope.Rerank()}
		}, []bool{false, false, false}},
		{"a key turns models on", []string{"DASHSCOPE_API_KEY=sk-1"}, func(c Config) any {
			return []bool{c.DashScope.Chat(), c.DashScope.Embed(), c.DashScope.Rerank()}
		}, []bool{true, true, false}},
		{"an endpoint of one's own turns models on", []string{"DASHSCOPE_BASE_URL=http://127.0.0.1:11434/v1", "DASHSCOPE_EMBED_MODEL=none", "DASHSCOPE_RERANK_MODEL=r"}, func(c Config) any {
			return []bool{c.DashScope.Chat(), c.DashScope.Embed(), c.DashScope.Rerank()}
		}, []bool{true, false, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := mustLoad(t, Source{Environ: tt.environ, Dir: dir(t)})
			if diff := cmp.Diff(tt.want, tt.get(c)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestVariablesOfOtherProgramsAreRead(t *testing.T) {
	t.Parallel()
	both := []string{
		"AWS_REGION=eu-1", "AWS_ACCESS_KEY_ID=AKIA1", "AWS_SECRET_ACCESS_KEY=aws-secret", "AWS_SESSION_TOKEN=aws-token",
		"FC_REGION=cn-1", "OSS_ACCESS_KEY_ID=LTAI1", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=oss-secret", "ALIBABA_CLOUD_SECURITY_TOKEN=oss-token",
	}
	tests := []struct {
		name, url string
		extra     []string
		want      []string
	}{
		{"S3 takes the names of AWS", "s3://b", nil, []string{"eu-1", "AKIA1", "aws-secret", "aws-token"}},
		{"OSS takes the names of Alibaba Cloud", "oss://b", nil, []string{"cn-1", "LTAI1", "oss-secret", "oss-token"}},
		{"a folder takes neither", "", nil, []string{"", "", "", ""}},
		{"our own names win", "s3://b", []string{"STORAGE_REGION=x-1", "STORAGE_ACCESS_KEY_ID=ID", "STORAGE_SECRET_ACCESS_KEY=sec", "STORAGE_SESSION_TOKEN=tok"}, []string{"x-1", "ID", "sec", "tok"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			environ := append([]string{"STORAGE_URL=" + tt.url}, append(tt.extra, both...)...)
			s := mustLoad(t, Source{Environ: environ, Dir: dir(t)}).Storage
			got := []string{s.Region, s.AccessKeyID.Reveal(), s.SecretAccessKey.Reveal(), s.SessionToken.Reveal()}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeysAreGatheredOnce(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, Source{
		Dir:     dir(t, "config/config.yaml", "security:\n  api_keys:\n    - ${API_KEY_1}\n    - from-the-file-0123\n"),
		Environ: []string{"API_KEY_1=key-one-0123456789", "API_KEY_2=key-two-0123456789", "ROOT_KEY=root-key-0123456789"},
	})
	var got []string
	for _, k := range c.Security.APIKeys {
		got = append(got, k.Reveal())
	}
	if diff := cmp.Diff([]string{"key-one-0123456789", "from-the-file-0123", "key-two-0123456789"}, got); diff != "" {
		t.Errorf("api_keys (-want +got):\n%s", diff)
	}
	if got := c.Security.RootKey.Reveal(); got != "root-key-0123456789" {
		t.Errorf("root_key = %q", got)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want Run
		err  string
	}{
		{name: "-validate is noted", args: []string{"-validate"}, want: Run{Validate: true, Args: []string{}}},
		{name: "a command keeps its own flags", args: []string{"-validate", "ingest", "-tenant", "a", "docs"}, want: Run{Validate: true, Args: []string{"ingest", "-tenant", "a", "docs"}}},
		{name: "-h loads nothing", args: []string{"-h", "-config", "absent.yaml"}, want: Run{Help: true, Args: []string{"-config", "absent.yaml"}}},
		{name: "-version loads nothing", args: []string{"-version", "-config", "absent.yaml"}, want: Run{Version: true, File: "absent.yaml", Args: []string{}}},
		{name: "an unknown flag is refused with a suggestion", args: []string{"-confg", "x"}, err: "unknown flag -confg; did you mean -config? (-h shows what there is)"},
		{name: "an unknown flag is refused", args: []string{"-port=1"}, err: "unknown flag -port (-h shows what there is)"},
		{name: "-config needs its file", args: []string{"-config"}, err: "flag needs an argument: -config (-h shows what there is)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(Source{Args: tt.args, Dir: dir(t)})
			if tt.err != "" {
				if _, ok := errors.AsType[*UsageError](err); !ok || err.Error() != tt.err {
					t.Fatalf("Load = %v, want the usage error %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.Run.Platform, c.Run.Origin = "", nil
			if diff := cmp.Diff(tt.want, c.Run); diff != "" {
				t.Errorf("Run (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGetenv(t *testing.T) {
	t.Parallel()
	src := Source{Environ: []string{"A=1", "AB=2", "A=3=4", "C="}}
	for name, want := range map[string]string{"A": "3=4", "AB": "2", "B": "", "C": "", "": ""} {
		if got := src.Getenv(name); got != want {
			t.Errorf("Getenv(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestUsageNamesTheFlags(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := Usage(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-config FILE", "-validate", "-version", DefaultFile} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("Usage lacks %q:\n%s", want, b.String())
		}
	}
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
