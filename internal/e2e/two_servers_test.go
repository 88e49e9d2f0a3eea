package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
	"github.com/eino-qa/eino-qa/internal/objstore/ossfake"
)

func TestTwoServersOnOneFolder(t *testing.T) {
	t.Parallel()
	twoServers(t, t.TempDir())
}

// Three settings put the same on S3: where, the key and its secret.
func TestTwoServersOnS3(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds an S3 server")
	}
	s3 := objstoretest.S3Server(t)
	twoServers(t, t.TempDir(),
		fmt.Sprintf("STORAGE_URL=s3://%s?endpoint=%s&path_style=true", s3.Bucket(), s3.Endpoint),
		"STORAGE_ACCESS_KEY_ID="+s3.Key, "STORAGE_SECRET_ACCESS_KEY="+s3.Secret)
}

func TestTwoServersOnOSS(t *testing.T) {
	t.Parallel()
	oss := ossfake.Start(t)
	twoServers(t, t.TempDir(),
		fmt.Sprintf("STORAGE_URL=oss://%s/prefix?endpoint=%s", oss.Bucket(), oss.Endpoint), "STORAGE_REGION="+oss.Region,
		"STORAGE_ACCESS_KEY_ID="+oss.Key, "STORAGE_SECRET_ACCESS_KEY="+oss.Secret, "STORAGE_SESSION_TOKEN="+oss.Token)
}

// twoServers lets two servers answer and ingest for the same tenant at once,
// kills one, and looks for everything that either acknowledged.
func twoServers(t *testing.T, dir string, env ...string) {
	env = append(env, "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "RATE_LIMIT_CHAT_PER_MINUTE=0", "TENANTS_SAMPLE=off", "SERVER_REQUEST_TIMEOUT=60s")
	a := start(t, dir, env...)
	b := start(t, dir, env...)
	if strings.Contains(b.out.String(), "admin key") {
		t.Error("the second server made a root key of its own")
	}
	a.upload("begin.md", []byte("# 开始\n\n租户从这里开始。")) // visitors make no tenant
	acked := new(ledger)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i, s := range []*server{a, b} {
		wg.Go(func() { acked.ingest(s, i, stop) })
		wg.Go(func() { acked.chat(s, i, stop) })
	}
	time.Sleep(1500 * time.Millisecond)
	a.kill() // SIGKILL, in the middle of both
	time.Sleep(time.Second)
	close(stop)
	wg.Wait()
	docs, questions := acked.list()
	if len(docs) < 4 || len(questions) < 4 {
		t.Fatalf("only %d documents and %d questions were acknowledged: too few to tell", len(docs), len(questions))
	}
	b.upload("end.md", []byte("# 结束\n\n唤醒还在的服务器。")) // else it looks for jobs of the dead once a minute
	// Not settled(): what was being handed in when the server died, and was not
	// acknowledged, may stay pending.
	have := map[string]string{}
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end) && !allReady(docs, have); time.Sleep(50 * time.Millisecond) {
		for _, d := range b.documents() {
			have[d.ID] = d.Status
		}
	}
	for id, name := range docs {
		if have[id] != "ready" {
			t.Errorf("document %s (%s) was acknowledged and is %q now", id, name, have[id])
		}
	}
	if t.Failed() {
		t.Logf("the server that is left said:\n%s", b.out.String())
	}
	missed := everyMissed(b)
	for _, q := range questions {
		if !strings.Contains(missed, q) {
			t.Errorf("question %q was answered and is not remembered", q)
		}
	}
	if ans := b.ask("暗号 b-0 是什么？", ""); !strings.Contains(ans.Answer, "b-0") {
		t.Errorf("the server that is left answers %q", ans.Answer)
	}
	for _, args := range [][]string{{"backup"}, {"verify"}, {"restore", "-tenant", "default", "-time", "0s"}, {"export", "-tenant", "default", "out.db"}} {
		if out, err := run(t, dir, env, args...); err != nil {
			t.Errorf("%s: %v\n%s", args[0], err, out)
		}
	}
	if ans := b.ask("暗号 b-0 是什么？", ""); !strings.Contains(ans.Answer, "b-0") {
		t.Errorf("after a restore to now it answers %q", ans.Answer)
	}
}

func allReady(docs, have map[string]string) bool {
	for id := range docs {
		if have[id] != "ready" {
			return false
		}
	}
	return true
}

// ledger is what servers acknowledged.
type ledger struct {
	mu        sync.Mutex
	docs      map[string]string
	questions []string
}

func (l *ledger) list() (map[string]string, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.docs, l.questions
}

