package llm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Stream bounds.
const (
	maxLine = 1 << 20 // of one event; a chunk is some 300 bytes, an answer sent as one chunk 256 KiB
	maxRaw  = 64 << 20
	maxCuts = 64 // lines of one event; joining is quadratic
)

// sse turns a provider's event stream into one that a trusting reader can take:
// each event one "data:" line of valid JSON and valid UTF-8, ended by [DONE].
// It exists because the client below eino reads lines without a bound, takes a
// clean end of the body for the end of the answer, and knows only one of the
// shapes an error comes in (facts/dependencies.md §3.2, 2 and 3). Whatever is
// wrong with a stream is an error from Read.
type sse struct {
	src    *bufio.Reader
	judge  func(body []byte) *verdict // what an error object means
	limit  int64                      // bytes of text and thoughts
	out    []byte                     // to be read
	event  []byte                     // data of an event that came in several lines
	cuts   int                        // lines in event
	carry  []byte                     // start of a character whose rest is in the next chunk
	err    error                      // after out
	raw    int64
	text   int64 // bytes of content and thoughts
	finish string
	usage  *wireUsage

	thoughtCarry []byte
}

// filtered is the error object for an answer that a filter has ended: the
// finish reason is OpenAI's way to say what DashScope says with an error.
var filtered = []byte(`{"code":"content_filter","message":"finish reason content_filter"}`)

func newSSE(src io.Reader, limit int64, judge func([]byte) *verdict) *sse {
	return &sse{src: bufio.NewReaderSize(src, 4096), limit: limit, judge: judge}
}

// Read implements io.Reader. The error after the last bytes is io.EOF only if
// the answer was finished.
func (s *sse) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.step()
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// step reads one line and acts on it.
func (s *sse) step() {
	line, err := s.line()
	switch {
	case err == nil:
	case s.finish != "" && !errors.Is(err, ErrBadReply):
		s.end(io.EOF) // complete; that the usage or [DONE] got lost is no harm
		return
	case errors.Is(err, io.EOF):
		s.end(ErrTruncated)
		return
	default:
		s.end(err)
		return
	}
	data, isData := bytes.CutPrefix(line, []byte("data:"))
	switch {
	case isData:
		s.data(bytes.TrimSpace(data))
	case len(line) == 0 && len(s.event) > 0:
		s.end(fmt.Errorf("%w: an event is no JSON", ErrBadReply))
	case len(line) > 0 && line[0] == '{':
		s.data(line) // an error object without its "data:", as gateways send it
	}
}

func (s *sse) end(err error) {
	s.err = err
}

