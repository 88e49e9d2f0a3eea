package llm

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// chunks are of providers, as they send them.
var chunks = map[string]string{
	"DashScope": `{"choices":[{"delta":{"content":"我是阿里云"},"index":0,"logprobs":null,"finish_reason":null}],"object":"chat.completion.chunk","usage":null,"created":1735113344,"system_fingerprint":null,"model":"qwen-plus","id":"chatcmpl-e30f5ae7"}`,
	"the first": `{"choices":[{"delta":{"content":"","role":"assistant"},"index":0,"logprobs":null,"finish_reason":null}],"object":"chat.completion.chunk","usage":null,"created":1735113344,"system_fingerprint":null,"model":"qwen-plus","id":"chatcmpl-e30f5ae7"}`,
	"the last":  `{"choices":[{"finish_reason":"stop","delta":{"content":""},"index":0,"logprobs":null}],"object":"chat.completion.chunk","usage":null,"created":1735113344,"system_fingerprint":null,"model":"qwen-plus","id":"chatcmpl-e30f5ae7"}`,
	"a thought": `{"choices":[{"delta":{"content":null,"reasoning_content":"let \"me\" see\n"},"index":0,"finish_reason":null}],"object":"chat.completion.chunk","usage":null,"created":1735113344,"model":"qwen-plus","id":"chatcmpl-e30f5ae7"}`,
	"OpenAI":    `{"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini","service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}`,
	"vLLM":      `{"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": "two\twords"}, "logprobs": null, "finish_reason": null}]}`,
}

func TestUsualChunksAreReadPlainly(t *testing.T) {
	t.Parallel()
	for name, raw := range chunks {
		if !new(chunk).plain([]byte(raw)) {
			t.Errorf("a chunk of %s is left to encoding/json: %s", name, raw)
		}
	}
}

// FuzzPlain: what plain takes is what encoding/json makes of it.
func FuzzPlain(f *testing.F) {
	for _, raw := range chunks {
		f.Add([]byte(raw))
	}
	for _, raw := range []string{
		`{"choices":[{"delta":{"content":"a\u00e4\/"}}]}`, `{"choices":[{"delta":{"content":"a","content":"b"}}]}`, `{"Choices":[{"delta":{}}]}`,
		`{"choices":[{"index":00,"delta":{}}]}`, `{"choices":[{"index":1e2,"delta":{}},{}]}`, `{"choices":[{"finish_reason":"st\xffop"}],"error":null}`,
		`{"choices":[{"delta":{"content":"a"}}],"choices":[{"delta":{}}]}`, `{"choices":[{"delta":{}}]}x`, `{"choices":[{"delta":{"content":"a\q"}}]}`,
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got, want chunk
		if !got.plain(raw) {
			return
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("%q was taken: %v", raw, err)
		}
		if !present(want.Usage) {
			want.Usage = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-encoding/json +plain):\n%s", raw, diff)
		}
	})
}

// A prompt is let go of when it was sent, not when the answer has ended.
func TestSentBodiesAreReleased(t *testing.T) {
	t.Parallel()
	r := &released{*bytes.NewReader([]byte("a long prompt"))}
	if text, err := io.ReadAll(r); string(text) != "a long prompt" || err != nil {
		t.Fatalf("read %q, %v", text, err)
	}
	if r.Size() != 0 {
		t.Errorf("%d bytes are held after they were read", r.Size())
	}
}
