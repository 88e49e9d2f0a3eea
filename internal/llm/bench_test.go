package llm

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// canned answers every request with the same bytes, without a network.
type canned []byte

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}},
		Body: io.NopCloser(bytes.NewReader(c)),
	}, nil
}

func longStream(n int) string {
	const rest = `"object":"chat.completion.chunk","usage":null,"created":1735113344,"system_fingerprint":null,"model":"qwen-plus","id":"chatcmpl-e30f5ae7-3063-93c4-90fe-beb5f900bd57"}`
	return `data: {"choices":[{"delta":{"content":"","role":"assistant"},"index":0,"logprobs":null,"finish_reason":null}],` + rest + "\n\n" +
		strings.Repeat(`data: {"choices":[{"delta":{"content":"我是阿里云"},"index":0,"logprobs":null,"finish_reason":null}],`+rest+"\n\n", n) +
		`data: {"choices":[{"delta":{"content":""},"finish_reason":"stop","index":0,"logprobs":null}],` + rest + "\n\ndata: [DONE]\n\n"
}

// BenchmarkStream is the cost of one relayed token, without the network: all of
// it, and the part of sse.
func BenchmarkStream(b *testing.B) {
	const tokens = 1000
	raw := longStream(tokens)
	b.Run("whole", func(b *testing.B) {
		c, err := New(Config{APIKey: "k"})
		if err != nil {
			b.Fatal(err)
		}
		c.chat.road.tripper = func() http.RoundTripper { return canned(raw) }
		b.ReportAllocs()
		for b.Loop() {
			for _, err := range c.Stream(b.Context(), ask("?"), Options{}) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*tokens), "ns/token")
	})
	b.Run("sse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := all(newSSE(strings.NewReader(raw), 1<<20, judge)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*tokens), "ns/token")
	})
}
