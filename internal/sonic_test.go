package internal_test

import (
	"testing"

	"github.com/bytedance/sonic"
	"github.com/google/go-cmp/cmp"
)

// TestJSONOfEino holds the functions that stand for sonic's to what eino and
// its model clients expect of them.
func TestJSONOfEino(t *testing.T) {
	t.Parallel()
	s, err := sonic.MarshalString(map[string]any{"text": "a<b & 台灯", "n": 1.5})
	if want := `{"n":1.5,"text":"a<b & 台灯"}`; err != nil || s != want {
		t.Errorf("MarshalString = %s %v, want %s", s, err, want)
	}
	var v map[string]any
	if err := sonic.UnmarshalString(s, &v); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]any{"text": "a<b & 台灯", "n": 1.5}, v); diff != "" {
		t.Error(diff)
	}
	if err := sonic.Unmarshal([]byte(`{"half":`), &v); err == nil {
		t.Error("half an object was read")
	}
	if _, err := sonic.Marshal(func() {}); err == nil {
		t.Error("a function was written")
	}
	for _, tt := range []struct {
		doc  string
		path []any
		want string // "" = an error
	}{
		{`{"a":{"b":[1, {"c" : "x"}]}}`, []any{"a", "b", 1, "c"}, `"x"`},
		{` [1,2] `, nil, `[1,2]`},
		{`{"a":null}`, []any{"a"}, `null`},
		{`{"a":1}`, []any{"b"}, ""},
		{`{"a":1}`, []any{"a", "b"}, ""},
		{`[1]`, []any{1}, ""},
		{`[1]`, []any{-1}, ""},
		{`[1]`, []any{1.5}, ""},
		{`{"a":`, []any{"a"}, ""},
	} {
		n, err := sonic.GetFromString(tt.doc, tt.path...)
		if tt.want == "" {
			if err == nil {
				t.Errorf("GetFromString(%s, %v): no error", tt.doc, tt.path)
			}
			continue
		}
		if got, merr := n.MarshalJSON(); err != nil || merr != nil || string(got) != tt.want {
			t.Errorf("GetFromString(%s, %v) = %s %v %v, want %s", tt.doc, tt.path, got, err, merr, tt.want)
		}
	}
}
