package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// overlay reads yaml with environ as Load does, without the file system.
func overlay(yaml string, environ ...string) *loader {
	l := &loader{src: Source{Environ: environ, Dir: "does-not-exist"}, schema: knownSettings(), cfg: Default()}
	l.cfg.Run.Origin = map[string]string{}
	l.environ()
	l.file("f.yaml", []byte(yaml))
	l.overlay()
	l.aliases()
	l.bounds()
	l.derive()
	return l
}

func TestYAMLForms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, yaml string
		want       string // milvus.host, milvus.port, api keys
	}{
		{"nothing", "", "|19530|"},
		{"comments only", "# a\n\n#b\n", "|19530|"},
		{"a document marker", "---\nmilvus: {host: h}\n...\n", "h|19530|"},
		{"an empty second document", "milvus: {host: h}\n---\n", "h|19530|"},
		{"an empty section", "milvus:\nserver: ~\n", "|19530|"},
		{"null is absent", "milvus: {host: null, port: ~}", "|19530|"},
		{"an empty string is absent", "milvus: {host: '', port: \"\"}", "|19530|"},
		{"a variable without a value is absent", "milvus:\n  host: ${NONE}\n  port: ${NONE}\n", "|19530|"},
		{"a variable may hold a number", "milvus:\n  port: ${PORT}\n", "|1234|"},
		{"a variable in flow style needs quotes", "milvus: {host: \"${HOST}\", port: 1}", "h1|1|"},
		{"a default", "milvus: {port: \"${NONE:-77}\"}", "|77|"},
		{"what a variable holds is not YAML", "milvus:\n  host: ${YAML}\n", "x\nport: 1|19530|"},
		{"a number with a leading zero is decimal", "milvus: {port: 0777}", "|777|"},
		{"block scalars", "milvus:\n  host: |\n    h\n  port: >-\n    12\n", "h|12|"},
		{"anchors", "milvus: {host: &h \"h\", port: 5}\nsecurity: {api_keys: [*h, b]}", "h|5|h,b"},
		{"an anchor on a section", "milvus: &m\n  host: h\n", "h|19530|"},
		{"a tag", "milvus: {host: !!str 5}", "5|19530|"},
		{"a list in block style", "security:\n  api_keys:\n  - a\n  - 5\n  - ${NONE}\n  - ''\n  - true\n", "|19530|a,5,true"},
		{"a list in one string", "security: {api_keys: 'a, b,,c'}", "|19530|a,b,c"},
		{"keys in quotes", "\"milvus\": {'host': h}", "h|19530|"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := overlay(tt.yaml, "PORT=1234", "HOST=h1", "YAML=x\nport: 1")
			if len(l.problems) > 0 {
				t.Fatalf("problems: %v", l.problems)
			}
			var keys []string
			for _, k := range l.cfg.Security.APIKeys {
				keys = append(keys, k.Reveal())
			}
			got := strings.Join([]string{l.cfg.Milvus.Host, show(l.cfg.Milvus.Port), strings.Join(keys, ",")}, "|")
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAnEmptyListIsAList(t *testing.T) {
	t.Parallel()
	if got := overlay("security: {sensitive_fields: []}").cfg.Security.SensitiveFields; len(got) != 0 {
		t.Errorf("sensitive_fields = %q, want none", got)
	}
	want := Default().Security.SensitiveFields
	if diff := cmp.Diff(want, overlay("security: {sensitive_fields: [\"${NONE}\"]}").cfg.Security.SensitiveFields); diff != "" {
		t.Errorf("a list of absent items is absent (-want +got):\n%s", diff)
	}
}

// TestRedactedReadsBack prints settings and loads what was printed.
func TestRedactedReadsBack(t *testing.T) {
	t.Parallel()
	for _, environ := range [][]string{
		nil,
		{
			"SERVER_HOST=::1", "SERVER_TRUSTED_PROXIES=10.0.0.0/8,::1", "MILVUS_HOST=milvus-service", "MILVUS_DATABASE=a: b # c $d ${E} \"x\" 中文\n- y",
			"DATABASE_BASE_PATH=C:\\data\\db", "TENANTS_PUBLIC_CHAT=off", "CACHE_ENABLED=no", "MILVUS_USERNAME=true", "STORAGE_REGION=123",
			"API_KEY_1=key-one-0123456789", "DASHSCOPE_RERANK_MODEL=null", "RAG_SCORE_THRESHOLD=0.001", "CACHE_TTL=90m", "SECURITY_SENSITIVE_FIELDS=a,b-c",
		},
	} {
		first := mustLoad(t, Source{Dir: dir(t), Environ: environ})
		text := strings.ReplaceAll(first.Redacted(), `"[secret]"`, `"key-one-0123456789"`)
		second := mustLoad(t, Source{Dir: dir(t, "config/config.yaml", text)})
		second.Run, first.Run = Run{}, Run{}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("printed and read back (-first +second):\n%s\n%s", diff, text)
		}
	}
}

// FuzzYAML: no file crashes the reader; whatever it accepts is within bounds,
// and what is printed of it is accepted again.
func FuzzYAML(f *testing.F) {
	for _, pattern := range []string{"../../config/*.yaml", "testdata/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data))
		}
	}
	for _, s := range []string{
		"", "a", "- a", "{", "a: b: c", "server: {port: ${A}}", "server:\n\tport: 1", "a: &a [*a]", "&a a: *a", "<<: {a: 1}", "? [a]\n: b",
		"server: *server", "--- |\n a\n--- >\n b", "%YAML 1.2\n---\n", "milvus: {host: \"\\u0000\"}", "!!binary a: b", "server: !!map {port: 1}", "\"\\x\": 1",
		"rag: {score_threshold: .nan}", "rag: {score_threshold: .inf}", "server: {port: 1_0}", "milvus: {host: >+\n a\n\n}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := overlay(s, "A=a", "B=b: c\n")
		if len(l.problems) > 0 {
			for _, p := range l.problems {
				if p.Msg == "" || !strings.HasPrefix(p.Where, "f.yaml") {
					t.Errorf("problem %+v of %q", p, s)
				}
			}
			return
		}
		var keys []Secret
		for range l.cfg.Security.APIKeys {
			keys = append(keys, NewSecret(hidden))
		}
		l.cfg.Security.APIKeys = slicesCompact(keys) // printing forgets which was which
		text := l.cfg.Redacted()
		again := overlay(text)
		if len(again.problems) > 0 {
			t.Fatalf("%q printed as\n%s\nwhich is refused: %v", s, text, again.problems)
		}
		if second := again.cfg.Redacted(); stripComments(second) != stripComments(text) {
			t.Errorf("%q printed as\n%s\nand then as\n%s", s, text, second)
		}
	})
}

func slicesCompact(keys []Secret) []Secret {
	if len(keys) > 1 {
		return keys[:1]
	}
	return keys
}

// stripComments drops the origins, which differ between two loads.
func stripComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if i := strings.LastIndex(line, " # f.yaml"); i >= 0 {
			line = line[:i] + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}
