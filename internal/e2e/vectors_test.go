package e2e

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// embedding serves a stand-in of DashScope of which only the vectors are used.
func embedding(t *testing.T, s *llmtest.Server, more ...string) []string {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); web.Close() })
	return append([]string{
		"DASHSCOPE_BASE_URL=" + web.URL + "/compatible-mode/v1", "DASHSCOPE_API_KEY=sk-of-the-stand-in",
		"DASHSCOPE_CHAT_MODEL=none", "DASHSCOPE_TIMEOUT=2s", "DASHSCOPE_MAX_RETRIES=0",
		"RATE_LIMIT_PUBLIC_PER_MINUTE=0", "RATE_LIMIT_CHAT_PER_MINUTE=0",
	}, more...)
}

// degraded asks and returns the degraded modes of the answer.
func (s *server) degraded(query string) []string {
	s.t.Helper()
	return s.stream(query, "").meta.Degraded
}

// embedded waits until answers need not do without any vector.
func (s *server) embedded(query string) {
	s.t.Helper()
	s.wait(30*time.Second, "vectors", func() bool { return len(s.degraded(query)) == 0 })
}

// vectors runs "vectors" with args in the server's folder.
func (s *server) vectors(env []string, args ...string) string {
	s.t.Helper()
	out, err := run(s.t, s.dir, env, append([]string{"vectors"}, args...)...)
	if err != nil {
		s.t.Fatalf("vectors %v: %v\n%s", args, err, out)
	}
	return out
}

func TestDocumentsGetVectorsAndAnswersUseBothArms(t *testing.T) {
	t.Parallel()
	model := new(llmtest.Server)
	env := embedding(t, model)
	dir := t.TempDir()
	s := start(t, dir, env...)
	if banner := s.out.String(); !strings.Contains(banner, "on   embedding model  text-embedding-v2") {
		t.Errorf("the banner does not say that there are vectors:\n%s", banner)
	}
	s.sampled()
	s.embedded(warranty)
	out := s.vectors(env, "status")
	if !strings.Contains(out, "text-embedding-v2/1536") || !strings.Contains(out, "in use") {
		t.Errorf("vectors status says:\n%s", out)
	}
	model.Reset()
	a := s.ask(warranty, "")
	if len(a.Sources) == 0 || !strings.Contains(a.Answer, "24") {
		t.Errorf("%+v", a)
	}
	s.ask(warranty, "")
	if n := len(model.Requests(llmtest.Embed)); n > 1 {
		t.Errorf("the same question was embedded %d times", n)
	}
	usage := s.do("GET", "/api/v1/usage?days=1", nil, "Authorization", "Bearer "+s.key)
	if !strings.Contains(string(usage.body), "text-embedding-v2") {
		t.Errorf("usage does not have the embedding model: %d %s", usage.status, usage.body)
	}
	// What is new is found by its words at once, and gets its vectors.
	write(t, dir, "new.md", "# Zirkon\n\nThe zirkon fitting takes a bayonet bulb of 40 watts.\n")
	if out, err := run(t, dir, env, "ingest", "new.md"); err != nil || !strings.Contains(out, "chunks have vectors") {
		t.Fatalf("%v\n%s", err, out)
	}
	if a := s.ask("Which bulb does the zirkon fitting take?", ""); !strings.Contains(a.Answer, "bayonet") {
		t.Errorf("%+v", a)
	}
}

func TestWithoutTheEmbeddingModelWordsAnswerAndItIsMadeUpFor(t *testing.T) {
	t.Parallel()
	model := new(llmtest.Server)
	model.Always(llmtest.Embed, llmtest.BadGateway())
	s := start(t, t.TempDir(), embedding(t, model, "RAG_VECTOR_TIMEOUT=500ms")...)
	s.sampled()
	a := s.stream(warranty, "")
	if a.last != "end" || !strings.Contains(a.text, "24") || !slices.Contains(a.meta.Degraded, "vectors") {
		t.Errorf("while the model is down: %+v, want an answer by words that says so", a)
	}
	model.Always(llmtest.Embed, llmtest.Act{})
	s.embedded(warranty)
	// Down again: the question that was asked is remembered, another one is not.
	model.Always(llmtest.Embed, llmtest.Act{Fault: llmtest.Hang})
	if a := s.stream("退款到支付宝要多久？", ""); !slices.Contains(a.meta.Degraded, "vectors") || !strings.Contains(a.text, "支付宝") {
		t.Errorf("while the model hangs: %+v", a)
	}
	model.Always(llmtest.Embed, llmtest.Act{})
	s.embedded("退款到支付宝要多久？")
}

func TestAnotherEmbeddingModelEmbedsEverythingAnew(t *testing.T) {
	t.Parallel()
	model := new(llmtest.Server)
	dir := t.TempDir()
	env := embedding(t, model)
	s := start(t, dir, env...)
	s.sampled()
	s.embedded(warranty)
	s.kill()
	env = append(env, "DASHSCOPE_EMBED_MODEL=text-embedding-v4")
	s = start(t, dir, env...)
	s.embedded(warranty)
	out := s.vectors(env, "status")
	if !strings.Contains(out, "text-embedding-v4/1024") || !strings.Contains(out, "text-embedding-v2/1536") {
		t.Errorf("vectors status says:\n%s\nwant the new space in use and the old one kept for a day", out)
	}
	if out := s.vectors(env, "rebuild", "-embeddings"); !strings.Contains(out, "0 missing") || strings.Contains(out, " 0 vectors made") {
		t.Errorf("rebuild -embeddings says:\n%s", out)
	}
}

func TestATextTheModelRefusesKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	model := new(llmtest.Server)
	env := embedding(t, model, "TENANTS_SAMPLE=off")
	dir := t.TempDir()
	model.Push(llmtest.Embed, llmtest.Inspected()) // the first call: all texts together
	write(t, dir, "a.md", "# Alpha\n\nThe alpha pump moves water.\n")
	out, err := run(t, dir, env, "ingest", "a.md")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "1 of 1 chunks have vectors") { // one text refused is settled, not missing
		t.Errorf("ingest says:\n%s", out)
	}
}

func TestVectorsCommandSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range [][]string{{"vectors"}, {"vectors", "paint"}, {"vectors", "status", "-embeddings"}, {"vectors", "status", "more"}} {
		if out, err := run(t, dir, nil, args...); err == nil || !strings.Contains(out, "usage: bin/server vectors status") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if out, err := run(t, dir, nil, "vectors", "status"); err == nil || !strings.Contains(out, "DASHSCOPE_API_KEY") {
		t.Errorf("without a model: %v\n%s", err, out)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
