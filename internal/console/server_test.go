package console_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/console"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// textRoute is where the fake server answers the signed links of citations.
const textRoute = "/api/v1/texts/"

// fake is a server with the console and a /chat that speaks the protocol from
// a script: the words of the question choose the answer.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	asked    []request
	attempts map[string]int // by question
	state    string         // of the session: ai, waiting, human
	heard    []string       // Last-Event-ID of each listener
	said     chan string    // events of the session, as JSON; "" breaks the connection
}

// request is what the page sent to /chat.
type request struct {
	Query   string `json:"query"`
	Session string `json:"session_id"`
	Stream  bool   `json:"stream"`
	Key     string `json:"-"`
	Tenant  string `json:"-"`
	Resume  string `json:"-"`
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{attempts: map[string]int{}, state: "ai", said: make(chan string, 10)}
	mux := http.NewServeMux()
	mux.Handle("/", console.Handler())
	mux.HandleFunc("POST /chat", f.chat)
	mux.HandleFunc("GET /api/v1/sessions/{id}/events", f.events)
	mux.HandleFunc("GET "+textRoute+"{name}", text)
	mux.Handle("GET /testdata/", http.FileServer(http.Dir(".")))
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

// requests returns what was asked so far.
func (f *fake) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fake) chat(w http.ResponseWriter, r *http.Request) {
	var req request
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		fail(w, http.StatusBadRequest, "body: "+err.Error())
		return
	}
	req.Key, req.Tenant, req.Resume = r.Header.Get("X-API-Key"), r.Header.Get("X-Tenant-ID"), r.Header.Get("Last-Event-ID")
	f.mu.Lock()
	f.asked = append(f.asked, req)
	f.attempts[req.Query]++
	attempt := f.attempts[req.Query]
	for words, state := range map[string]string{"客服在吗": "human", "取消转人工": "ai"} {
		if strings.Contains(req.Query, words) {
			f.state = state
		}
	}
	if req.Query == "转人工" || req.Query == "talk to a human" {
		f.state = "waiting"
	}
	f.mu.Unlock()

	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(s string) bool { return strings.Contains(req.Query, s) })
	}
	switch {
	case has("busy", "太快") && attempt == 1:
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusTooManyRequests, "rate limit of 20 questions a minute reached; wait 1 s")
	case has("secret") && req.Key == "":
		fail(w, http.StatusUnauthorized, "send a key as X-API-Key")
	case has("json", "一次"):
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(kb.Answer{Answer: "In one piece [1].", Route: kb.Knowledge, Session: "s-json", Sources: warrantySources(kb.En)})
	case has("break", "断线") && attempt == 1:
		half := warranty(langOf(req.Query))[:15]
		stream(w, r, half, manner{eol: "\n"})
		if has("reset") {
			panic(http.ErrAbortHandler) // the connection breaks instead of ending
		}
	case has("endless", "很长"):
		endless(w, r)
	default:
		stream(w, r, answer(req.Query, attempt), mannerOf(req.Query))
	}
}

// events is the stream of a session: its state, then what the test says.
func (f *fake) events(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.heard = append(f.heard, r.Header.Get("Last-Event-ID"))
	state, n := f.state, len(f.heard)*10
	f.mu.Unlock()
	head(w)
	rc := http.NewResponseController(w)
	fmt.Fprintf(w, "id: %d\ndata: {\"type\":\"state\",\"session_id\":%q,\"state\":%q}\n\n", n, r.PathValue("id"), state)
	for {
		_ = rc.Flush()
		select {
		case <-r.Context().Done():
			return
		case data := <-f.said:
			if data == "" {
				return
			}
			n++
			fmt.Fprintf(w, ": heartbeat\n\nid: %d\ndata: %s\n\n", n, data)
		}
	}
}

// listeners returns the Last-Event-ID of each time the page listened.
func (f *fake) listeners() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.heard)
}

