package e2e

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
	"github.com/eino-qa/eino-qa/internal/milvus/milvustest"
)

// outside waits until Milvus has every block of a server's default tenant.
func (s *server) outside(env []string) {
	s.t.Helper()
	var out string
	s.wait(60*time.Second, "vectors in Milvus", func() bool {
		out = s.vectors(env, "status", "-tenant", "default")
		_, after, ok := strings.Cut(out, "milvus has ")
		f := strings.Fields(after)
		return ok && len(f) > 3 && f[0] == f[3] && f[0] != "0"
	})
}

func TestMilvusIsFilledKilledEmptiedAndRebuilt(t *testing.T) {
	t.Parallel()
	milvus := milvustest.StartLite(t)
	host, port, err := net.SplitHostPort(milvus.Address)
	if err != nil {
		t.Fatal(err)
	}
	model := new(llmtest.Server)
	env := embedding(t, model, "MILVUS_HOST="+host, "MILVUS_PORT="+port, "RAG_VECTOR_TIMEOUT=5s", "MILVUS_TIMEOUT=4s", "MILVUS_CONNECTION_TIMEOUT=2s")
	s := start(t, t.TempDir(), env...)
	s.sampled()
	if banner := s.out.String(); !strings.Contains(banner, "on   milvus") {
		t.Errorf("the banner does not say that Milvus is used:\n%s", banner)
	}
	s.outside(env)
	s.embedded(warranty)
	out := s.vectors(env, "status", "-tenant", "default")
	if n := strings.Fields(out)[1]; !strings.Contains(out, "milvus answers: "+n+" rows of the tenant in eino_qa_text_embedding_v2_1536_cosine") || !strings.Contains(out, " "+n+" vectors; batches: 0 pending, 0 abandoned") {
		t.Errorf("vectors status says:\n%s\nwant Milvus to have what %s chunks have", out, n)
	}
	milvus.Kill()
	if out := s.vectors(env, "status"); !strings.Contains(out, "milvus has") || !strings.Contains(out, "milvus does not tell what it holds in eino_qa_") || strings.Contains(out, "milvus answers") {
		t.Errorf("while Milvus is dead, vectors status says:\n%s", out)
	}
	a := s.stream(warranty, "")
	if a.last != "end" || !strings.Contains(a.text, "24") || !slices.Contains(a.meta.Degraded, "milvus") || slices.Contains(a.meta.Degraded, "vectors") {
		t.Errorf("Milvus was killed: %+v, want an answer from memory that says so", a)
	}
	milvus.Start()
	s.embedded(warranty)
	if out := s.vectors(env, "rebuild"); !strings.Contains(out, "0 missing") || strings.Contains(out, " 0 sent") || strings.Contains(out, "vectors made, 0") {
		t.Errorf("vectors rebuild says:\n%s", out)
	}
	s.embedded(warranty)
	if a := s.ask(warranty, ""); !strings.Contains(a.Answer, "24") {
		t.Errorf("after the rebuild: %+v", a)
	}
}
