package llmtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// sse writes one streamed answer.
type sse struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	req  Request
	act  Act
	eol  string
	head string // the fields after choices, shared by all chunks
}

// stream writes the chunks as DashScope does: the role first, finish_reason in
// a chunk of its own, usage in a last chunk without choices, then [DONE].
func (s *Server) stream(w http.ResponseWriter, r *http.Request, req Request, act Act, pieces []string, finish string) {
	w.Header().Set("Content-Type", "text/event-stream;charset=UTF-8")
	w.Header().Set("X-Request-Id", requestID)
	w.WriteHeader(http.StatusOK)
	e := &sse{s: s, w: w, r: r, req: req, act: act, eol: "\n"}
	if act.CRLF {
		e.eol = "\r\n"
	}
	e.head = fmt.Sprintf(`"object":"chat.completion.chunk","created":%d,"system_fingerprint":null,"model":%q,"id":"chatcmpl-%s"`,
		time.Now().Unix(), req.Model, requestID)
	sent := 0
	more := func() bool { // reports whether to go on after one more chunk
		sent++
		return act.Fault == "" || act.Fault == Linger || sent <= act.After
	}
	if act.Fault != "" && act.Fault != Linger && act.After == 0 {
		e.fail()
		return
	}
	e.delta(`{"content":"","role":"assistant"}`, "")
	for _, p := range split(act.Reasoning) {
		e.delta(`{"content":null,"reasoning_content":`+string(quote(p))+`}`, "")
	}
	for _, p := range pieces {
		if !more() {
			e.fail()
			return
		}
		if !e.pause() {
			return
		}
		e.delta(`{"content":`+string(quote(p))+`}`, "")
	}
	if act.Fault != "" && act.Fault != Linger {
		e.fail()
		return
	}
	e.end(pieces, finish)
}

func (e *sse) end(pieces []string, finish string) {
	if !e.act.NoFinish {
		e.delta(`{"content":""}`, finish)
	}
	if e.act.Fault == Linger {
		e.s.hang(e.r)
		return
	}
	opts, _ := e.req.Fields["stream_options"].(map[string]any)
	if opts["include_usage"] == true && !e.act.NoUsage {
		u, _ := json.Marshal(measure(e.req, pieces))
		e.line(`data: {"choices":[],"usage":` + string(u) + `,` + e.head + `}`)
	}
	if !e.act.NoDone {
		e.line("data: [DONE]")
	}
}

// delta writes one chunk.
func (e *sse) delta(delta, finish string) {
	f := "null"
	if finish != "" {
		f = string(quote(finish))
	}
	e.line(`data: {"choices":[{"delta":` + delta + `,"index":0,"logprobs":null,"finish_reason":` + f + `}],"usage":null,` + e.head + `}`)
}

func (e *sse) line(text string) {
	b := []byte(text + e.eol + e.eol)
	rc := http.NewResponseController(e.w)
	if !e.act.OneByte {
		_, _ = e.w.Write(b)
		_ = rc.Flush()
		return
	}
	for i := range b {
		_, _ = e.w.Write(b[i : i+1])
		_ = rc.Flush()
	}
}

func (e *sse) pause() bool {
	d := e.act.TokenDelay
	if d == 0 {
		d = e.s.TokenDelay
	}
	return e.r.Context().Err() == nil && e.s.wait(e.r, d)
}

// fail ends the stream in the way of act.Fault.
func (e *sse) fail() {
	_ = http.NewResponseController(e.w).Flush()
	code, message := e.act.Code, e.act.Message
	if code == "" {
		code, message = "internal_error", "An internal error has occurred, please try again later."
	}
	switch e.act.Fault {
	case Abort:
		panic(http.ErrAbortHandler)
	case Hang:
		e.s.hang(e.r)
	case ErrorObject:
		e.line(fmt.Sprintf(`data: {"error":{"code":%q,"param":null,"message":%q,"type":%q},"id":"chatcmpl-%s","request_id":%q}`, code, message, code, requestID, requestID))
	case NativeError:
		e.line(fmt.Sprintf(`data: {"code":%q,"message":%q,"request_id":%q}`, code, message, requestID))
	case Garbage:
		e.line(`data: {"choices":[{"delta":{"content":"half a chu`)
	case Comments:
		for e.s.wait(e.r, 5*time.Millisecond) {
			e.line(": keep-alive")
		}
	case LongLine:
		_, _ = e.w.Write([]byte(`data: {"choices":[{"delta":{"content":"`))
		block := bytes.Repeat([]byte("x"), 64<<10)
		for range 1024 { // 64 MiB at most
			if _, err := e.w.Write(block); err != nil || e.r.Context().Err() != nil {
				return
			}
		}
	}
}

// Bytes returns s cut into chunks of n bytes, whatever they cut through.
func Bytes(s string, n int) []string {
	var out []string
	for len(s) > n {
		out, s = append(out, s[:n]), s[n:]
	}
	return append(out, s)
}