// answer is the script proper.
func answer(query string, attempt int) []kb.Event {
	lang := langOf(query)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(s string) bool { return strings.Contains(query, s) })
	}
	switch {
	case has("取消转人工"):
		return append(append(begin(kb.Handoff)[:1], words("已取消转人工。")...), kb.Event{Type: kb.EventEnd, Route: kb.Handoff, Metadata: &kb.Metadata{Intent: kb.Direct}})
	case has("转人工", "talk to a human"):
		return handoff(lang)
	case has("退货", "return"):
		return quotation(lang)
	case has("年假", "holiday"):
		return abstention(lang)
	case has("model", "模型") && attempt == 1:
		return append(warranty(lang)[:4], kb.Event{Type: kb.EventError, Code: "model_unavailable", Message: "provider is down"})
	case has("客服在吗"): // a human has the conversation: the machine is silent
		return append(begin(kb.Handoff)[:1], kb.Event{Type: kb.EventEnd, Route: kb.Handoff, Metadata: &kb.Metadata{Intent: kb.Handoff, State: "human"}})
	case has("very long"):
		sources := []kb.Citation{cite("long", kb.En, "", "The needle is here.", "", "Middle", .9)}
		return append(append(begin(kb.Knowledge), words("It is there [1].")...), kb.Event{Type: kb.EventEnd, Sources: sources, Metadata: &kb.Metadata{Intent: kb.Knowledge}})
	case has("Correct yourself"):
		unsupported := false
		return append(append(begin(kb.Knowledge), words("Twenty years.")...),
			kb.Event{Type: kb.EventReplace, Content: "Twelve months."},
			kb.Event{Type: kb.EventEnd, Route: kb.Knowledge, Metadata: &kb.Metadata{Intent: kb.Knowledge, Supported: &unsupported}})
	case has("attack"):
		return attack()
	default:
		return warranty(lang)
	}
}

func langOf(query string) kb.Lang {
	if strings.ContainsFunc(query, func(r rune) bool { return r >= 0x4e00 && r <= 0x9fff }) {
		return kb.Zh
	}
	return kb.En
}

// manner is how a stream is sent.
type manner struct {
	eol   string
	pause time.Duration // between pieces
}

func mannerOf(query string) manner {
	m := manner{eol: "\n", pause: time.Millisecond}
	if strings.Contains(query, "return") {
		m.eol = "\r\n"
	}
	if strings.Contains(query, "慢") {
		m.pause = 15 * time.Millisecond
	}
	return m
}

// stream sends events as the server does, but cut into pieces of 59 bytes:
// lines, CRLFs and Chinese characters arrive in two parts.
func stream(w http.ResponseWriter, r *http.Request, events []kb.Event, m manner) {
	head(w)
	var b bytes.Buffer
	for i, ev := range events {
		data, err := json.Marshal(ev)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, ": heartbeat%[1]sid: t1-%[2]d%[1]sdata: %[3]s%[1]s%[1]s", m.eol, i, data)
	}
	rc := http.NewResponseController(w)
	for piece := range slices.Chunk(b.Bytes(), 59) {
		if _, err := w.Write(piece); err != nil || r.Context().Err() != nil {
			return
		}
		_ = rc.Flush()
		time.Sleep(m.pause)
	}
}

// endless sends a sentence now and then until the reader leaves.
func endless(w http.ResponseWriter, r *http.Request) {
	head(w)
	rc := http.NewResponseController(w)
	fmt.Fprint(w, `data: {"type":"start","session_id":"s1"}`+"\n\n"+`data: {"type":"stage","stage":"answer","route":"direct"}`+"\n\n")
	for i := 1; r.Context().Err() == nil; i++ {
		fmt.Fprintf(w, "data: {\"type\":\"chunk\",\"content\":\"Sentence %d of many.\\n\\n\"}\n\n", i)
		_ = rc.Flush()
		time.Sleep(40 * time.Millisecond)
	}
}

func head(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
}

func fail(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"code": code, "message": message, "details": map[string]any{"field": "query"}, "trace_id": "4bf92f3577b34da6",
	})
}

// words cuts a text into chunk events of two runes.
func words(text string) []kb.Event {
	var events []kb.Event
	for piece := range slices.Chunk([]rune(text), 2) {
		events = append(events, kb.Event{Type: kb.EventChunk, Content: string(piece)})
	}
	return events
}

func begin(route kb.Route) []kb.Event {
	return []kb.Event{
		{Type: kb.EventStart, Session: "s1", Turn: "t1"},
		{Type: kb.EventStage, Stage: "understand", Route: route},
		{Type: kb.EventStage, Stage: "retrieve", Route: route},
	}
}

