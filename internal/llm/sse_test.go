package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func judge(body []byte) *verdict {
	return (&endpoint{op: OpChat, key: secret}).classify(http.StatusOK, nil, body)
}

// through sends a raw event stream through sse.
func through(raw string, limit int64) (string, error) {
	return all(newSSE(strings.NewReader(raw), limit, judge))
}

// next waits for a piece and takes it.
func next(s *sse) (piece, error) {
	if err := s.wait(); err != nil {
		return piece{}, err
	}
	return s.take(), nil
}

// all joins the text of a stream.
func all(s *sse) (text string, err error) {
	for {
		p, err := next(s)
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return text, err
		}
		text += p.text
	}
}

func TestSSE(t *testing.T) {
	t.Parallel()
	say := func(s string) string {
		return `data: {"choices":[{"index":0,"delta":{"content":"` + s + `"}}]}` + "\n\n"
	}
	const stop = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	const done = "data: [DONE]\n\n"
	tests := []struct {
		name, raw, text string
		want            error
	}{
		{"plain", say("a") + say("b") + stop + done, "ab", nil},
		{"without spaces and with CR", strings.ReplaceAll(strings.ReplaceAll(say("a")+stop+done, "data: ", "data:"), "\n", "\r\n"), "a", nil},
		{"with comments, ids and event names", ": hi\nid: 1\nevent: result\n" + say("a") + ": ping\n\nretry: 5\n" + stop + done, "a", nil},
		{"events without blank lines between", strings.ReplaceAll(say("a")+say("b")+stop+done, "\n\n", "\n"), "ab", nil},
		{"no line end at the end", say("a") + strings.TrimSpace(stop), "a", nil},
		{"an event in several lines", "data: {\"choices\":[\ndata: {\"index\":0,\"delta\":{\"content\":\"a\"}}\ndata: ]}\n\n" + stop + done, "a", nil},
		{"other choices are not this answer", `data: {"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":"stop"}]}` + "\n\n", "", ErrTruncated},
		{"finish reason null as a text", `data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"null"}]}` + "\n\n" + done, "a", ErrTruncated},
		{"nothing", "", "", ErrTruncated},
		{"only done", done, "", ErrTruncated},
		{"what follows done is not read", say("a") + stop + done + say("b"), "a", nil},
		{"half an event", say("a") + "data: {\"choices\"\n\n" + stop, "a", ErrBadReply},
		{"an event in too many lines", say("a") + "data: [\n" + strings.Repeat("data: 1,\n", 100) + "data: 1]\n\n", "a", ErrBadReply},
		{"a list instead of an object", "data: []\n\n" + stop, "", ErrBadReply},
		{"content that is a number", `data: {"choices":[{"delta":{"content":7}}]}` + "\n\n" + stop, "", ErrBadReply},
		{"an error object", say("a") + `data: {"error":{"code":"data_inspection_failed","message":"x"}}` + "\n\n", "a", ErrRefused},
		{"an error beside choices", say("a") + `data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"code":429,"message":"Rate limit","type":"limit_requests"}}` + "\n\n", "a", ErrThrottled},
		{"an error that is null", `data: {"error":null,"code":null,"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}` + "\n\n", "a", nil},
		{"an error without data:", `{"error":{"code":"Arrearage","message":"good standing"}}` + "\n", "", ErrArrears},
		{"a native error", `data: {"code":"Throttling.RateQuota","message":"x","request_id":"1"}` + "\n\n", "", ErrThrottled},
		{"finish reason error", say("a") + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}` + "\n\n", "a", ErrBadReply},
		{"too much", strings.Repeat(say(strings.Repeat("x", 100)), 11) + stop, strings.Repeat("x", 1000), ErrTooMuchOutput},
		{"too long a line", "data: " + strings.Repeat("x", maxLine) + "\n\n", "", ErrBadReply},
		{"halves of a surrogate pair", say(`a\ud83d`) + say(`\udc4db`) + stop, "a👍b", nil},
		{"half a pair that is only a text", say(`\\ud83d`) + say("b") + stop, `\ud83db`, nil},
		{"half a pair that stays alone", say(`a\ud83d`) + say("b") + stop, "a\uFFFDb", nil},
		{"a content key in a text", say(`\"content\":\"`+"\xe4") + say("\xb8\xad") + stop, `"content":"中`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := through(tt.raw, 1000)
			if got != tt.text {
				t.Errorf("text %q, want %q", got, tt.text)
			}
			if tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestSSEErrorsAreFinal(t *testing.T) {
	t.Parallel()
	s := newSSE(iotest.TimeoutReader(strings.NewReader("data: {}\n\ndata: {}\n\n")), 10, judge)
	_, _ = all(s)
	for range 3 {
		if p, err := next(s); p.text != "" || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("next after the end = %v, %v", p, err)
		}
	}
}

// What came together goes out together, and nobody waits for what has not come.
func TestSSETakesWhatIsThere(t *testing.T) {
	t.Parallel()
	say := func(s string) string { return `data: {"choices":[{"delta":{"content":"` + s + `"}}]}` + "\n\n" }
	r, w := io.Pipe()
	s := newSSE(r, 1000, judge)
	got := make(chan string)
	go func() {
		defer close(got)
		for {
			p, err := next(s)
			if err != nil {
				got <- err.Error()
				return
			}
			got <- p.text
		}
	}()
	for _, tt := range []struct{ raw, text string }{
		{say("one"), "one"},
		{say("two") + say("three"), "twothree"},
		{say("four") + say("five")[:20], "four"}, // the rest of five waits
		{say("five")[20:], "five"},
		{say("six") + `data: {"choices":[{"delta":{},"finish_reason":"error"}]}` + "\n\n", "six"}, // and then the error
	} {
		if _, err := io.WriteString(w, tt.raw); err != nil {
			t.Fatal(err)
		}
		if text := <-got; text != tt.text {
			t.Errorf("%q gave %q, want %q", tt.raw, text, tt.text)
		}
	}
	if last := <-got; !strings.Contains(last, "finish reason error") {
		t.Errorf("the end is %q", last)
	}
}

// FuzzSSE: whatever comes in, what comes out is valid UTF-8, and the end is
// clean only after a finish reason.
func FuzzSSE(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xe4\xb8\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\xad\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
	f.Add([]byte("data: {\"error\":{}}\n\n"))
	f.Add([]byte(": x\ndata:\ndata: 1\r\n\r\n{\"code\":1}"))
	f.Add([]byte("data: {\ndata: \"choices\":[{\"finish_reason\":\"stop\"}]}\n\n"))
	f.Add([]byte("data: {\"content\":\"\\ud83d\"}\n\ndata: {\"content\":\"\\udc4d\"}\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newSSE(bytes.NewReader(raw), 1000, judge)
		out, err := all(s)
		if !utf8.ValidString(out) {
			t.Errorf("%q is no UTF-8", out)
		}
		if err == nil && s.finish == "" {
			t.Errorf("%q ended well without a finish reason", raw)
		}
		if len(out) > 2*len(raw)*len("\uFFFD")+32 {
			t.Errorf("%d bytes became %d", len(raw), len(out))
		}
	})
}

// FuzzMend: a text cut at any bytes comes out as it was.
func FuzzMend(f *testing.F) {
	f.Add("保修期为两年。", uint64(0xffff))
	f.Add("👍🏽 ok é", uint64(0b1010101))
	f.Add(`quotes " and \ \\ud83d`, uint64(7))
	f.Fuzz(func(t *testing.T, text string, cuts uint64) {
		if !utf8.ValidString(text) || len(text) > 900 {
			return
		}
		quoted, _ := json.Marshal(text)
		inner := quoted[1 : len(quoted)-1]
		var raw bytes.Buffer
		start := 0
		for i := range inner {
			escape := backslashes(inner[:i])%2 == 1 || bytes.LastIndex(inner[:i], []byte(`\u`)) > i-6 // never inside an escape
			if i > start && !escape && cuts>>(i%64)&1 == 1 {
				raw.WriteString(`data: {"choices":[{"delta":{"content":"` + string(inner[start:i]) + "\"}}]}\n\n")
				start = i
			}
		}
		raw.WriteString(`data: {"choices":[{"delta":{"content":"` + string(inner[start:]) + "\"},\"finish_reason\":\"stop\"}]}\n\n")
		out, err := through(raw.String(), 1<<20)
		if err != nil {
			t.Fatalf("%q: %v", raw.String(), err)
		}
		if out != text {
			t.Errorf("%q came out as %q", text, out)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for h, want := range map[string]time.Duration{
		"": 0, "0": 0, "-3": 0, "x": 0, "NaN": 0, "7": 7 * time.Second, " 1.5 ": 1500 * time.Millisecond,
		"1e300": maxRetryAfter, "+Inf": maxRetryAfter, "86400": maxRetryAfter,
		"Mon, 23 Nov 2026 12:00:30 GMT": 30 * time.Second, "Mon, 23 Nov 2020 12:00:30 GMT": 0, "Mon, 23 Nov 2099 12:00:30 GMT": maxRetryAfter,
	} {
		if got := retryAfter(h, now); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", h, got, want)
		}
	}
}

func TestErrorsTellNoKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"plain-looking.key_77", secret} {
		e := &endpoint{op: OpChat, key: key}
		for _, body := range []string{`{"error":{"message":"bad key ` + key + ` given","code":"x"}}`, `{"message":"x","code":"` + key + `","request_id":"` + key + `"}`, "<title>" + key + "</title>"} {
			if text := e.classify(401, http.Header{"X-Request-Id": {key}}, []byte(body)).err.Error(); strings.Contains(text, key) {
				t.Errorf("%s", text)
			}
		}
	}
	other := (&endpoint{op: OpChat}).classify(401, nil, []byte(`{"error":"key sk-ffffffffffffffff and Bearer abcdefghijkl"}`)).err.Error()
	if strings.Contains(other, "fffff") || strings.Contains(other, "abcdef") {
		t.Errorf("another's key: %s", other)
	}
}

// FuzzClassify: whatever a provider says, the error is classified, short, one
// line, and without the key.
func FuzzClassify(f *testing.F) {
	f.Add(400, []byte(`{"error":{"code":"Arrearage","message":"x"}}`))
	f.Add(401, []byte(`{"error":"bad key `+secret+`"}`))
	f.Add(429, []byte(`{"code":429,"message":["a"]}`))
	f.Add(502, []byte("<html><title>Bad\xff Gateway</title>"))
	f.Add(200, []byte(`null`))
	f.Add(400, []byte(`{"error":{"code":{"a":1},"message":"batch size is invalid, it should not be larger than 99999999999999999999."}}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := &endpoint{op: OpChat, key: secret}
		v := e.classify(status, http.Header{}, body)
		text := v.err.Error()
		if v.err.Kind == kb.Internal && !errors.Is(v.err, errOverBatch) || v.err.Msg == "" {
			t.Errorf("%d %q is not classified: %v", status, body, text)
		}
		if strings.Contains(text, secret) || strings.ContainsAny(text, "\n\r") || len(text) > 1000 || !utf8.ValidString(text) {
			t.Errorf("%d %q makes the error %q", status, body, text)
		}
		if v.retry && errors.Is(v.err, ErrArrears) {
			t.Error("Arrearage is tried again")
		}
	})
}