// ingest hands in one document after another until stop or the server dies.
func (l *ledger) ingest(s *server, i int, stop <-chan struct{}) {
	for n := 0; running(stop); n++ {
		word := fmt.Sprintf("%c-%d", 'a'+i, n)
		body := fmt.Sprintf(`{"name":"doc %s","title":"暗号 %s","text":"暗号 %s 是蓝色的灯塔，编号 %s。"}`, word, word, word, word)
		r, err := s.try("POST", "/api/v1/documents", strings.NewReader(body), "X-API-Key", s.key)
		if err != nil {
			return // it was killed
		}
		if r.status != http.StatusAccepted {
			s.t.Errorf("document %s: %d %s", word, r.status, r.body)
			return
		}
		var sub submitted
		r.into(s.t, &sub)
		l.mu.Lock()
		if l.docs == nil {
			l.docs = map[string]string{}
		}
		l.docs[sub.Document] = word
		l.mu.Unlock()
	}
}

// chat asks what nobody knows; each is kept as a missed question.
func (l *ledger) chat(s *server, i int, stop <-chan struct{}) {
	for n := 0; running(stop); n++ {
		q := fmt.Sprintf("Who painted number %c%d in the cathedral of Uppsala?", 'A'+i, n)
		r, err := s.try("POST", "/chat", strings.NewReader(fmt.Sprintf(`{"query":%q}`, q)))
		if err != nil {
			return // it was killed
		}
		var ans answer
		r.into(s.t, &ans)
		if r.status != http.StatusOK {
			s.t.Errorf("question %q: %d %s", q, r.status, r.body)
			return
		}
		if ans.Metadata.Abstained {
			l.mu.Lock()
			l.questions = append(l.questions, q)
			l.mu.Unlock()
		}
	}
}

func running(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	default:
		return true
	}
}

// everyMissed is all pages of missed questions as one text.
func everyMissed(s *server) string {
	var all strings.Builder
	for cursor := ""; ; {
		r := s.do("GET", "/api/v1/missed-queries?limit=200&cursor="+cursor, nil, "X-API-Key", s.key)
		var page struct {
			Next string `json:"next"`
		}
		r.into(s.t, &page)
		all.Write(r.body)
		if cursor = page.Next; cursor == "" {
			return all.String()
		}
	}
}

// A restore by one server is what the other one answers from next.
func TestARestoreIsSeenByEveryServerAtItsNextRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, dir, "TENANTS_SAMPLE=off")
	b := start(t, dir, "TENANTS_SAMPLE=off")
	put := func(text string) {
		a.json("POST", "/api/v1/documents", map[string]any{"name": "hours", "title": "营业时间", "text": text}, "X-API-Key", a.key)
		a.settled(20 * time.Second)
	}
	put("杭州门店的营业时间是早上九点到晚上八点。")
	var points struct {
		Backups []struct{ Commit string } `json:"backups"`
	}
	a.do("GET", "/admin/tenants/default/backups?limit=1", nil, "X-API-Key", a.key).into(t, &points)
	put("杭州门店的营业时间是早上十点到晚上八点。")
	says := func(want string) {
		t.Helper()
		for _, s := range []*server{b, a} {
			if ans := s.ask("杭州门店几点营业？", ""); !strings.Contains(ans.Answer, want) {
				t.Errorf("%s answers %q, want %s", s.url, ans.Answer, want)
			}
		}
	}
	says("十点")
	r := a.json("POST", "/admin/tenants/default/restore", map[string]any{"commit": points.Backups[0].Commit}, "X-API-Key", a.key)
	if r.status != http.StatusOK {
		t.Fatalf("restore: %d %s", r.status, r.body)
	}
	says("九点")
	// The index goes on from there: nothing of the other history is mistaken for new.
	put("杭州门店的营业时间是早上七点到晚上八点。")
	says("七点")
	if r := b.do("POST", "/admin/tenants/default/undo", nil, "X-API-Key", a.key); r.status != http.StatusOK {
		t.Fatalf("undo: %d %s", r.status, r.body)
	}
	says("十点")
}

// What one server deletes, the other one, which has it open, lets go of, too.
func TestADeletionIsSeenByEveryServerAtItsNextRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, dir, "TENANTS_SAMPLE=off")
	b := start(t, dir, "TENANTS_SAMPLE=off")
	list := func(s *server) int {
		return s.do("GET", "/api/v1/documents?tenant=away", nil, "X-API-Key", a.key).status
	}
	for _, s := range []*server{a, b} {
		if got := list(s); got != http.StatusOK {
			t.Fatalf("%s: %d", s.url, got)
		}
	}
	if r := a.do("DELETE", "/admin/tenants/away", nil, "X-API-Key", a.key); r.status != http.StatusNoContent {
		t.Fatalf("delete: %d %s", r.status, r.body)
	}
	if got := list(b); got != http.StatusNotFound {
		t.Errorf("the other server answers %d, want 404", got)
	}
	if r := a.json("POST", "/admin/tenants", map[string]string{"id": "away"}, "X-API-Key", a.key); r.status != http.StatusCreated {
		t.Fatalf("make it anew: %d %s", r.status, r.body)
	}
	if got := list(b); got != http.StatusOK {
		t.Errorf("made anew, the other server answers %d, want 200", got)
	}
}
