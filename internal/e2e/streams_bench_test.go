package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	apart bool          // streams do not talk in step: as real ones, each has its own moments
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
	turn := time.Now()
	if m.apart {
		turn = turn.Add(rand.N(m.every))
	}
	for i, token := range append([]string{"ANSWER\n"}, pieces(m.says, perToken)...) {
		time.Sleep(time.Until(turn))
		turn = turn.Add(m.every)
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

// perToken is how many characters a token has.
const perToken = 2

// terms is an answer of so many tokens that the sample documents bear out. No
// two of its sentences are the same: a model that repeats itself is stopped.
func terms(tokens int) string {
	clauses := []string{"自签收之日起", "灯珠和电源适配器同样在保修范围内", "备用灯臂、收纳袋等配件也在保修范围内", "保修期内的维修免费", "往返运费由我们承担", "保修期外先报价", "您同意后再维修"}
	var s []rune
	for n := len(clauses); len(s) < tokens*perToken; n-- {
		for from := range clauses {
			turned := append(slices.Clone(clauses[from:]), clauses[:from]...)
			s = append(s, []rune(strings.Join(turned[:n], "，")+"。")...)
		}
	}
	return string(s[:tokens*perToken])
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

// streams is how many are open at once, each of 50 tokens a second.
const streams = 200

// stream is when each character of one was said and came.
type stream struct{ said, came []time.Time }

// way is one way from the customer to the model.
type way struct {
	b    *testing.B
	m    *talker
	open func(n int) io.ReadCloser
	text func([]byte) string
}

// run opens all streams, the first at once and the last after spread, and
// reads them to their ends.
func (w way) run(spread time.Duration) []stream {
	all := make([]stream, streams)
	var wg sync.WaitGroup
	for n := range streams {
		wg.Go(func() {
			time.Sleep(time.Duration(n) * spread / streams)
			body := w.open(n)
			defer body.Close()
			came := listen(body, w.text)
			w.m.mu.Lock()
			said := w.m.said[numbered.FindString(question(n))]
			w.m.mu.Unlock()
			if len(came) < len(said) || len(said) == 0 {
				w.b.Errorf("stream %d: %d characters of %d came", n, len(came), len(said))
				return
			}
			all[n] = stream{said, came}
		})
	}
	wg.Wait()
	return all
}

// between gives the median and the 99th percentile of the delays of what was
// said between two moments.
func between(b *testing.B, all []stream, from, to time.Time) (p50, p99 time.Duration) {
	var d []time.Duration
	for _, s := range all {
		for i, at := range s.said {
			if at.After(from) && at.Before(to) {
				d = append(d, s.came[i].Sub(at))
			}
		}
	}
	if len(d) == 0 {
		b.Fatal("nothing came")
	}
	slices.Sort(d)
	return d[len(d)/2], d[len(d)*99/100]
}

// steady is run while all streams are open and talk: none has to be opened or
// ended meanwhile. cpu is what s took for each token.
func (w way) steady(s *server) (p50, p99 time.Duration, cpu float64) {
	const opened, lasts = 4 * time.Second, 3 * time.Second
	from := time.Now().Add(opened)
	to := from.Add(lasts)
	var spent time.Duration
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(time.Until(from))
		began := s.spent()
		time.Sleep(time.Until(to))
		spent = s.spent() - began
	})
	all := w.run(opened / 2)
	wg.Wait()
	tokens := 0
	for n, one := range all {
		if len(one.said) == 0 || one.said[0].After(from) || one.said[len(one.said)-1].Before(to) {
			w.b.Errorf("stream %d was not open all the time", n)
		}
		for _, at := range one.said {
			if at.After(from) && at.Before(to) {
				tokens++
			}
		}
	}
	p50, p99 = between(w.b, all, from, to)
	return p50, p99, float64(spent.Microseconds()) / float64(tokens/perToken)
}