// line reads one line, without its end.
func (s *sse) line() ([]byte, error) {
	var long []byte
	for {
		part, err := s.src.ReadSlice('\n')
		s.raw += int64(len(part))
		if s.raw > maxRaw || len(long)+len(part) > maxLine {
			return nil, fmt.Errorf("%w: a line or a stream is too long", ErrBadReply)
		}
		switch {
		case err == nil && long == nil:
			return bytes.TrimRight(part, "\r\n"), nil
		case err == nil:
			return bytes.TrimRight(append(long, part...), "\r\n"), nil
		case errors.Is(err, io.EOF) && len(long)+len(part) > 0: // a last line without its end
			return bytes.TrimRight(append(long, part...), "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		long = append(long, part...)
	}
}

// chunk is what is taken from an event; nothing else of it is passed on.
type chunk struct {
	Choices []choice        `json:"choices"`
	Usage   json.RawMessage `json:"usage"`
	Error   json.RawMessage `json:"error"`
	Code    json.RawMessage `json:"code"`
}

type choice struct {
	Index int `json:"index"`
	Delta struct {
		Content   json.RawMessage `json:"content"` // raw: cut characters are mended before decoding
		Reasoning json.RawMessage `json:"reasoning_content"`
		Thoughts  json.RawMessage `json:"reasoning"` // the same, as OpenRouter and vLLM name it
		Tools     json.RawMessage `json:"tool_calls"`
	} `json:"delta"`
	Finish *string `json:"finish_reason"`
}

// wireUsage is the usage object of every interface.
type wireUsage struct {
	Prompt     int `json:"prompt_tokens"`
	Input      int `json:"input_tokens,omitempty"` // native
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// data acts on the payload of one data line.
func (s *sse) data(data []byte) {
	if string(data) == "[DONE]" {
		if s.finish == "" {
			s.end(ErrTruncated)
			return
		}
		s.out = append(s.out[:0], "data: [DONE]\n\n"...)
		s.end(io.EOF)
		return
	}
	if len(data) == 0 {
		return
	}
	if len(s.event) > 0 { // the event's earlier lines: JSON may be cut wherever it may have a line end
		data = append(append(s.event, '\n'), data...)
	}
	var c chunk
	err := json.Unmarshal(data, &c)
	if _, cut := errors.AsType[*json.SyntaxError](err); cut {
		s.event = bytes.Clone(data)
		if s.cuts++; s.cuts > maxCuts || len(data) > maxLine {
			s.end(fmt.Errorf("%w: an event is too long", ErrBadReply))
		}
		return
	}
	s.event, s.cuts = nil, 0
	switch {
	case err != nil:
		s.end(fmt.Errorf("%w: a chunk has another shape", ErrBadReply))
	case present(c.Error) || present(c.Code) && len(c.Choices) == 0:
		s.end(s.judge(data))
	default:
		s.pass(&c)
	}
}

// pass counts and checks a chunk and passes it on, reduced to what is known.
func (s *sse) pass(c *chunk) {
	s.out = s.out[:0]
	for i := range c.Choices {
		if ch := &c.Choices[i]; ch.Index == 0 && !s.choice(ch) {
			return
		}
	}
	var u wireUsage
	if present(c.Usage) && json.Unmarshal(c.Usage, &u) == nil { // one we cannot read costs an estimate, not the answer
		s.usage = &u
		known, _ := json.Marshal(u)
		s.out = append(s.out, `data: {"choices":[],"usage":`...)
		s.out = append(append(s.out, known...), "}\n\n"...)
	}
}

// choice passes on one choice, and reports false if it ended the stream.
func (s *sse) choice(ch *choice) bool {
	d := &ch.Delta
	content, ok := s.mend(&s.carry, d.Content)
	thought, ok2 := s.mend(&s.thoughtCarry, or2(d.Reasoning, d.Thoughts))
	if !ok || !ok2 {
		s.end(fmt.Errorf("%w: a text is no text", ErrBadReply))
		return false
	}
	s.text += unquoted(content) + unquoted(thought) + int64(len(d.Tools))
	if ch.Finish != nil && *ch.Finish != "null" { // the native interface says "null"
		s.finish = *ch.Finish
	}
	switch {
	case s.text > s.limit:
		s.end(ErrTooMuchOutput)
		return false
	case strings.HasPrefix(s.finish, "content_filter"):
		s.end(s.judge(filtered))
		return false
	case s.finish == "error":
		s.end(fmt.Errorf("%w: finish reason error", ErrBadReply))
		return false
	}
	s.out = append(s.out, `data: {"choices":[{"index":0,"delta":{"content":`...)
	s.out = append(s.out, content...)
	if len(thought) > len(`""`) {
		s.out = append(append(s.out, `,"reasoning_content":`...), thought...)
	}
	if present(d.Tools) {
		s.out = append(append(s.out, `,"tool_calls":`...), oneLine(d.Tools)...)
	}
	s.out = append(s.out, '}')
	if s.finish != "" {
		quoted, _ := json.Marshal(s.finish)
		s.out = append(append(s.out, `,"finish_reason":`...), quoted...)
	}
	s.out = append(s.out, "}]}\n\n"...)
	return true
}

// unquoted is the length of a JSON string's value.
func unquoted(quoted []byte) int64 {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return int64(len(quoted) - len(`""`))
	}
	var v string
	_ = json.Unmarshal(quoted, &v) // valid: it was cut out of valid JSON
	return int64(len(v))
}

func or2(a, b json.RawMessage) json.RawMessage {
	if present(a) {
		return a
	}
	return b
}

// oneLine makes raw JSON valid UTF-8 without the line ends allowed between tokens.
func oneLine(data []byte) []byte {
	return bytes.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r // U+FFFD where the bytes are no character
	}, data)
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
