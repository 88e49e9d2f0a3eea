// Package sonic stands for github.com/bytedance/sonic with encoding/json: those
// five functions that eino and its model clients call. The original brings a
// compiler for machine code, which costs a fifth of a cold start and 2 MB of
// memory before main, and fails to build with each new release of Go until it
// is adapted; what it speeds up here is a few small objects per answer
// (docs/adr/0004-json-without-a-compiler.md).
package sonic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Marshal is json.Marshal without escaping for HTML, as the original's default.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// MarshalString is Marshal to a string.
func MarshalString(v any) (string, error) {
	b, err := Marshal(v)
	return string(b), err
}

// Unmarshal is json.Unmarshal.
func Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// UnmarshalString is Unmarshal from a string.
func UnmarshalString(data string, v any) error { return json.Unmarshal([]byte(data), v) }

// Node is a value inside a document.
type Node struct{ raw json.RawMessage }

// MarshalJSON returns the value as it stands in the document.
func (n *Node) MarshalJSON() ([]byte, error) {
	if len(n.raw) == 0 {
		return []byte("null"), nil
	}
	return n.raw, nil
}

// GetFromString returns the value at path, whose parts are names of fields and
// indexes of lists.
func GetFromString(data string, path ...any) (Node, error) {
	if !json.Valid([]byte(data)) {
		return Node{}, fmt.Errorf("sonic: no JSON: %.40q", data)
	}
	n := Node{raw: json.RawMessage(strings.TrimSpace(data))}
	for _, p := range path {
		var err error
		if n.raw, err = n.at(p); err != nil {
			return Node{}, err
		}
	}
	return n, nil
}

func (n Node) at(p any) (json.RawMessage, error) {
	switch p := p.(type) {
	case string:
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(n.raw, &fields); err != nil {
			return nil, err
		}
		if v, ok := fields[p]; ok {
			return v, nil
		}
	case int:
		var list []json.RawMessage
		if err := json.Unmarshal(n.raw, &list); err != nil {
			return nil, err
		}
		if p >= 0 && p < len(list) {
			return list[p], nil
		}
	}
	return nil, fmt.Errorf("sonic: nothing at %v", p)
}
