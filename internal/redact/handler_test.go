package redact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

// stringer shows less by String than by its fields, as a JSON handler does.
type stringer struct{ Password string }

func (stringer) String() string { return "nothing here" }

type valuer struct{ phone string }

func (v valuer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("a", "x"), slog.String("note", "call "+v.phone))
}

func TestHandlerHidesWhereverItStands(t *testing.T) {
	t.Parallel()
	const phone = "13800138000"
	tests := []struct {
		name string
		log  func(*slog.Logger)
		want string // of the JSON line, in part
	}{
		{"the message", func(l *slog.Logger) { l.Info("call " + phone) }, `"msg":"call [redacted]"`},
		{"a string", func(l *slog.Logger) { l.Info("m", "note", "call "+phone) }, `"note":"call [redacted]"`},
		{"a value by its key", func(l *slog.Logger) { l.Info("m", "password", phone) }, `"password":"[redacted]"`},
		{"a number by its key", func(l *slog.Logger) { l.Info("m", "mobile", 13800138000) }, `"mobile":"[redacted]"`},
		{"a key an operator named", func(l *slog.Logger) { l.Info("m", "Customer", phone) }, `"Customer":"[redacted]"`},
		{"an error", func(l *slog.Logger) { l.Info("m", "err", fmt.Errorf("send: %w", errors.New("to "+phone))) }, `"err":"send: to [redacted]"`},
		{"a group", func(l *slog.Logger) {
			l.Info("m", slog.Group("g", slog.Int("n", 1), slog.Group("h", slog.String("s", phone))))
		}, `"g":{"n":1,"h":{"s":"[redacted]"}}`},
		{"a group by a key in it", func(l *slog.Logger) { l.Info("m", slog.Group("g", slog.String("api_key", phone))) }, `"g":{"api_key":"[redacted]"}`},
		{"attributes given before", func(l *slog.Logger) { l.With("token", phone, "note", phone).Info("m") }, `"token":"[redacted]","note":"[redacted]"`},
		{"inside a named group", func(l *slog.Logger) { l.WithGroup("g").With("note", phone).Info("m", "n", phone) }, `"g":{"note":"[redacted]","n":"[redacted]"}`},
		{"a LogValuer", func(l *slog.Logger) { l.Info("m", "v", valuer{phone}) }, `"v":{"a":"x","note":"call [redacted]"}`},
		{"a struct", func(l *slog.Logger) { l.Info("m", "v", struct{ A, B string }{"x", phone}) }, `"v":"{A:x B:[redacted]}"`},
		{"a struct that hides it in String only", func(l *slog.Logger) { l.Info("m", "v", stringer{"hunter"}) }, `"v":"{\"Password\":\"[redacted]\"}"`},
		{"a map", func(l *slog.Logger) { l.Info("m", "v", map[string]string{"secret": "hunter"}) }, `"v":"map[secret:[redacted]]"`},
		{"a list", func(l *slog.Logger) { l.Info("m", "v", []string{"a", phone}) }, `"v":"[a [redacted]]"`},
		{"bytes", func(l *slog.Logger) { l.Info("m", "v", []byte("to "+phone)) }, `"v":"to [redacted]"`},
		{"numbers stay numbers", func(l *slog.Logger) { l.Info("m", "n", 5, "f", 1.5, "b", true, "l", []int{1}) }, `"n":5,"f":1.5,"b":true,"l":[1]`},
		{"an empty password is shown", func(l *slog.Logger) { l.Info("m", "password", "", "token", nil) }, `"password":"","token":null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			tt.log(slog.New(New([]string{"customer"}, nil).Handler(slog.NewJSONHandler(&b, nil))))
			if got := b.String(); !strings.Contains(got, tt.want) {
				t.Errorf("line = %s\nwant in it %s", got, tt.want)
			}
			if strings.Contains(b.String(), phone) || strings.Contains(b.String(), "hunter") {
				t.Errorf("line shows the secret: %s", b.String())
			}
		})
	}
}

func TestHandlerIsAHandler(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	err := slogtest.TestHandler(New(nil, nil).Handler(slog.NewJSONHandler(&b, nil)), func() []map[string]any {
		var list []map[string]any
		for line := range bytes.Lines(b.Bytes()) {
			var m map[string]any
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatal(err)
			}
			list = append(list, m)
		}
		return list
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheLevelIsTheNextHandlers(t *testing.T) {
	t.Parallel()
	h := New(nil, nil).Handler(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if h.Enabled(context.Background(), slog.LevelInfo) || !h.Enabled(context.Background(), slog.LevelError) {
		t.Error("Enabled does not ask the next handler")
	}
}

// BenchmarkHandler is what a line costs more for the fence.
func BenchmarkHandler(b *testing.B) {
	plain := slog.NewJSONHandler(io.Discard, nil)
	for name, h := range map[string]slog.Handler{"bare": plain, "fenced": New([]string{"phone"}, []string{"prod-key-0123456789"}).Handler(plain)} {
		l := slog.New(h).With("app", "eino-qa")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.LogAttrs(context.Background(), slog.LevelInfo, "request", slog.String("method", "POST"), slog.String("route", "/chat"),
					slog.Int("status", 200), slog.Duration("took", time.Millisecond), slog.String("trace_id", "550e8400e29b41d4a716446655440000"))
			}
		})
	}
}
