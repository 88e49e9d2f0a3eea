package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadSettings holds the sentence a user reads for each thing that can be
// wrong. In environ and yaml, DIR is the folder of the test.
func TestBadSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		yaml    string
		dotenv  string
		args    []string
		environ []string
		want    []string // lines
	}{
		{name: "unknown setting", yaml: "server:\n  prot: 1", want: []string{"config/config.yaml:2: server.prot: unknown setting; did you mean server.port?"}},
		{name: "setting in the wrong section", yaml: "api_keys: [a]", want: []string{"config/config.yaml:1: api_keys: unknown setting; did you mean security.api_keys?"}},
		{name: "setting with the other program's name", yaml: "dashscope: {embedding_model: x}", want: []string{"config/config.yaml:1: dashscope.embedding_model: unknown setting; did you mean dashscope.embed_model?"}},
		{name: "setting with a dash", yaml: "server: {request-timeout: 1s}", want: []string{"config/config.yaml:1: server.request-timeout: unknown setting; did you mean server.request_timeout?"}},
		{name: "unknown section", yaml: "servers:\n  port: 1", want: []string{"config/config.yaml:1: servers: unknown setting; did you mean server?"}},
		{name: "unknown and like nothing", yaml: "zzz: {a: 1}", want: []string{"config/config.yaml:1: zzz: unknown setting"}},
		{name: "value instead of a section", yaml: "server: 8080", want: []string{"config/config.yaml:1: server: is a section; write its settings below it, indented"}},
		{name: "section instead of a value", yaml: "server: {port: {a: 1}}", want: []string{"config/config.yaml:1: server.port: is one value, not a section"}},
		{name: "list instead of a value", yaml: "server: {port: [1]}", want: []string{"config/config.yaml:1: server.port: is one value, not a list"}},
		{name: "list of lists", yaml: "security: {api_keys: [[a]]}", want: []string{"config/config.yaml:1: security.api_keys: is a list of single values"}},
		{name: "no mapping at all", yaml: "- a", want: []string{`config/config.yaml:1: is not a list of settings; write "server:" and below it, indented, "port: 8080"`}},
		{name: "same setting twice", yaml: "server:\n  port: 1\n  port: 2", want: []string{`config/config.yaml:3: is not YAML: mapping key "port" already defined at [2:3]`}},
		{name: "two documents", yaml: "server: {port: 1}\n---\nserver: {port: 2}", want: []string{"config/config.yaml:3: holds a second document after ---; one file is one document"}},
		{name: "merge", yaml: "server: &a {port: 1}\nmilvus:\n  <<: *a", want: []string{"config/config.yaml:3: milvus: uses << to merge; write the settings out"}},
		{name: "alias of nothing", yaml: "server: {port: *p}", want: []string{"config/config.yaml:1: server.port: names *p, which is defined nowhere above"}},
		{name: "broken YAML shows no excerpt", yaml: "security:\n  root_key: \"hunter2-hunter2\n", want: []string{"config/config.yaml:2: is not YAML: could not find end character of double-quoted text"}},
		{name: "not text", yaml: "server: \xff", want: []string{"config/config.yaml: is not a text file in UTF-8"}},
		{name: "variable without a value", yaml: "milvus:\n  host: ${A}.svc", want: []string{"config/config.yaml:2: milvus.host: A is not set; set it or write ${A:-default}"}},
		{name: "variable never closed", yaml: "milvus: {host: \"${A\"}", want: []string{"config/config.yaml:1: milvus.host: has a ${ without its }"}},
		{name: "shell operators that are not read", yaml: "milvus: {host: \"${A:?why}\"}", want: []string{"config/config.yaml:1: milvus.host: has ${A…}; only ${NAME}, ${NAME:-default} and $$ for a $ are known"}},

		{name: "the file does not exist", args: []string{"-config", "absent.yaml"}, want: []string{"-config: absent.yaml: no such file or directory"}},
		{name: "the file of CONFIG_PATH does not exist", environ: []string{"CONFIG_PATH=absent.yaml"}, want: []string{"CONFIG_PATH: absent.yaml: no such file or directory"}},
		{name: "the file is a folder", args: []string{"-config", "config"}, yaml: "{}", want: []string{"-config: config: is a folder, not a file"}},
		{name: ".env names its lines", dotenv: "A=1\nB\n\nC=\"x\n", want: []string{".env:2: has no '='; write NAME=value", ".env:4: C has a quote that is never closed"}},

		{name: "not a number", environ: []string{"SERVER_PORT=80x"}, want: []string{`SERVER_PORT: server.port: "80x" is not a whole number`}},
		{name: "a number from .env", dotenv: "\nSERVER_PORT=80x", want: []string{`.env:2 SERVER_PORT: server.port: "80x" is not a whole number`}},
		{name: "out of range", environ: []string{"SERVER_PORT=70000"}, want: []string{"SERVER_PORT: server.port: 70000 is out of range; use 0 to 65535"}},
		{name: "a number too large for a machine", environ: []string{"SERVER_PORT=99999999999999999999"}, want: []string{`SERVER_PORT: server.port: "99999999999999999999" is not a whole number`}},
		{name: "a duration without a unit", environ: []string{"SERVER_READ_TIMEOUT=30"}, want: []string{`SERVER_READ_TIMEOUT: server.read_timeout: "30" has no unit; write 30s, 30m or 30h`}},
		{name: "no duration", environ: []string{"CACHE_TTL=soon"}, want: []string{`CACHE_TTL: cache.ttl: "soon" is not a duration; write 500ms, 30s, 5m, 1h or 7d`}},
		{name: "a duration out of range", environ: []string{"SERVER_READ_TIMEOUT=-1s"}, want: []string{"SERVER_READ_TIMEOUT: server.read_timeout: -1s is out of range; use 100ms to 1h"}},
		{name: "neither true nor false", environ: []string{"CACHE_ENABLED=ja"}, want: []string{`CACHE_ENABLED: cache.enabled: "ja" is neither true nor false`}},
		{name: "not a size", environ: []string{"CACHE_MAX_SIZE=big"}, want: []string{`CACHE_MAX_SIZE: cache.max_size: "big" is not a size; write bytes or a unit, such as 1048576 or 10MiB`}},
		{name: "not a number between 0 and 1", environ: []string{"RAG_SCORE_THRESHOLD=70"}, want: []string{"RAG_SCORE_THRESHOLD: rag.score_threshold: 70 is out of range; use 0 to 1"}},
		{name: "NaN is no number", environ: []string{"RAG_SCORE_THRESHOLD=nan"}, want: []string{`RAG_SCORE_THRESHOLD: rag.score_threshold: "nan" is not a number`}},
		{name: "not one of the words", environ: []string{"SERVER_MODE=relase"}, want: []string{`SERVER_MODE: server.mode: "relase" is not one of debug, release; did you mean release?`}},
		{name: "the right word in capitals", environ: []string{"LOGGING_LEVEL=INFO"}, want: []string{`LOGGING_LEVEL: logging.level: "INFO" is not one of debug, info, warn, error; did you mean info?`}},
		{name: "a long wrong value is cut", environ: []string{"SERVER_PORT=" + strings.Repeat("9", 200)}, want: []string{`SERVER_PORT: server.port: "` + strings.Repeat("9", 60) + `…" is not a whole number`}},

		{name: "release without a key", environ: []string{"SERVER_MODE=release"}, want: []string{"SERVER_MODE: security.api_keys: release mode needs a key: set API_KEY_1 or ROOT_KEY (or security.api_keys in the file); for work on this machine set server.mode: debug"}},
		{name: "release with an empty key is release without one", environ: []string{"SERVER_MODE=release", "API_KEY_1="}, yaml: "security:\n  api_keys:\n    - ${API_KEY_1}\n", want: []string{"SERVER_MODE: security.api_keys: release mode needs a key: set API_KEY_1 or ROOT_KEY (or security.api_keys in the file); for work on this machine set server.mode: debug"}},
		{name: "a short key in release", environ: []string{"SERVER_MODE=release", "API_KEY_1=short"}, want: []string{"API_KEY_1: security.api_keys: hold a key of fewer than 8 characters; make one with: openssl rand -hex 24"}},
		{name: "a key with a space", environ: []string{"API_KEY_1=two words"}, want: []string{"API_KEY_1: security.api_keys: hold a key with a space, a comma or a character outside ASCII; a key is sent as a header"}},
		{name: "one key for two purposes", environ: []string{"API_KEY_1=same-key-0123456789", "ROOT_KEY=same-key-0123456789"}, want: []string{"ROOT_KEY: security.root_key: is an API key as well; the root key must be one of its own"}},
		{name: "a sample key", environ: []string{"DASHSCOPE_API_KEY=your_dashscope_api_key"}, want: []string{"DASHSCOPE_API_KEY: dashscope.api_key: still holds a sample value; put the real one in, or remove the line"}},
		{name: "a model key with something behind it", environ: []string{"DASHSCOPE_API_KEY=sk-1 # mine"}, want: []string{"DASHSCOPE_API_KEY: dashscope.api_key: has a space, a comma or a character outside ASCII; was something else pasted with it?"}},
		{name: "printed settings are no settings", yaml: "security: {root_key: \"[secret]\"}", want: []string{"config/config.yaml:1: security.root_key: still holds a sample value; put the real one in, or remove the line"}},

		{name: "host with a port", environ: []string{"SERVER_HOST=0.0.0.0:80"}, want: []string{`SERVER_HOST: server.host: "0.0.0.0:80" is not an address or a host name; the port is server.port`}},
		{name: "proxy that is none", environ: []string{"SERVER_TRUSTED_PROXIES=10.0.0.1,nginx"}, want: []string{`SERVER_TRUSTED_PROXIES: server.trusted_proxies: "nginx" is neither an address nor a network such as 10.0.0.0/8`}},
		{name: "TLS without files", environ: []string{"SERVER_TLS_ENABLED=true", "SERVER_TLS_KEY_FILE=absent.pem"}, want: []string{"server.tls.cert_file: is needed because server.tls.enabled is true", "SERVER_TLS_KEY_FILE: server.tls.key_file: absent.pem: no such file or directory"}},
		{name: "encryption without a key file", environ: []string{"SECURITY_ENCRYPTION_ENABLED=1"}, want: []string{"security.encryption.key_file: is needed because security.encryption.enabled is true"}},
		{name: "log file without a name", environ: []string{"LOGGING_OUTPUT=file"}, want: []string{"logging.file_path: is needed because logging.output is file"}},
		{name: "a dimension the model does not have", environ: []string{"DASHSCOPE_EMBEDDING_DIMENSION=1000"}, want: []string{"DASHSCOPE_EMBEDDING_DIMENSION: dashscope.embedding_dimension: 1000 is no dimension of text-embedding-v2; it has 1536"}},
		{name: "an address that is none", environ: []string{"DASHSCOPE_BASE_URL=dashscope.aliyuncs.com"}, want: []string{"DASHSCOPE_BASE_URL: dashscope.base_url: is not an address such as " + DashScopeURL}},
		{name: "an address with a password", environ: []string{"DASHSCOPE_BASE_URL=https://u:p@h/v1"}, want: []string{"DASHSCOPE_BASE_URL: dashscope.base_url: holds a password; put it in dashscope.api_key"}},
		{name: "a try longer than the request", environ: []string{"DASHSCOPE_TIMEOUT=1m"}, want: []string{"DASHSCOPE_TIMEOUT: dashscope.timeout: 1m is longer than server.request_timeout (30s), which bounds it; lower it or raise server.request_timeout"}},
		{name: "a budget is not held against a bad bound", environ: []string{"DASHSCOPE_TIMEOUT=1m", "SERVER_REQUEST_TIMEOUT=x"}, want: []string{`SERVER_REQUEST_TIMEOUT: server.request_timeout: "x" is not a duration; write 500ms, 30s, 5m, 1h or 7d`}},
		{name: "Milvus with a port in its host", environ: []string{"MILVUS_HOST=milvus:19530"}, want: []string{`MILVUS_HOST: milvus.host: "milvus:19530" is not a host name or an address; the port is milvus.port`}},
		{name: "a password without a name", environ: []string{"MILVUS_HOST=m", "MILVUS_PASSWORD=secret1"}, want: []string{"milvus.username: is needed because milvus.password is set"}},
		{name: "a sample user name", environ: []string{"MILVUS_USERNAME=your_milvus_username"}, want: []string{"MILVUS_USERNAME: milvus.username: still holds a sample value; put the real one in, or remove the line"}},
		{name: "more idle than open", environ: []string{"DATABASE_MAX_OPEN_CONNS=2", "DATABASE_MAX_IDLE_CONNS=3"}, want: []string{"DATABASE_MAX_IDLE_CONNS: database.max_idle_conns: 3 is more than database.max_open_conns (2)"}},
		{name: "a window longer than what is kept", environ: []string{"BACKUP_COMMIT_WINDOW=2d", "BACKUP_RETENTION=1d"}, want: []string{"BACKUP_COMMIT_WINDOW: backup.commit_window: 48h is longer than backup.retention (24h)"}},
		{name: "a field that is none", environ: []string{"SECURITY_SENSITIVE_FIELDS=id card"}, want: []string{`SECURITY_SENSITIVE_FIELDS: security.sensitive_fields: "id card" is not the name of a field`}},
		{name: "Redis with a port in its host", environ: []string{"CACHE_TYPE=redis", "CACHE_REDIS_HOST=r:6379"}, want: []string{`CACHE_REDIS_HOST: cache.redis.host: "r:6379" is not a host name or an address; the port is cache.redis.port`}},

		{name: "store of an unknown kind", environ: []string{"STORAGE_URL=gs://b"}, want: []string{"STORAGE_URL: storage.url: gs:// is no store that is known; write file:///path, s3://bucket/prefix?region=… or oss://bucket/prefix?endpoint=…"}},
		{name: "store that is a path", environ: []string{"STORAGE_URL=/data"}, want: []string{"STORAGE_URL: storage.url: is not a store; write file:///path, s3://bucket/prefix?region=… or oss://bucket/prefix?endpoint=…"}},
		{name: "store with two slashes", environ: []string{"STORAGE_URL=file://data/db"}, want: []string{`STORAGE_URL: storage.url: has the folder "data" where a host would stand; a folder has three slashes: file:///data/db`}},
		{name: "store without a bucket", environ: []string{"STORAGE_URL=s3:///prefix"}, want: []string{"STORAGE_URL: storage.url: names no bucket; write s3://bucket/prefix"}},
		{name: "store with a key in it", environ: []string{"STORAGE_URL=s3://AKIA:hunter2@bucket"}, want: []string{"STORAGE_URL: storage.url: holds a key; put it in storage.access_key_id and storage.secret_access_key"}},
		{name: "store with an unknown option", environ: []string{"STORAGE_URL=s3://bucket?pathstyle=true"}, want: []string{`STORAGE_URL: storage.url: has the unknown option "pathstyle"; did you mean path_style?`}},
		{name: "store with a bad option", environ: []string{"STORAGE_URL=s3://bucket?path_style=maybe"}, want: []string{`STORAGE_URL: storage.url: has path_style="maybe", which is neither true nor false`}},
		{name: "store with an option of the other cloud", environ: []string{"STORAGE_URL=oss://bucket?path_style=true"}, want: []string{`STORAGE_URL: storage.url: has the unknown option "path_style"`}},
		{name: "half a pair of store keys", environ: []string{"STORAGE_ACCESS_KEY_ID=AKIA1"}, want: []string{"storage.secret_access_key: is needed because storage.access_key_id is set"}},
		{name: "the other half", environ: []string{"STORAGE_SECRET_ACCESS_KEY=s3cret-s3cret"}, want: []string{"storage.access_key_id: is needed because storage.secret_access_key is set"}},

		{
			name: "everything at once, one line a setting", yaml: "server:\n  port: a\n  mode: b\nx: 1\n",
			environ: []string{"CACHE_TTL=x", "SERVER_PORT=y"},
			want: []string{
				"config/config.yaml:4: x: unknown setting",
				`config/config.yaml:2: server.port: "a" is not a whole number`,
				`CACHE_TTL: cache.ttl: "x" is not a duration; write 500ms, 30s, 5m, 1h or 7d`,
				`config/config.yaml:3: server.mode: "b" is not one of debug, release`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var files []string
			if tt.yaml != "" {
				files = append(files, "config/config.yaml", tt.yaml)
			}
			if tt.dotenv != "" {
				files = append(files, ".env", tt.dotenv)
			}
			_, err := Load(Source{Args: tt.args, Environ: tt.environ, Dir: dir(t, files...)})
			bad, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("Load = %v, want an *Error", err)
			}
			var got []string
			for _, p := range bad.Problems {
				got = append(got, p.String())
			}
			if diff := cmp.Diff(sorted(tt.want), sorted(got)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorIsReadable(t *testing.T) {
	t.Parallel()
	one := &Error{Problems: []Problem{{Setting: "a.b", Where: "A_B", Msg: "is wrong"}}}
	if got, want := one.Error(), "bad setting: A_B: a.b: is wrong"; got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
	two := &Error{Problems: []Problem{{Setting: "a.b", Msg: "is wrong"}, {Where: ".env:2", Msg: "is broken"}}}
	if got, want := two.Error(), "2 bad settings:\n  a.b: is wrong\n  .env:2: is broken"; got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for _, v := range []string{
		"your_production_api_key", "your_api_key_1", "your-api-key", "YOUR_KEY", "changeme", "change-me-please", "default_api_key_1",
		"default_api_key_2", "admin_key", "api_key_1", "minioadmin", "<your key>", "sk-your-key-here", "sk-xxxxxxxxxxxxxxxx",
		"xxxxxxxx", "********", "[secret]", "replace_me", "put_your_key_here", "dashscope_api_key_here", "password",
	} {
		if !isPlaceholder(v) {
			t.Errorf("%q is taken for a secret", v)
		}
	}
	for _, v := range []string{
		"", "a", "sk-5e1f0c9ab24d4b0f8a7c", "test-key-1", "k1", "api-key-0123456789", "production-chat-7Hq2", "p@ss w0rd", "yourself-9f8e7d",
		"AKIAIOSFODNN7EXAMPLE", "0123456789abcdef", "aab", "11",
	} {
		if isPlaceholder(v) {
			t.Errorf("%q is taken for a placeholder", v)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ []string
		want    []string
	}{
		{"nothing to say", []string{"API_KEY_1=0123456789abcdef", "HOME=/root", "SERVER_SOFTWARE=x", "SESSION_MANAGER=y"}, nil},
		{"debug mode on the network", []string{"SERVER_HOST=0.0.0.0"}, []string{"server.mode is debug and server.host is 0.0.0.0: whoever reaches this machine can chat without a key; set server.mode: release for real use"}},
		{"debug mode on another loopback address", []string{"SERVER_HOST=127.0.0.2"}, nil},
		{"a short key", []string{"API_KEY_1=k1"}, []string{"security.api_keys holds a key of fewer than 16 characters; make one with: openssl rand -hex 24"}},
		{"a function without a store", []string{"AWS_LAMBDA_RUNTIME_API=x"}, []string{"storage.url is empty: on a function the local disk is lost with the instance; set STORAGE_URL to s3://… or oss://…"}},
		{"a slip of the finger", []string{"SERVER_PROT=1", "MILVUS_HOSTS=x"}, []string{"MILVUS_HOSTS is not a setting; did you mean MILVUS_HOST?", "SERVER_PROT is not a setting; did you mean SERVER_PORT?"}},
		{"two places for the store", []string{"STORAGE_URL=file:///a", "DATABASE_BASE_PATH=/b"}, []string{"storage.url and database.base_path are both set; documents live in storage.url"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := mustLoad(t, Source{Environ: tt.environ, Dir: dir(t)})
			if diff := cmp.Diff(tt.want, c.Run.Warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
