package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// talker is a model that talks at a steady rate and remembers when it said
// what: on the same clock as the reader, which is this process too.
type talker struct {
	says  string        // after the word ANSWER
	every time.Duration // between two tokens of one stream
	hold  chan struct{} // not nil: three tokens, then nothing until it is closed

	mu   sync.Mutex
	said map[string][]time.Time // by question: when each character left
	came map[string]time.Time   // by question: when the answer was asked for
	read map[string][2]time.Time
}

// numbered finds the number of a question, written in Han digits: a code in
// Latin ones would have to stand in the documents.
var numbered = regexp.MustCompile(`第[零一二三四五六七八九]+位`)

func question(n int) string {
	digits := []rune("零一二三四五六七八九")
	var s []rune
	for _, d := range fmt.Sprint(n) {
		s = append(s, digits[d-'0'])
	}
	return "第" + string(s) + "位顾客问：台灯的保修政策是什么？"
}

func (m *talker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	body, _ := io.ReadAll(r.Body)
	var req struct {
		Stream bool `json:"stream"`
	}
	_ = json.Unmarshal(body, &req)
	id := numbered.FindString(string(body))
	if !req.Stream {
		reply, _ := json.Marshal(fmt.Sprintf(`{"route":"knowledge","confidence":0.9,"question":%q}`, id+"顾客问：台灯的保修政策是什么？"))
		w.Header().Set("Content-Type", "application/json")
		m.mu.Lock()
		m.read[id] = [2]time.Time{began, time.Now()}
		m.mu.Unlock()
		fmt.Fprintf(w, `{"id":"1","object":"chat.completion","model":"qwen-plus","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":%s}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, reply)
		return
	}
	m.mu.Lock()
	m.came[id] = began
	m.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	var at []time.Time
	for i, token := range append([]string{"ANSWER\n"}, pieces(m.says, 2)...) {
		if i > 0 {
			time.Sleep(m.every)
		}
		if m.hold != nil && i == 3 {
			select {
			case <-m.hold:
			case <-r.Context().Done():
				return
			}
		}
		now := time.Now()
		if i > 0 {
			for range utf8.RuneCountInString(token) {
				at = append(at, now)
			}
		}
		fmt.Fprintf(w, `data: {"id":"1","object":"chat.completion.chunk","model":"qwen-plus","choices":[{"index":0,"delta":{"content":%q}}]}`+"\n\n", token)
		w.(http.Flusher).Flush()
	}
	m.mu.Lock()
	m.said[id] = at
	m.mu.Unlock()
	fmt.Fprint(w, `data: {"id":"1","object":"chat.completion.chunk","model":"qwen-plus","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
}

func pieces(s string, n int) (out []string) {
	for part := range slices.Chunk([]rune(s), n) {
		out = append(out, string(part))
	}
	return out
}

// listen reads a stream and returns when each character of the answer came.
// text takes the answer's text out of one data line.
func listen(body io.Reader, text func([]byte) string) (at []time.Time) {
	sc := bufio.NewScanner(body)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		data, ok := bytes.CutPrefix(sc.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		now := time.Now()
		for range utf8.RuneCountInString(text(data)) {
			at = append(at, now)
		}
	}
	return at
}

func ofModel(data []byte) string {
	var e struct {
		Choices []struct{ Delta struct{ Content string } }
	}
	if json.Unmarshal(data, &e) != nil || len(e.Choices) == 0 {
		return ""
	}
	return strings.TrimPrefix(e.Choices[0].Delta.Content, "ANSWER\n")
}

func ofOurs(data []byte) string {
	var e event
	if json.Unmarshal(data, &e) != nil || e.Type != "chunk" {
		return ""
	}
	return e.Content
}

// BenchmarkStreams reports what the server adds to a model that talks: delay
// per token over 200 streams of 50 tokens a second, beside the same streams
// read from the model itself in the same run (client, model and server share
// the machine's cores); its time before the model is asked; and its memory for
// each stream that is open.
func BenchmarkStreams(b *testing.B) {
	const streams = 200
	policy := "自签收之日起，灯珠和电源适配器同样在保修范围内，备用灯臂、收纳袋等配件也在保修范围内，保修期内的维修免费，往返运费由我们承担，保修期外先报价，您同意后再维修。"
	m := &talker{says: strings.Repeat(policy, 2), every: 20 * time.Millisecond, said: map[string][]time.Time{}, came: map[string]time.Time{}, read: map[string][2]time.Time{}}
	model := httptest.NewServer(m)
	defer model.Close()
	s := startB(b, b.TempDir(), []string{
		"RATE_LIMIT_CHAT_PER_MINUTE=0", "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "SERVER_MAX_CONCURRENT_REQUESTS=5000", "SERVER_REQUEST_TIMEOUT=2m",
		"DASHSCOPE_BASE_URL=" + model.URL + "/v1", "DASHSCOPE_API_KEY=any", "DASHSCOPE_EMBED_MODEL=none",
	})
	defer s.kill()
	s.sampled()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000}}
	post := func(url, body string) io.ReadCloser {
		res, err := client.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			b.Error(err)
			return io.NopCloser(strings.NewReader(""))
		}
		return res.Body
	}
	direct := func(n int) io.ReadCloser {
		return post(model.URL+"/v1/chat/completions", fmt.Sprintf(`{"stream":true,"q":%q}`, question(n)))
	}
	relayed := func(n int) io.ReadCloser {
		return post(s.url+"/chat", fmt.Sprintf(`{"query":%q,"stream":true}`, question(n)))
	}
	delays := func(open func(int) io.ReadCloser, text func([]byte) string) (p50, p99 time.Duration) {
		var mu sync.Mutex
		var all []time.Duration
		var wg sync.WaitGroup
		for n := range streams {
			wg.Go(func() {
				time.Sleep(time.Duration(n) * 20 * time.Millisecond / streams) // not all in one tick
				body := open(n)
				defer body.Close()
				got := listen(body, text)
				id := numbered.FindString(question(n))
				m.mu.Lock()
				said := m.said[id]
				m.mu.Unlock()
				if len(got) < len(said) {
					b.Errorf("stream %d: %d characters of %d came", n, len(got), len(said))
					return
				}
				mu.Lock()
				defer mu.Unlock()
				for i := range said {
					all = append(all, got[i].Sub(said[i]))
				}
			})
		}
		wg.Wait()
		slices.Sort(all)
		if len(all) == 0 {
			b.Fatal("nothing came")
		}
		return all[len(all)/2], all[len(all)*99/100]
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

	b.Run("token", func(b *testing.B) {
		d50, d99 := delays(direct, ofModel)
		r50, r99 := delays(relayed, ofOurs)
		b.ReportMetric(ms(d50), "ms/direct-p50")
		b.ReportMetric(ms(r50-d50), "ms/added-p50")
		b.ReportMetric(ms(r99-d99), "ms/added-p99")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("before", func(b *testing.B) {
		m.every = 0
		var ours []time.Duration
		for n := range 200 {
			began := time.Now()
			body := relayed(1000 + n)
			_, _ = io.Copy(io.Discard, body)
			_ = body.Close()
			id := numbered.FindString(question(1000 + n))
			m.mu.Lock()
			// Until the first call, and from its end to the second.
			ours = append(ours, m.read[id][0].Sub(began)+m.came[id].Sub(m.read[id][1]))
			m.mu.Unlock()
		}
		slices.Sort(ours)
		b.ReportMetric(ms(ours[len(ours)/2]), "ms/p50")
		b.ReportMetric(ms(ours[len(ours)*99/100]), "ms/p99")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("memory", func(b *testing.B) {
		const open = streams
		m.every = 0
		delays(relayed, ofOurs) // fills the caches and pools that stay
		m.hold = make(chan struct{})
		before := s.live()
		var wg, began sync.WaitGroup
		began.Add(open)
		for n := range open {
			wg.Go(func() {
				body := relayed(5000 + n)
				defer body.Close()
				sc := bufio.NewScanner(body)
				once := sync.OnceFunc(began.Done)
				defer once()
				for sc.Scan() {
					if strings.Contains(sc.Text(), `"chunk"`) {
						once()
					}
				}
			})
		}
		began.Wait()
		b.ReportMetric((s.live()-before)/1024/open, "KiB/stream")
		close(m.hold)
		wg.Wait()
		b.ReportMetric(0, "ns/op")
	})
}

// live is the bytes of heap and stacks that the server uses after a few
// collections: each halves the stacks that are little used now.
func (s *server) live() (bytes float64) {
	s.t.Helper()
	for range 5 {
		s.do("GET", "/debug/pprof/heap?gc=1", nil, "X-API-Key", s.key)
	}
	for line := range strings.Lines(string(s.do("GET", "/metrics", nil, "X-API-Key", s.key).body)) {
		var n float64
		for _, name := range []string{"go_memstats_heap_inuse_bytes %g", "go_memstats_stack_inuse_bytes %g"} {
			if _, err := fmt.Sscanf(line, name, &n); err == nil {
				bytes += n
			}
		}
	}
	return bytes
}
