//go:build !nochat

package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cloudwego/eino/schema"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// jsonTries is how often JSON asks: once, and once more with the error. A model
// that fails twice fails a third time.
const jsonTries = 2

// JSON asks the chat model for a JSON object and decodes it strictly into T: no
// unknown field, nothing after it, and Validate() error, if *T has it, must
// agree. An answer that does not fit is shown to the model once, with the
// error; after that the error is ErrBadJSON. Usage is of all calls together.
func JSON[T any](ctx context.Context, c *Client, in []*schema.Message, o Options) (T, Usage, error) {
	o.JSON = true
	in = mentionJSON(in)
	var total Usage
	var bad error
	for range jsonTries {
		reply, err := c.generateJSON(ctx, in, o)
		total = total.Add(reply.Usage)
		if err != nil {
			var zero T
			return zero, total, err
		}
		v, err := decodeJSON[T]([]byte(reply.Text))
		if err == nil {
			return v, total, nil
		}
		bad = err
		in = append(slices.Clip(in),
			schema.AssistantMessage(Trim(reply.Text, 500), nil),
			schema.UserMessage("That is not the JSON object asked for: "+err.Error()+". Answer with the JSON object only."))
	}
	var zero T
	return zero, total, kb.E(kb.Unavailable, &CallError{Op: OpChat, Message: c.chat.clean(bad.Error(), 300), cause: ErrBadJSON},
		"the language model gave an answer that could not be read")
}

// generateJSON is Generate in JSON mode, or without where the model has none.
func (c *Client) generateJSON(ctx context.Context, in []*schema.Message, o Options) (Reply, error) {
	reply, err := c.Generate(ctx, in, o)
	if errors.Is(err, errNoJSONMode) {
		c.noJSON.Store(or(o.Model, c.chat.model), struct{}{})
		more, err := c.Generate(ctx, in, o)
		more.Usage = reply.Usage.Add(more.Usage)
		return more, err
	}
	return reply, err
}

// mentionJSON makes sure that the word JSON is in a message, without which
// JSON mode is refused (facts/dependencies.md §4).
func mentionJSON(in []*schema.Message) []*schema.Message {
	for _, m := range in {
		if strings.Contains(strings.ToLower(m.Content), "json") {
			return in
		}
	}
	return append(slices.Clip(in), schema.SystemMessage("Answer with a JSON object."))
}

// decodeJSON decodes one JSON object, also one in a code fence or after a
// thought, and nothing looser.
func decodeJSON[T any](data []byte) (T, error) {
	var v T
	data = unwrap(data)
	if len(data) == 0 || data[0] != '{' {
		return v, errors.New("it does not start with {")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, plain(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return v, errors.New("something follows the object")
	}
	if val, ok := any(&v).(interface{ Validate() error }); ok {
		if err := val.Validate(); err != nil {
			return v, err
		}
	}
	return v, nil
}

// unwrap takes away what models put around JSON: a byte order mark, a thought
// in tags, a code fence.
func unwrap(data []byte) []byte {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\uFEFF")))
	if rest, ok := bytes.CutPrefix(data, []byte("<think>")); ok {
		_, after, _ := bytes.Cut(rest, []byte("</think>"))
		data = bytes.TrimSpace(after)
	}
	if rest, ok := bytes.CutPrefix(data, []byte("```")); ok {
		rest = bytes.TrimPrefix(rest, []byte("json"))
		if inner, ok := bytes.CutSuffix(rest, []byte("```")); ok {
			data = bytes.TrimSpace(inner)
		}
	}
	return data
}

// plain says what is wrong in words a model can act on.
func plain(err error) error {
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %q must not be a %s", te.Field, te.Value)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut off")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}