func warranty(lang kb.Lang) []kb.Event {
	sources := warrantySources(lang)
	text := "手机整机保修 **12 个月**，从签收次日起算 [1]。以下情况不在保修之内：\n\n" +
		"- 进水、摔落等人为损坏 [2]\n- 自行拆机或改装\n- 过了保修期限\n\n送修之前请先备份数据，并运行 `设置 › 备份`。"
	if lang == kb.En {
		text = "Phones carry a warranty of **12 months**, counted from the day after delivery [1]. It does not cover:\n\n" +
			"- liquid damage and drops [2]\n- repairs or changes made by others\n- devices past their term\n\nBack up your data first with `Settings › Backup`."
	}
	events := append(begin(kb.Knowledge), kb.Event{Type: kb.EventSources, Sources: sources}, kb.Event{Type: kb.EventStage, Stage: "answer", Route: kb.Knowledge})
	events = append(events, words(text)...)
	return append(events, kb.Event{Type: kb.EventEnd, Route: kb.Knowledge, Sources: sources, Metadata: &kb.Metadata{
		Intent: kb.Knowledge, Confidence: .94, DurationMS: 1240, Model: "qwen-plus", Lang: lang, Degraded: []string{"lexical"},
	}})
}

func quotation(lang kb.Lang) []kb.Event {
	sources := []kb.Citation{cite("returns", lang, "自签收之日起 7 天内，商品完好、配件齐全，可以申请无理由退货。", "Within 30 days of delivery you may return an unused item for a full refund.", "退货条件", "When you can return", .91)}
	text := "自签收之日起 7 天内，商品完好、配件齐全，可以申请无理由退货。[1]"
	if lang == kb.En {
		text = "Within 30 days of delivery you may return an unused item for a full refund. [1]"
	}
	events := append(begin(kb.Knowledge), kb.Event{Type: kb.EventSources, Sources: sources})
	events = append(events, words(text)...)
	return append(events, kb.Event{Type: kb.EventEnd, Route: kb.Knowledge, Sources: sources, Metadata: &kb.Metadata{
		Intent: kb.Knowledge, Confidence: .97, DurationMS: 18, Quoted: true, Lang: lang,
	}})
}

func abstention(lang kb.Lang) []kb.Event {
	text := "知识库里没有关于这个问题的内容。"
	if lang == kb.En {
		text = "The knowledge base does not cover this question."
	}
	return append(append(begin(kb.Knowledge), words(text)...), kb.Event{Type: kb.EventEnd, Route: kb.Knowledge, Metadata: &kb.Metadata{
		Intent: kb.Knowledge, Confidence: .81, DurationMS: 12, Abstained: true, Offer: kb.Handoff, Lang: lang,
	}})
}

func handoff(lang kb.Lang) []kb.Event {
	text := "好的，已为您转接人工客服，请稍候。"
	if lang == kb.En {
		text = "All right, I am passing you on to a person. One moment, please."
	}
	return append(begin(kb.Handoff)[:2],
		kb.Event{Type: kb.EventHandoff, Content: text},
		kb.Event{Type: kb.EventEnd, Route: kb.Handoff, Metadata: &kb.Metadata{Intent: kb.Handoff, Confidence: 1, State: "waiting", Lang: lang}})
}

// attackText tries every way from text into the page that we know of.
const attackText = "<script>window.hacked = 1</script><img src=x onerror=\"window.hacked = 2\">\n\n" +
	"- [click](javascript:window.hacked=3) javascript:window.hacked=4\n" +
	"- see https://example.org/a_(b)?q=1. or http://\"onmouseover=window.hacked=5\n\n" +
	"</p><iframe srcdoc=\"<script>parent.hacked=6</script>\"></iframe> `<b>code</b>` [9] **<i>bold</i>**"

func attack() []kb.Event {
	sources := warrantySources(kb.En)[:1]
	sources[0].URL = "https://example.org/steal"
	sources[0].Metadata.Title = `<img src=x onerror="window.hacked = 7">`
	events := append(begin("<b>direct</b>"), kb.Event{Type: kb.EventSources, Sources: sources})
	events = append(events, words(attackText+" [1]")...)
	return append(events, kb.Event{Type: kb.EventEnd, Sources: sources, Metadata: &kb.Metadata{
		Intent: kb.Direct, Degraded: []string{"<img src=x onerror=window.hacked=8>", "constructor"},
	}})
}

