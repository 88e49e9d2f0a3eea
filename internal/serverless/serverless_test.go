package serverless

import (
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

func env(kv ...string) Env {
	m := map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return EnvFrom(func(name string) string { return m[name] })
}

func TestThePlatformIsFoundOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  Env
		want Platform
	}{
		{"nothing set is a plain host", env(), function.Local},
		{"Lambda has its runtime API", env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"), function.Lambda},
		{"go1 has FC's runtime API", env("FC_RUNTIME_API", "127.0.0.1:9001", "FC_FUNCTION_NAME", "f"), function.FCRuntime},
		{"a custom runtime is told its port", env("FC_RUNTIME_API", "x", "FC_CUSTOM_LISTEN_PORT", "9000"), function.FCCustom},
		{"a custom runtime has a name and no API", env("FC_FUNCTION_NAME", "f"), function.FCCustom},
	}
	for _, tt := range tests {
		if got, err := tt.env.Platform(); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	if _, err := env("AWS_LAMBDA_RUNTIME_API", "x", "FC_FUNCTION_NAME", "f").Platform(); kb.KindOf(err) != kb.Invalid {
		t.Errorf("both = %v, want Invalid", err)
	}
}

func TestSettingsBeatTheEnvironment(t *testing.T) {
	t.Parallel()
	var creds Credentials
	e := env("FC_RUNTIME_API", "x", "FC_FUNCTION_NAME", "f", "FC_CUSTOM_LISTEN_PORT", "9100",
		"ALIBABA_CLOUD_ACCESS_KEY_ID", "i", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s", "ALIBABA_CLOUD_SECURITY_TOKEN", "t")
	cfg, err := e.Resolve(Config{Platform: function.FCCustom, Credentials: &creds})
	if err != nil || cfg.Platform != function.FCCustom || cfg.Addr != ":9100" {
		t.Errorf("config = %+v, %v", cfg, err)
	}
	if got, err := creds.Get(t.Context()); err != nil || got.AccessKeyID != "i" {
		t.Errorf("credentials = %v, %v, want the environment's until a request brings newer ones", got, err)
	}
	if _, err := env().Resolve(Config{Mode: "sse"}); kb.KindOf(err) != kb.Invalid {
		t.Errorf("mode sse = %v, want Invalid", err)
	}
}

func TestAPlainHostIsRefused(t *testing.T) {
	t.Parallel()
	if err := Serve(t.Context(), Config{}, env(), Handlers{}); kb.KindOf(err) != kb.Invalid || !strings.Contains(err.Error(), "local server") {
		t.Errorf("Serve = %v, want Invalid with the remedy", err)
	}
}
