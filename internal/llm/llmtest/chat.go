package llmtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// checkChat applies the rules of the chat interface.
func checkChat(req Request) *apiError {
	m, known := findChat(req.Model)
	if !known {
		return noModel(req.Model)
	}
	if len(req.Messages) == 0 {
		return invalid("<400> InternalError.Algo.InvalidParameter: The messages field must be a non-empty list: input.messages")
	}
	length, json := 0, false
	for _, msg := range req.Messages {
		switch msg.Role {
		case "system", "user", "assistant", "tool":
		default:
			return invalid(fmt.Sprintf("'%s' is not one of ['system', 'assistant', 'user', 'tool', 'function'] - 'messages.role'", msg.Role))
		}
		length += tokens(msg.Content)
		json = json || strings.Contains(strings.ToLower(msg.Content), "json")
	}
	if last := req.Messages[len(req.Messages)-1]; last.Role == "system" && len(req.Messages) == 1 && last.Content == "" {
		return invalid("<400> InternalError.Algo.InvalidParameter: Input content must not be empty.")
	}
	if req.JSON && !json {
		return invalid("<400> InternalError.Algo.InvalidParameter: 'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
	}
	if length > m.input {
		return invalid(fmt.Sprintf("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, %d]", m.input))
	}
	thinks := m.thinking
	if v, ok := req.Fields["enable_thinking"].(bool); ok {
		thinks = v
	}
	if thinks && !req.Stream {
		return invalid("parameter.enable_thinking must be set to false for non-streaming calls")
	}
	if thinks && req.JSON {
		return invalid("Json mode response is not supported when enable_thinking is true")
	}
	return checkSampling(req.Fields)
}

func checkSampling(f map[string]any) *apiError {
	if t, ok := f["temperature"].(float64); ok && (t < 0 || t >= 2) {
		return invalid("<400> InternalError.Algo.InvalidParameter: Temperature should be in [0.0, 2.0)")
	}
	if p, ok := f["top_p"].(float64); ok && (p <= 0 || p > 1) {
		return invalid("<400> InternalError.Algo.InvalidParameter: Top_p should be in (0.0, 1.0]")
	}
	if n, ok := f["max_tokens"].(float64); ok && n < 1 {
		return invalid("<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 32768]")
	}
	return nil
}

// said returns the answer's chunks and its finish reason.
func (s *Server) said(req Request, act Act) ([]string, string) {
	finish := act.Finish
	if finish == "" {
		finish = "stop"
	}
	var text string
	switch {
	case act.Empty:
		return nil, finish
	case act.Tokens != nil:
		return act.Tokens, finish
	case act.Flood > 0:
		text = flood(act.Flood)
	case act.Reply != "":
		text = act.Reply
	case s.Answer != nil:
		text = s.Answer(req)
	case req.JSON:
		text = Understand(req)
	default:
		text = Extract(req)
	}
	text, stopped := cutStops(text, req.Fields["stop"])
	pieces := split(text)
	if n, ok := req.Fields["max_tokens"].(float64); ok && !stopped && act.Flood == 0 && len(pieces) > int(n) {
		return pieces[:int(n)], "length"
	}
	return pieces, finish
}

func cutStops(text string, stop any) (string, bool) {
	var stops []string
	switch v := stop.(type) {
	case string:
		stops = []string{v}
	case []any:
		for _, s := range v {
			if str, ok := s.(string); ok {
				stops = append(stops, str)
			}
		}
	}
	for _, st := range stops {
		if i := strings.Index(text, st); st != "" && i >= 0 {
			return text[:i], true
		}
	}
	return text, false
}

// split cuts text into chunks as a tokenizer would: words with their space, CJK
// by two characters.
func split(text string) []string {
	var out []string
	start, wide := 0, 0
	for i, r := range text {
		cut := false
		if r >= 0x2E80 {
			wide++
			cut = wide > 2
		} else {
			cut = wide > 0 || r == ' '
			wide = 0
		}
		if cut && i > start {
			out = append(out, text[start:i])
			start, wide = i, min(wide, 1)
		}
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}

type usage struct {
	Prompt     int            `json:"prompt_tokens"`
	Completion int            `json:"completion_tokens"`
	Total      int            `json:"total_tokens"`
	Details    map[string]int `json:"prompt_tokens_details"`
}

func measure(req Request, pieces []string) usage {
	u := usage{Details: map[string]int{"cached_tokens": 0}}
	for _, m := range req.Messages {
		u.Prompt += tokens(m.Content) + 4 // each message's role and delimiters
	}
	u.Completion = len(pieces)
	u.Total = u.Prompt + u.Completion
	return u
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request, req Request, act Act) {
	if bad := checkChat(req); bad != nil {
		writeError(w, bad)
		return
	}
	if !s.wait(r, s.FirstDelay) {
		return
	}
	pieces, finish := s.said(req, act)
	if req.Stream {
		s.stream(w, r, req, act, pieces, finish)
		return
	}
	var body bytes.Buffer
	body.WriteString(`{"choices":[{"message":{"role":"assistant","content":`)
	body.Write(quote(strings.Join(pieces, "")))
	if act.Reasoning != "" {
		body.WriteString(`,"reasoning_content":`)
		body.Write(quote(act.Reasoning))
	}
	body.WriteString(`}`)
	if !act.NoFinish {
		fmt.Fprintf(&body, `,"finish_reason":%q`, finish)
	}
	u, _ := json.Marshal(measure(req, pieces))
	fmt.Fprintf(&body, `,"index":0,"logprobs":null}],"object":"chat.completion","usage":%s,"created":%d,"system_fingerprint":null,"model":%q,"id":"chatcmpl-%s"}`,
		u, time.Now().Unix(), req.Model, requestID)
	s.whole(w, r, act, body.Bytes())
}

// whole writes a buffered JSON answer, or half of it when act says so.
func (s *Server) whole(w http.ResponseWriter, r *http.Request, act Act, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", requestID)
	switch act.Fault {
	case Truncate, Abort, Hang:
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		if act.Fault == Abort {
			panic(http.ErrAbortHandler)
		}
		if act.Fault == Hang {
			s.hang(r)
		}
		return
	}
	_, _ = w.Write(body)
}

// quote encodes s as a JSON string and leaves bytes that are no UTF-8 as they
// are, which json.Marshal would not.
func quote(s string) []byte {
	if utf8.ValidString(s) {
		b, _ := json.Marshal(s)
		return b
	}
	b := []byte{'"'}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
