package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	const value = "hunter2hunter2"
	c := mustLoad(t, Source{Dir: dir(t), Environ: []string{
		"DASHSCOPE_API_KEY=" + value, "API_KEY_1=1-" + value, "ROOT_KEY=2-" + value, "MILVUS_HOST=m", "MILVUS_USERNAME=u",
		"MILVUS_PASSWORD=" + value, "STORAGE_ACCESS_KEY_ID=" + value, "STORAGE_SECRET_ACCESS_KEY=" + value, "CACHE_REDIS_PASSWORD=" + value,
	}})
	s := NewSecret(value)
	nested := struct{ inner struct{ s, t Secret } }{}
	nested.inner.s = s // unexported: fmt cannot call methods here
	printed := map[string]string{"Redacted": c.Redacted()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for name, v := range map[string]any{
			"Secret": s, "*Secret": &s, "[]Secret": []Secret{s}, "Config": c, "*Config": &c, "DashScope": c.DashScope,
			"Security": c.Security, "unexported": nested, "error": fmt.Errorf("with %v", s),
		} {
			printed[verb+" "+name] = fmt.Sprintf(verb, v)
		}
	}
	for name, v := range map[string]any{"Secret": s, "Config": c, "map": map[string]any{"a": s, "b": []Secret{s}}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed["json "+name] = string(text)
		var b bytes.Buffer
		slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v)
		printed["slog "+name] = b.String()
	}
	for name, text := range printed {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("%s shows the secret:\n%s", name, text)
		}
	}
	if got := fmt.Sprintf("%v|%s|%#v", s, Secret{}, s); got != `[secret]||config.Secret("[secret]")` {
		t.Errorf("printed = %q", got)
	}
	if got := len(c.Secrets()); got != 7 {
		t.Errorf("Secrets returned %d values, want 7", got)
	}
}

func TestNoErrorShowsASecret(t *testing.T) {
	t.Parallel()
	const value = "hunter2"
	for _, environ := range [][]string{
		{"API_KEY_1=two words " + value},
		{"ROOT_KEY=" + value + ",x"},
		{"DASHSCOPE_API_KEY=" + value + " x"},
		{"STORAGE_URL=s3://a:" + value + "@b"},
		{"DASHSCOPE_BASE_URL=http://a:" + value + "@b/"},
		{"SERVER_MODE=release", "API_KEY_1=" + value},
		{"STORAGE_URL=s3://b?" + value + "%zz"},
		{"STORAGE_URL=:" + value},
		{"DASHSCOPE_BASE_URL=http://a:" + value + "@[b/"},
	} {
		_, err := Load(Source{Dir: dir(t), Environ: environ})
		if _, ok := errors.AsType[*Error](err); !ok || strings.Contains(err.Error(), value) {
			t.Errorf("%q: Load = %v", environ, err)
		}
	}
	for _, yaml := range []string{
		"security:\n  root_key: " + value + "\n bad: [", "security: {root_key: \"" + value, "security:\n  root_key: {" + value + ": 1}",
		"security:\n  root_key: ${" + value + " }", "security:\n  root_key: a${B} " + value, "security:\n  root_key:\n\t" + value,
		"security:\n  root_key: !!int " + value + " x", "security:\n  root_key: &" + value + " \n  b: [}", "a: b: " + value, "- " + value + ": [",
	} {
		_, err := Load(Source{Dir: dir(t, "config/config.yaml", yaml)})
		if err == nil || strings.Contains(err.Error(), value) {
			t.Errorf("%q: Load = %v", yaml, err)
		}
	}
	_, err := Load(Source{Dir: dir(t, ".env", "A='"+value+"\n"+value+"\nB="+value+"\nC=\""+value+"\" "+value+"\n"+value+" D=1")})
	if err == nil || strings.Contains(err.Error(), value) {
		t.Errorf(".env: Load = %v", err)
	}
}

// TestAComplaintAboutASecretHidesIt: no secret can be malformed today, the next
// kind of one might.
func TestAComplaintAboutASecretHidesIt(t *testing.T) {
	t.Parallel()
	one := knownSettings().byPath["security.root_key"]
	if got := one.complain("hunter2", "is wrong").Error(); got != "the value is wrong" {
		t.Errorf("complain = %q", got)
	}
}

func TestSecretsCompareByValue(t *testing.T) {
	t.Parallel()
	if a, b := NewSecret("x"), NewSecret("x"); !a.Equal(b) || a.Equal(NewSecret("y")) || a.Equal(Secret{}) {
		t.Error("Equal does not compare values")
	}
	if NewSecret("").IsSet() || !NewSecret("x").IsSet() {
		t.Error("IsSet is wrong")
	}
	var s Secret
	if err := s.UnmarshalText([]byte("x")); err != nil || s.Reveal() != "x" {
		t.Errorf("UnmarshalText = %v, %q", err, s.Reveal())
	}
}
