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

// sse reads a provider's event stream: bounded, checked, joined where it was
// cut, and in one text what came at once. The client below eino is not asked
// to: it reads lines without a bound, takes a clean end of the body for the end
// of the answer, and knows only one of the shapes an error comes in
// (facts/dependencies.md §3.2, 2 and 3).
type sse struct {
	src    *bufio.Reader
	judge  func(body []byte) *verdict // what an error object means
	limit  int64                      // bytes of text and thoughts
	got    piece                      // to be taken
	some   bool                       // something is in got
	event  []byte                     // data of an event that came in several lines
	cuts   int                        // lines in event
	carry  []byte                     // start of a character whose rest is in the next chunk
	err    error                      // after got
	raw    int64
	text   int64 // bytes of content and thoughts
	finish string
	usage  *wireUsage

	thoughtCarry []byte
}

// piece is what one event says, or several that came together.
type piece struct {
	text, thought string
	tools         json.RawMessage // of one event
	finish        string          // if it came with this piece
	usage         *wireUsage      // the same
}

// filtered is the error object for an answer that a filter has ended: the
// finish reason is OpenAI's way to say what DashScope says with an error.
var filtered = []byte(`{"code":"content_filter","message":"finish reason content_filter"}`)

// lineBuffer is what is read at once: a chunk of a token, or three short ones.
const lineBuffer = 384

func newSSE(src io.Reader, limit int64, judge func([]byte) *verdict) *sse {
	return &sse{src: bufio.NewReaderSize(src, lineBuffer), limit: limit, judge: judge}
}

// wait returns when there is something to take. The error after the last piece
// is io.EOF only if the answer was finished.
func (s *sse) wait() error {
	for !s.some {
		if s.err != nil {
			return s.err
		}
		s.step()
	}
	for s.err == nil && s.here() {
		s.step() // a reader that is late gets all at once, and is not late any more
	}
	return nil
}

// take returns what came. It is no part of wait because who waits for a token
// keeps its stack small.
func (s *sse) take() piece {
	p := s.got
	s.got, s.some = piece{}, false
	return p
}

// here reports that a line can be read without waiting.
func (s *sse) here() bool {
	b, _ := s.src.Peek(s.src.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
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
		s.end(io.EOF)
		return
	}
	if len(data) == 0 {
		return
	}
	if len(s.event) > 0 { // the event's earlier lines: JSON may be cut wherever it may have a line end
		data = append(append(s.event, '\n'), data...)
	}
	var c chunk // stays on the stack: a chunk is a token
	var err error
	if len(s.event) > 0 || !c.plain(data) {
		c, err = decoded[chunk](data)
	}
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

// pass counts and checks a chunk and takes what is known out of it.
func (s *sse) pass(c *chunk) {
	for i := range c.Choices {
		if ch := &c.Choices[i]; ch.Index == 0 && !s.choice(ch) {
			return
		}
	}
	if !present(c.Usage) {
		return
	}
	if u, err := decoded[wireUsage](c.Usage); err == nil { // one we cannot read costs an estimate, not the answer
		s.usage, s.got.usage, s.some = &u, &u, true
	}
}

func decoded[T any](data []byte) (v T, err error) {
	err = json.Unmarshal(data, &v)
	return v, err
}

// choice takes one choice, and reports false if it ended the stream.
func (s *sse) choice(ch *choice) bool {
	d := &ch.Delta
	content, ok := s.mend(&s.carry, d.Content)
	thought, ok2 := s.mend(&s.thoughtCarry, or2(d.Reasoning, d.Thoughts))
	if !ok || !ok2 {
		s.end(fmt.Errorf("%w: a text is no text", ErrBadReply))
		return false
	}
	s.text += int64(len(content) + len(thought) + len(d.Tools))
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
	s.got.text += content
	s.got.thought += thought
	s.got.finish, s.some = s.finish, true
	if present(d.Tools) {
		s.got.tools = bytes.Clone(d.Tools)
	}
	return true
}

func or2(a, b json.RawMessage) json.RawMessage {
	if present(a) {
		return a
	}
	return b
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