// held is what s takes in memory for each of so many streams that have begun,
// within two seconds, and wait for the model: in use, with the gaps between
// objects that the opening of others left behind, and live without them.
func (w way) held(s *server, hangUp func()) (inUse, live float64) {
	const spread = 2 * time.Second
	w.m.every = 0
	w.run(spread) // fills the caches and pools that stay
	hangUp()      // idle connections would be counted as what was there before
	w.m.hold = make(chan struct{})
	defer func() { w.m.hold = nil }()
	usedBefore, liveBefore := s.memory()
	var wg, began sync.WaitGroup
	began.Add(streams)
	for n := range streams {
		wg.Go(func() {
			time.Sleep(time.Duration(n) * spread / streams)
			body := w.open(5000 + n)
			defer body.Close()
			once := sync.OnceFunc(began.Done)
			defer once()
			for sc := bufio.NewScanner(body); sc.Scan(); {
				if data, ok := bytes.CutPrefix(sc.Bytes(), []byte("data: ")); ok && w.text(data) != "" {
					once()
				}
			}
		})
	}
	began.Wait()
	inUse, live = s.memory()
	close(w.m.hold)
	wg.Wait()
	return (inUse - usedBefore) / 1024 / streams, (live - liveBefore) / 1024 / streams
}

// talk is a model, the ways to it, and who is on them.
type talk struct {
	m                  *talker
	model              *httptest.Server
	client             *http.Client
	server, relay      *server
	direct, bare, ours way
}

// startTalk starts a model that talks, our server and a bare relay. With tls
// the model is reached as the real one: TLS and HTTP/2.
func startTalk(b *testing.B, tls bool) *talk {
	m := &talker{said: map[string][]time.Time{}, came: map[string]time.Time{}, read: map[string][2]time.Time{}}
	t := &talk{m: m, model: httptest.NewUnstartedServer(m)}
	transport := &http.Transport{MaxIdleConnsPerHost: 2000, ForceAttemptHTTP2: true}
	var env []string
	if tls {
		t.model.EnableHTTP2 = true
		t.model.StartTLS()
		transport.TLSClientConfig = t.model.Client().Transport.(*http.Transport).TLSClientConfig
		file := filepath.Join(b.TempDir(), "model.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: t.model.Certificate().Raw}), 0o600); err != nil {
			b.Fatal(err)
		}
		env = []string{"SSL_CERT_FILE=" + file}
	} else {
		t.model.Start()
	}
	b.Cleanup(t.model.Close)
	t.client = &http.Client{Transport: transport}
	t.server = startB(b, b.TempDir(), append(env,
		"RATE_LIMIT_CHAT_PER_MINUTE=0", "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "SERVER_MAX_CONCURRENT_REQUESTS=5000", "SERVER_REQUEST_TIMEOUT=2m",
		"DASHSCOPE_BASE_URL="+t.model.URL+"/v1", "DASHSCOPE_API_KEY=any", "DASHSCOPE_EMBED_MODEL=none"))
	t.server.sampled()
	t.relay = startRelay(b, t.model.URL+"/v1/chat/completions", env...)
	post := func(url, body string) io.ReadCloser {
		res, err := t.client.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			b.Error(err)
			return io.NopCloser(strings.NewReader(""))
		}
		return res.Body
	}
	ofTheModel := func(url string) way {
		return way{b, m, func(n int) io.ReadCloser {
			return post(url+"/v1/chat/completions", fmt.Sprintf(`{"stream":true,"q":%q}`, question(n)))
		}, ofModel}
	}
	t.direct, t.bare = ofTheModel(t.model.URL), ofTheModel(t.relay.url)
	t.ours = way{b, m, func(n int) io.ReadCloser {
		return post(t.server.url+"/chat", fmt.Sprintf(`{"query":%q,"stream":true}`, question(n)))
	}, ofOurs}
	return t
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// token reports delay and processor time for each token while all streams are
// open and talk, each at moments of its own.
func (t *talk) token(b *testing.B) {
	t.m.says, t.m.every, t.m.apart = terms(450), 20*time.Millisecond, true
	defer func() { t.m.apart = false }()
	d50, d99, _ := t.direct.steady(t.relay)
	r50, r99, rcpu := t.bare.steady(t.relay)
	o50, o99, ocpu := t.ours.steady(t.server)
	b.ReportMetric(ms(d50), "ms/direct-p50")
	b.ReportMetric(ms(o50-d50), "ms/added-p50")
	b.ReportMetric(ms(o99-d99), "ms/added-p99")
	b.ReportMetric(ms(r50-d50), "ms/bare-p50")
	b.ReportMetric(ms(r99-d99), "ms/bare-p99")
	b.ReportMetric(ocpu, "µs-cpu/token")
	b.ReportMetric(rcpu, "µs-cpu/bare-token")
	b.ReportMetric(0, "ns/op")
}

