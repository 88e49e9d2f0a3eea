package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// standIn serves a stand-in of DashScope, and names it to a server. Vectors
// have tests of their own.
func standIn(t *testing.T, s *llmtest.Server) (web *httptest.Server, env []string) {
	t.Helper()
	web = httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); web.Close() })
	return web, []string{
		"DASHSCOPE_BASE_URL=" + web.URL + "/compatible-mode/v1", "DASHSCOPE_API_KEY=sk-of-the-stand-in",
		"DASHSCOPE_EMBED_MODEL=none", "DASHSCOPE_TIMEOUT=2s", "DASHSCOPE_MAX_RETRIES=0",
		"RATE_LIMIT_PUBLIC_PER_MINUTE=0", "RATE_LIMIT_CHAT_PER_MINUTE=0",
	}
}

// sampled waits until the sample knowledge base is there.
func (s *server) sampled() {
	s.t.Helper()
	s.wait(20*time.Second, "sample", func() bool {
		ds := s.documents()
		return len(ds) > 0 && !slices.ContainsFunc(ds, func(d document) bool { return d.Status != "ready" })
	})
}

// told is what a reader of a stream knows at its end.
type told struct {
	text     string // after the last replace
	chunks   int
	replaced bool
	last     string // type of the last event
	session  string
	sources  int
	meta     struct {
		Degraded  []string `json:"degraded"`
		Abstained bool     `json:"abstained"`
		Quoted    bool     `json:"quoted"`
		Supported *bool    `json:"supported"`
		State     string   `json:"state"`
	}
}

// stream asks and reads the stream to its end.
func (s *server) stream(query, session string, headers ...string) (x told) {
	s.t.Helper()
	r := s.json("POST", "/chat", map[string]any{"query": query, "session_id": session, "stream": true}, headers...)
	if r.status != http.StatusOK {
		s.t.Fatalf("ask %q: %d %s", query, r.status, r.body)
	}
	for _, e := range events(s.t.(*testing.T), r.body) {
		switch e.Type {
		case "start":
			x.session = e.Session
		case "chunk":
			x.text += e.Content
			x.chunks++
		case "replace":
			x.text, x.replaced = e.Content, true
		case "sources":
			x.sources = len(e.Sources)
		case "end":
			if err := json.Unmarshal(e.Metadata, &x.meta); err != nil {
				s.t.Fatal(err)
			}
		}
		x.last = e.Type
	}
	return x
}

const warranty = "星芒台灯保修多久？"

func TestWithAModelAnswersStreamWithCitations(t *testing.T) {
	t.Parallel()
	model := &llmtest.Server{TokenDelay: time.Millisecond}
	_, env := standIn(t, model)
	s := start(t, t.TempDir(), env...)
	s.sampled()
	a := s.stream(warranty, "")
	if a.last != "end" || a.chunks < 2 || a.sources == 0 || a.replaced || len(a.meta.Degraded) > 0 || a.meta.Quoted || !strings.Contains(a.text, "[1]") {
		t.Errorf("%+v, want a streamed answer with a citation", a)
	}
	if a.meta.Supported == nil || !*a.meta.Supported {
		t.Errorf("supported %v, want true: the model said what the passage says", a.meta.Supported)
	}
	// A follow-up that only the one before explains.
	model.Reset()
	s.stream("星芒台灯保修多久？", a.session)
	b := s.stream("那价格呢", a.session)
	if b.last != "end" || b.text == "" {
		t.Errorf("follow-up: %+v", b)
	}
	asked := model.Requests(llmtest.Chat)
	if last := asked[len(asked)-1].Messages; !strings.Contains(last[len(last)-1].Content, "台灯") {
		t.Errorf("the follow-up was asked as %q, want its topic in it", last[len(last)-1].Content)
	}
	s.shop()
	if o := s.stream("查询订单 #20251114001", a.session); strings.Contains(o.text, "199.5") {
		t.Errorf("an order was shown without proof: %q", o.text)
	}
	if o := s.stream("5678", a.session); !strings.Contains(o.text, "199.5") {
		t.Errorf("an order was not shown with its proof: %q", o.text)
	}
	if h := s.stream("转人工", a.session); h.meta.State != "waiting" {
		t.Errorf("handoff: %+v", h)
	}
	model.Reset()
	s.stream(warranty, a.session)
	if n := len(model.Requests(llmtest.Chat)); n > 0 {
		t.Errorf("the model was asked %d times while a person is waited for", n)
	}
}

func TestAModelThatBreaksLeavesQuotes(t *testing.T) {
	t.Parallel()
	model := &llmtest.Server{}
	_, env := standIn(t, model)
	s := start(t, t.TempDir(), env...)
	s.sampled()
	understood := llmtest.Act{} // the first call reads the message
	// Refused by content inspection: a polite refusal, no quotes.
	model.Push(llmtest.Chat, understood, llmtest.Inspected())
	if a := s.stream(warranty, ""); a.last != "end" || a.sources > 0 || a.text == "" {
		t.Errorf("inspected: %+v", a)
	}
	model.Reset()
	cut := func(f llmtest.Fault) llmtest.Act { return llmtest.Act{After: 3, Fault: f} }
	for name, act := range map[string]llmtest.Act{
		"truncated":          cut(llmtest.Truncate),
		"connection broken":  cut(llmtest.Abort),
		"hangs":              cut(llmtest.Hang),
		"error in stream":    cut(llmtest.ErrorObject),
		"error, native":      cut(llmtest.NativeError),
		"comments only":      cut(llmtest.Comments),
		"a line without end": cut(llmtest.LongLine),
		"garbage":            cut(llmtest.Garbage),
		"internal error":     llmtest.Failed(),
		"gateway page":       llmtest.BadGateway(),
		"page of a portal":   llmtest.HTMLPage(),
		"account overdue":    llmtest.Arrears(),
		"wrong key":          llmtest.BadKey(),
		"throttled":          llmtest.Throttled("30"),
		"says nothing":       {Empty: true},
	} {
		model.Push(llmtest.Chat, understood, act)
		a := s.stream(warranty, "")
		model.Reset()
		if a.last != "end" || !a.meta.Quoted || len(a.meta.Degraded) == 0 || a.text == "" || a.sources == 0 {
			t.Errorf("%s: %+v, want quotes in place of the answer", name, a)
		}
	}
	metrics := string(s.do("GET", "/metrics", nil, "X-API-Key", s.key).body)
	if !strings.Contains(metrics, `degraded_total{mode="quotes"}`) {
		t.Error("the degraded mode is in no metric")
	}
}

func TestAModelThatIsGoneLeavesQuotesAndComesBack(t *testing.T) {
	t.Parallel()
	model := &llmtest.Server{}
	_, env := standIn(t, model)
	s := start(t, t.TempDir(), env...)
	s.sampled()
	model.Always(llmtest.Chat, llmtest.Act{After: -1, Fault: llmtest.Abort})
	for range 8 { // longer than the breaker needs to open
		a := s.stream(warranty, "")
		if a.last != "end" || !a.meta.Quoted || a.sources == 0 || !slices.Contains(a.meta.Degraded, "quotes") {
			t.Fatalf("%+v, want quotes", a)
		}
	}
	model.Always(llmtest.Chat, llmtest.Act{})
	s.wait(60*time.Second, "answer of the model again", func() bool {
		a := s.stream(warranty, "")
		return len(a.meta.Degraded) == 0 && !a.meta.Quoted
	})
}
