package llm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cloudwego/eino/schema"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// verdictJSON is what the chat's first call asks for, in small.
type verdictJSON struct {
	Intent     string  `json:"intent"`
	Question   string  `json:"question"`
	Confidence float64 `json:"confidence"`
}

func (v *verdictJSON) Validate() error {
	switch v.Intent {
	case "knowledge", "order", "direct", "handoff":
		return nil
	}
	return fmt.Errorf("intent %q is none of the four", v.Intent)
}

func TestJSON(t *testing.T) {
	t.Parallel()
	good := `{"intent":"order","question":"我的订单","confidence":0.9}`
	tests := []struct {
		name    string
		replies []string
		calls   int
		ok      bool
	}{
		{"an object", []string{good}, 1, true},
		{"in a fence", []string{"```json\n" + good + "\n```"}, 1, true},
		{"in a bare fence", []string{"```\n" + good + "```"}, 1, true},
		{"after a thought", []string{"<think>{hm}</think>\n" + good}, 1, true},
		{"after a byte order mark", []string{"\uFEFF " + good}, 1, true},
		{"second time right", []string{"Sure! Here it is: " + good, good}, 2, true},
		{"unknown field first", []string{`{"intent":"order","tool":"rm"}`, good}, 2, true},
		{"wrong type first", []string{`{"intent":["order"]}`, good}, 2, true},
		{"invalid value first", []string{`{"intent":"hack"}`, good}, 2, true},
		{"something after it first", []string{good + good, good}, 2, true},
		{"never right", []string{"no", "no", "no"}, 2, false},
		{"cut off", []string{good[:20], good[:20]}, 2, false},
		{"an array", []string{"[1]", "[1]"}, 2, false},
		{"null", []string{"null", "null"}, 2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := stand(t, Config{})
			for _, r := range tt.replies {
				s.Push(llmtest.Chat, llmtest.Act{Reply: r})
			}
			got, usage, err := JSON[verdictJSON](t.Context(), c, ask("查询订单"), Options{})
			if tt.ok != (err == nil) || tt.ok && got.Intent != "order" {
				t.Errorf("JSON = %+v, %v", got, err)
			}
			if !tt.ok {
				wantErr(t, err, kb.Unavailable, ErrBadJSON)
			}
			reqs := s.Requests(llmtest.Chat)
			if len(reqs) != tt.calls || usage.Calls != tt.calls {
				t.Errorf("%d requests, usage of %d, want %d", len(reqs), usage.Calls, tt.calls)
			}
			for i, r := range reqs {
				if !r.JSON || r.Stream || r.Fields["enable_thinking"] != false {
					t.Errorf("request %d: JSON %v, stream %v, thinking %v", i, r.JSON, r.Stream, r.Fields["enable_thinking"])
				}
			}
			if tt.calls == 2 && len(reqs[1].Messages) != len(reqs[0].Messages)+2 {
				t.Error("the second try does not show the first one's mistake")
			}
		})
	}
}

func TestJSONFailsAtOnceOnErrors(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	s.Always(llmtest.Chat, llmtest.Inspected())
	_, _, err := JSON[verdictJSON](t.Context(), c, ask("?"), Options{})
	wantErr(t, err, kb.Invalid, ErrRefused)
	if n := len(s.Requests(llmtest.Chat)); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// Some servers know no response_format: it is left out from then on.
func TestJSONWithoutJSONMode(t *testing.T) {
	t.Parallel()
	var bodies []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		if strings.Contains(string(body), "response_format") {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":{"message":"Unknown parameter: 'response_format'.","type":"invalid_request_error"}}`)
			return
		}
		if strings.Contains(string(body), "enable_thinking") {
			t.Error("a DashScope parameter elsewhere")
		}
		fmt.Fprint(w, `{"id":"1","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"{\"intent\":\"direct\"}"}}]}`)
	}))
	defer web.Close()
	c, err := New(Config{BaseURL: web.URL + "/v1", Chat: Endpoint{Model: "local"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		got, _, err := JSON[verdictJSON](t.Context(), c, ask("?"), Options{})
		if err != nil || got.Intent != "direct" {
			t.Fatalf("JSON = %+v, %v", got, err)
		}
	}
	if len(bodies) != 3 {
		t.Errorf("%d requests, want 3", len(bodies))
	}
}

func TestMentionJSON(t *testing.T) {
	t.Parallel()
	in := []*schema.Message{schema.SystemMessage("be brief"), schema.UserMessage("用 Json 回答")}
	if got := mentionJSON(in); len(got) != 2 {
		t.Errorf("%d messages, want the same two", len(got))
	}
	if got := mentionJSON(in[:1]); len(got) != 2 || in[1].Content != "用 Json 回答" {
		t.Error("no mention added, or the caller's slice changed")
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{`{}`, "```json\n{}\n```", "```", "<think>", "<think></think>{}", `{"intent":"order"} x`, "\uFEFF{}", `{"intent":1}`, "{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeJSON[verdictJSON](data)
		if err != nil {
			return
		}
		if verr := v.Validate(); verr != nil {
			t.Errorf("decoded %q to what is invalid: %v", data, verr)
		}
		if back, merr := json.Marshal(v); merr != nil {
			t.Error(merr)
		} else if again, err := decodeJSON[verdictJSON](back); err != nil || again != v {
			t.Errorf("%q decodes to %+v, that to %+v, %v", data, v, again, err)
		}
		if errors.Is(err, io.EOF) {
			t.Error("EOF")
		}
	})
}