// rush reports the delay while all streams begin at once and go on in step.
func (t *talk) rush(b *testing.B) {
	t.m.says, t.m.every = terms(75), 20*time.Millisecond
	whole := func(w way) (p50, p99 time.Duration) {
		began := time.Now()
		return between(b, w.run(20*time.Millisecond), began, began.Add(time.Hour))
	}
	d50, d99 := whole(t.direct)
	r50, r99 := whole(t.bare)
	o50, o99 := whole(t.ours)
	b.ReportMetric(ms(o50-d50), "ms/added-p50")
	b.ReportMetric(ms(o99-d99), "ms/added-p99")
	b.ReportMetric(ms(r50-d50), "ms/bare-p50")
	b.ReportMetric(ms(r99-d99), "ms/bare-p99")
	b.ReportMetric(0, "ns/op")
}

// before reports our own time before the model is asked.
func (t *talk) before(b *testing.B) {
	t.m.says, t.m.every = terms(10), 0
	p50, p99 := before(t.m, t.ours)
	b.ReportMetric(ms(p50), "ms/p50")
	b.ReportMetric(ms(p99), "ms/p99")
	b.ReportMetric(0, "ns/op")
}

// memory reports what each open stream takes.
func (t *talk) memory(b *testing.B) {
	t.m.says = terms(10)
	hangUp := func() {
		t.client.CloseIdleConnections()
		t.model.CloseClientConnections()
		time.Sleep(100 * time.Millisecond) // until the servers have noticed
	}
	inUse, live := t.ours.held(t.server, hangUp)
	b.ReportMetric(inUse, "KiB/stream")
	b.ReportMetric(live, "KiB-live/stream")
	inUse, live = t.bare.held(t.relay, hangUp)
	b.ReportMetric(inUse, "KiB/bare-stream")
	b.ReportMetric(live, "KiB-live/bare-stream")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkStreams reports what the server adds to a model that talks, beside a
// bare relay to the same model in the same run: delay and processor time for
// each token while 200 streams of 50 tokens a second are open, the delay while
// all of them begin at once, and memory for each stream that is open; also its
// time before the model is asked. Reader, model and server share the cores of
// the machine.
func BenchmarkStreams(b *testing.B) {
	t := startTalk(b, false)
	b.Run("token", t.token)
	b.Run("rush", t.rush)
	b.Run("before", t.before)
	b.Run("memory", t.memory)
}

// BenchmarkStreamsTLS reports the same with a model that is reached as the real
// one is: by TLS, all streams over a connection or few.
func BenchmarkStreamsTLS(b *testing.B) {
	t := startTalk(b, true)
	b.Run("token", t.token)
	b.Run("memory", t.memory)
}

// before is our time until the model is asked to read the message, and from
// then until it is asked for the answer.
func before(m *talker, w way) (p50, p99 time.Duration) {
	var ours []time.Duration
	for n := range 200 {
		began := time.Now()
		body := w.open(1000 + n)
		_, _ = io.Copy(io.Discard, body)
		_ = body.Close()
		id := numbered.FindString(question(1000 + n))
		m.mu.Lock()
		ours = append(ours, m.read[id][0].Sub(began)+m.came[id].Sub(m.read[id][1]))
		m.mu.Unlock()
	}
	slices.Sort(ours)
	return ours[len(ours)/2], ours[len(ours)*99/100]
}

// memory is the bytes of heap and stacks that the server uses after a few
// collections, each of which halves the stacks that are little used now; and
// those of live objects and stacks. They are read as the last one ends: writing
// what is read here leaves more garbage than streams.
func (s *server) memory() (inUse, live float64) {
	s.t.Helper()
	var page string
	for range 5 {
		page = string(s.do("GET", "/debug/pprof/heap?gc=1&debug=1", nil, "X-API-Key", s.key).body)
	}
	for line := range strings.Lines(page) {
		var n float64
		for name, to := range map[string][]*float64{"HeapInuse": {&inUse}, "HeapAlloc": {&live}, "Stack": {&inUse, &live}} {
			if _, err := fmt.Sscanf(line, "# "+name+" = %g", &n); err == nil {
				for _, sum := range to {
					*sum += n
				}
			}
		}
	}
	return inUse, live
}
