package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFirstStartShowsACitedAnswerAndTheSecondFindsEverythingAsItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	first := s.out.String()
	for _, want := range []string{"admin key, shown this once: " + s.key, "sample knowledge base", "Q: ", "24 个月", "[1]", "confidence", "STORAGE_URL", "DASHSCOPE_API_KEY", "MILVUS_HOST", "CACHE_ENABLED"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first start did not print %q:\n%s", want, first)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "data", "root.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("root.key: %v, %v, want mode 0600", info.Mode(), err)
	}
	before := s.documents()
	s.kill()
	s = start(t, dir)
	if again := s.out.String(); strings.Contains(again, "admin key") || strings.Contains(again, "sample knowledge base") {
		t.Errorf("the second start began anew:\n%s", again)
	}
	if after := s.documents(); len(before) < 10 || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("documents before %v\nand after %v", before, after)
	}
}

func TestChat(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "RATE_LIMIT_PUBLIC_PER_MINUTE=0")
	t.Run("an answer quotes the document exactly", func(t *testing.T) {
		for query, want := range map[string]string{
			"退款到支付宝要多久？":                     "支付宝",
			"E05 是什么故障？":                     "E05",
			"How long is the warranty?":      "24-month",
			"What does error code E02 mean?": "E02",
		} {
			a := s.ask(query, "")
			if a.Route != "knowledge" || !a.Metadata.Quoted || len(a.Sources) == 0 || !strings.Contains(a.Answer, want) || !strings.Contains(a.Answer, "[1]") {
				t.Errorf("%s: %+v", query, a)
				continue
			}
			var src struct {
				Text       string `json:"text"`
				Start, End int
			}
			s.do("GET", a.Sources[0].URL, nil).into(t, &src)
			if got := src.Text[src.Start:src.End]; got != a.Sources[0].Content {
				t.Errorf("%s: the link shows %q, the answer quotes %q", query, got, a.Sources[0].Content)
			}
		}
	})
	t.Run("what is not there is said not to be there", func(t *testing.T) {
		for _, query := range []string{"量子计算机的退相干时间是多少？", "Who won the 1998 football world cup?"} {
			if a := s.ask(query, ""); !a.Metadata.Abstained || len(a.Sources) != 0 {
				t.Errorf("%s: %+v", query, a)
			}
		}
		r := s.do("GET", "/api/v1/missed-queries", nil, "X-API-Key", s.key)
		if !bytes.Contains(r.body, []byte("退相干")) {
			t.Errorf("missed queries: %s", r.body)
		}
	})
	t.Run("a follow-up carries the topic", func(t *testing.T) {
		a := s.ask("寄到新疆的运费是多少？", "")
		b := s.ask("那港澳台呢？", a.Session)
		if b.Session != a.Session || !strings.Contains(b.Answer, "香港") {
			t.Errorf("%+v", b)
		}
	})
	t.Run("greetings are answered directly and 转人工 hands off", func(t *testing.T) {
		if a := s.ask("你好", ""); a.Route != "direct" || len(a.Sources) != 0 {
			t.Errorf("%+v", a)
		}
		var waved answer
		s.json("POST", "/chat", map[string]any{"query": "👋"}, "Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8").into(t, &waved)
		if !strings.HasPrefix(waved.Answer, "您好") {
			t.Errorf("a wave from a Chinese browser: %q", waved.Answer)
		}
		a := s.ask("转人工", "")
		if a.Route != "handoff" || a.Metadata.State != "waiting" {
			t.Errorf("%+v", a)
		}
		if b := s.ask("台灯保修多久？", a.Session); b.Answer != "" || b.Metadata.State != "waiting" {
			t.Errorf("the assistant spoke while a human was waited for: %+v", b)
		}
	})
	t.Run("the stream says the same as the JSON", func(t *testing.T) {
		want := s.ask("台灯保修多久？", "")
		r := s.json("POST", "/chat", map[string]any{"query": "台灯保修多久？", "stream": true})
		if ct := r.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") || r.header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("headers %v", r.header)
		}
		evs := events(t, r.body)
		text := ""
		for _, e := range evs {
			if e.Type == "chunk" {
				text += e.Content
			}
		}
		if text != want.Answer || evs[0].Type != "start" || evs[len(evs)-1].Type != "end" {
			t.Errorf("stream %q, JSON %q", text, want.Answer)
		}
		path := "/chat?stream=true&query=%E5%8F%B0%E7%81%AF%E4%BF%9D%E4%BF%AE%E5%A4%9A%E4%B9%85"
		if r := s.do("GET", path, nil, "Last-Event-ID", evs[len(evs)-1].ID); r.status != http.StatusNoContent {
			t.Errorf("a finished stream answers a reconnect with %d, want 204", r.status)
		}
		again := events(t, s.do("GET", path, nil, "Last-Event-ID", evs[1].ID).body)
		if last := again[len(again)-1]; last.Type != "end" || again[len(again)-2].Content != want.Answer {
			t.Errorf("a broken stream is answered with %+v", again)
		}
		lost := events(t, s.do("GET", path, nil, "Last-Event-ID", "turn_unknown.3").body)
		if len(lost) != 1 || lost[0].Code != "stream_lost" {
			t.Errorf("a lost stream is answered with %+v", lost)
		}
	})
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "RATE_LIMIT_PUBLIC_PER_MINUTE=0")
	post := func(title, text string) (sub submitted, status int) {
		r := s.json("POST", "/api/v1/documents", map[string]any{"title": title, "text": text}, "X-API-Key", s.key)
		r.into(t, &sub)
		return sub, r.status
	}
	v1, status := post("营业时间", "杭州门店的营业时间是早上九点到晚上八点。")
	if status != http.StatusAccepted || v1.Version != 1 || v1.Job == "" {
		t.Fatalf("%d %+v", status, v1)
	}
	s.settled(10 * time.Second)
	if a := s.ask("杭州门店几点营业？", ""); !strings.Contains(a.Answer, "九点") {
		t.Errorf("%+v", a)
	}
	if again, status := post("营业时间", "杭州门店的营业时间是早上九点到晚上八点。"); status != http.StatusOK || !again.Duplicate || again.Document != v1.Document {
		t.Errorf("the same bytes: %d %+v", status, again)
	}
	v2, _ := post("营业时间", "杭州门店的营业时间是早上十点到晚上八点。")
	if v2.Document != v1.Document || v2.Version != 2 {
		t.Errorf("changed: %+v, want version 2 of %s", v2, v1.Document)
	}
	if other, _ := post("营业时间", "Our Berlin branch opens on Mondays only."); other.Document == v1.Document {
		t.Errorf("an unrelated text of the same title replaced the document: %+v", other)
	}
	s.settled(10 * time.Second)
	a := s.ask("杭州门店几点营业？", "")
	if !strings.Contains(a.Answer, "十点") || strings.Contains(a.Answer, "九点") {
		t.Errorf("after the change: %+v", a)
	}
	if r := s.do("DELETE", "/api/v1/documents/"+v1.Document, nil, "X-API-Key", s.key); r.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", r.status, r.body)
	}
	if b := s.ask("杭州门店几点营业？", ""); strings.Contains(b.Answer, "十点") {
		t.Errorf("a deleted document is quoted: %+v", b)
	}
	if r := s.do("GET", a.Sources[0].URL, nil); r.status != http.StatusNotFound {
		t.Errorf("the link to a deleted document answers %d", r.status)
	}
}

func TestIngestCommandLoadsAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	docs := filepath.Join(dir, "docs")
	for _, name := range []string{"zh/readme.md", "en/readme.md"} {
		path := filepath.Join(docs, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("# "+name+"\n\nThe secret of "+name+" is "+strings.ToUpper(name[:2])+"-4711."), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(docs, "photo.png"), []byte("\x89PNG\r\n\x1a\n\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, dir, nil, "ingest", docs)
	if err != nil || !strings.Contains(out, "2 ready, 0 there already, 1 skipped") || !strings.Contains(out, "3 of 3") {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err = run(t, dir, nil, "ingest", docs); err != nil || !strings.Contains(out, "0 ready, 2 there already") {
		t.Errorf("a second time: %v\n%s", err, out)
	}
	out, err = run(t, dir, nil, "ask", "what is the secret of zh/readme.md?")
	if err != nil || !strings.Contains(out, "ZH-4711") || !strings.Contains(out, "[1]") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err = run(t, dir, nil, "ingest", filepath.Join(dir, "nothing")); err == nil {
		t.Error("a path that does not exist was accepted")
	}
}

func TestKillDuringIngestionLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const rounds, perRound = 4, 25
	acked := map[string]string{} // document → its word
	var s *server
	for round := range rounds {
		s = start(t, dir, "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "TENANTS_SAMPLE=off")
		deadline := time.Now().Add(time.Duration(40+130*round) * time.Millisecond)
		for n := 0; n < perRound && time.Now().Before(deadline); n++ {
			word := fmt.Sprintf("wort%dx%d", round, n)
			text := strings.Repeat("Filler sentence about nothing in particular. ", 200) + "\n\nThe code word is " + word + "."
			r, err := s.try("POST", "/api/v1/documents", strings.NewReader(fmt.Sprintf(`{"title":%q,"text":%q,"name":%q}`, word, text, word)), "X-API-Key", s.key)
			if err == nil && r.status == http.StatusAccepted {
				var sub submitted
				r.into(t, &sub)
				acked[sub.Document] = word
			}
		}
		s.kill()
	}
	if len(acked) < rounds {
		t.Fatalf("only %d documents were acknowledged: nothing was tested", len(acked))
	}
	s = start(t, dir, "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "TENANTS_SAMPLE=off")
	status := map[string]string{}
	for _, d := range s.settled(30 * time.Second) {
		status[d.ID] = d.Status
	}
	for id, word := range acked {
		if status[id] != "ready" {
			t.Errorf("acknowledged document %s is %q", id, status[id])
		}
		if a := s.ask("What is the code word "+word+"?", ""); !strings.Contains(a.Answer, word) {
			t.Errorf("%s is ready, but its text is not found: %.200s", word, a.Answer)
		}
	}
	t.Logf("%d documents acknowledged over %d kills", len(acked), rounds)
}