// Documents of the fake; the quotes below are found in them by byte offset.
// They hold characters of one to four bytes before and after the quotes.
func document(name string, lang kb.Lang) (title, body string) {
	switch name + "/" + string(lang) {
	case "warranty/zh":
		return "售后与保修政策（2026）", "售后与保修政策 🛠️\n\n第一条 适用范围\n\n本政策适用于在本店购买的手机、平板与配件。Ünïcode 与 𠮷 字亦然。\n\n" +
			"第二条 保修期限\n\n手机整机保修期为 12 个月，自签收次日起计算。电池与充电器保修期为 6 个月。\n\n" +
			"第三条 不保修的情形\n\n进水、摔落、挤压等人为损坏，不在保修范围之内。自行拆机或改装的，同样不予保修。\n\n" +
			strings.Repeat("附则：本条款的解释以正式文本为准，如有调整，将提前三十日公示。\n\n", 30)
	case "warranty/en":
		return "Warranty policy 2026", "Warranty policy 🛠️\n\n1. Scope\n\nThis policy – with “typographic” marks – covers phones, tablets and accessories bought from us.\n\n" +
			"2. Term\n\nPhones carry a warranty of twelve months, counted from the day after delivery. Batteries and chargers carry six months.\n\n" +
			"3. Exclusions\n\nDamage by liquid, drops or pressure is not covered. Neither are devices opened or changed by others.\n\n" +
			strings.Repeat("Further terms apply as published; changes are announced thirty days ahead.\n\n", 30)
	case "long/en": // a quarter of a megabyte
		hay := strings.Repeat("干草 hay 😀 stack.\n", 6_500)
		return "A long document", hay + "The needle is here.\n" + hay
	case "returns/zh":
		return "退货说明", strings.Repeat("订单与配送的说明请见另文，此处不再重复。😀\n\n", 40) +
			"退货条件\n\n自签收之日起 7 天内，商品完好、配件齐全，可以申请无理由退货。定制商品除外。\n\n退款原路返回，3 个工作日内到账。"
	default:
		return "Returns", strings.Repeat("Orders and delivery are described elsewhere. 😀\n\n", 40) +
			"When you can return\n\nWithin 30 days of delivery you may return an unused item for a full refund. Custom items are excluded.\n\nRefunds arrive within three working days."
	}
}

func warrantySources(lang kb.Lang) []kb.Citation {
	return []kb.Citation{
		cite("warranty", lang, "手机整机保修期为 12 个月，自签收次日起计算。", "Phones carry a warranty of twelve months, counted from the day after delivery.", "保修期限", "Term", .93),
		cite("warranty", lang, "进水、摔落、挤压等人为损坏，不在保修范围之内。", "Damage by liquid, drops or pressure is not covered.", "不保修的情形", "Exclusions", .88),
		cite("returns", lang, "退款原路返回，3 个工作日内到账。", "Refunds arrive within three working days.", "退货条件", "When you can return", .41),
	}
}

func cite(name string, lang kb.Lang, zh, en, headingZh, headingEn string, score float64) kb.Citation {
	quote, heading := zh, headingZh
	if lang == kb.En {
		quote, heading = en, headingEn
	}
	title, body := document(name, lang)
	start := strings.Index(body, quote)
	if start < 0 {
		panic("no " + quote + " in " + name)
	}
	end := start + len(quote)
	return kb.Citation{
		Content: quote, Score: score,
		URL:      fmt.Sprintf("%s%s?lang=%s&v=3&start=%d&end=%d&sig=abc", textRoute, name, lang, start, end),
		Metadata: kb.CitationMetadata{Document: kb.DocumentID(name), Title: title, Heading: heading, Version: 3, Start: start, End: end},
	}
}

// text answers a signed link: the version's canonical text and the byte range.
func text(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("sig") != "abc" || r.Header.Get("Accept") != "application/json" {
		fail(w, http.StatusForbidden, "link expired")
		return
	}
	title, body := document(r.PathValue("name"), kb.Lang(q.Get("lang")))
	var start, end int
	_, _ = fmt.Sscan(q.Get("start"), &start)
	_, _ = fmt.Sscan(q.Get("end"), &end)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"document_id": r.PathValue("name"), "title": title, "version": 3, "start": start, "end": end, "text": body,
	})
}
