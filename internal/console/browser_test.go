package console_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/eino-qa/eino-qa/internal/console/consoletest"
)

// TestConsole uses the page as people do, in a real browser against a server
// that speaks the protocol. consoletest fails it besides for any exception,
// breach of the content policy, or request to elsewhere.
func TestConsole(t *testing.T) {
	browser := consoletest.Browser(t)
	for _, tt := range []struct {
		name string
		lang string
		test func(*page)
	}{
		{"an answer asked for by keyboard streams in", "zh-CN", streams},
		{"Enter of an input method does not send", "zh-CN", composes},
		{"a citation opens the document at the exact quote", "zh-CN", cites},
		{"a long document shows the text around the quote first", "en-US", readsLong},
		{"the language follows the browser, switches and is remembered", "zh-CN", speaksTwo},
		{"a human is one button away", "zh-CN", handsOff},
		{"what a person says arrives, also after a broken connection and a reload", "zh-CN", hearsPeople},
		{"quoted text says so and abstaining offers a human", "en-US", quotesAndAbstains},
		{"failures keep the question and can be retried", "en-US", fails},
		{"a lost network keeps the question", "en-US", losesNetwork},
		{"a key and a tenant are sent and kept in the tab", "en-US", authenticates},
		{"an answer can be stopped", "en-US", stops},
		{"a reload keeps the conversation", "en-US", reloads},
		{"an answer in one piece is shown too", "en-US", takesJSON},
		{"text of an answer stays text", "en-US", resists},
		{"a narrow phone does not scroll sideways", "en-US", fitsPhones},
		{"text has contrast in light and dark", "zh-CN", contrasts},
		{"readers of the screen hear sentences", "en-US", announces},
		{"its modules do what they say", "en-US", modules},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(visit(t, browser, tt.lang)) })
	}
}

func streams(p *page) {
	p.do(chromedp.Focus(chromedp.CSS("#question")), chromedp.KeyEvent("保修期是多长时间？慢一点"), enter())
	p.wait(`(() => { const t = document.querySelector('.turn[data-status="asking"] .text'); return t && t.innerText.length > 4; })()`)
	p.do(ended())
	got := p.text(".turn .text")
	p.expect(got, "手机整机保修 12 个月，从签收次日起算", "进水、摔落等人为损坏", "过了保修期限", "设置 › 备份")
	if strings.ContainsRune(got, '\uFFFD') || strings.Contains(got, "**") || strings.Contains(got, "[1]") {
		p.Errorf("answer = %q, want no broken characters, no markup, no bare markers", got)
	}
	if n := p.count(".turn .text li"); n != 3 {
		p.Errorf("%d list items, want 3", n)
	}
	p.expect(p.text(".badges"), "知识库")
	p.expect(p.text(".took"), "1.2 s")
	p.expect(p.text(".answer > .fine"), "仅按关键词检索")
	if n := p.count(".source"); n != 2 {
		p.Errorf("%d sources shown, want the 2 cited", n)
	}
	p.press(".more")
	p.wait(`document.querySelectorAll(".source").length === 3 && document.activeElement.dataset.n === "3"`)

	p.asks("那电池呢？")
	reqs := p.fake.requests()
	if len(reqs) != 2 || !reqs[0].Stream || reqs[0].Session != "" || reqs[1].Session != "s1" {
		p.Errorf("requests = %+v, want the second in session s1", reqs)
	}
	p.press("#new-chat")
	p.wait(`document.querySelector("#welcome").checkVisibility() && !document.querySelector(".turn")`)
	p.asks("从头来")
	if got := p.fake.requests()[2].Session; got != "" {
		p.Errorf("session of a new conversation = %q, want none", got)
	}
}

func composes(p *page) {
	p.do(chromedp.Focus(chromedp.CSS("#question")), chromedp.KeyEvent("ni"))
	for _, composing := range []string{`isComposing: true`, `keyCode: 229`} {
		p.do(chromedp.Evaluate[chromedp.Void](`void document.querySelector("#question").dispatchEvent(
			new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true, ` + composing + `}))`))
	}
	p.do(enter(chromedp.KeyModifiers(chromedp.ModifierShift)), chromedp.KeyEvent("hao"))
	if got := value[string](p, `document.querySelector("#question").value`); got != "ni\nhao" {
		p.Errorf("box = %q, want a line break and nothing sent", got)
	}
	if got := p.fake.requests(); len(got) != 0 {
		p.Fatalf("sent %+v while composing", got)
	}
	p.do(enter(), ended())
	if got := p.fake.requests(); len(got) != 1 || got[0].Query != "ni\nhao" {
		p.Errorf("requests = %+v, want one", got)
	}
	if got := value[string](p, `document.querySelector("#question").value`); got != "" {
		p.Errorf("box = %q after sending, want it empty", got)
	}
}

func cites(p *page) {
	p.asks("退货要在几天之内申请？", "保修期是多长时间？")
	// By keyboard: to the chip, Enter, Escape.
	p.do(chromedp.Focus(chromedp.CSS(".turn:first-child .cite")), enter())
	p.wait(`document.querySelector("#reader mark")`)
	quote := "自签收之日起 7 天内，商品完好、配件齐全，可以申请无理由退货。"
	if got := value[string](p, `document.querySelector("#reader mark").textContent`); got != quote {
		p.Errorf("highlighted %q, want %q", got, quote)
	}
	_, body := document("returns", "zh")
	if got := value[string](p, `document.querySelector("#reader .original").textContent`); got != body {
		p.Errorf("document has %d bytes, want its %d unchanged", len(got), len(body))
	}
	inView := `(() => {
		const mark = document.querySelector("#reader mark span").getBoundingClientRect();
		const box = document.querySelector("#reader-text").getBoundingClientRect();
		return mark.top >= box.top && mark.bottom <= box.bottom && box.bottom <= innerHeight;
	})()`
	if !value[bool](p, inView) {
		p.Error("the quote is not in view")
	}
	p.expect(p.text("#reader"), "退货说明", "第 3 版", "引文与原文逐字一致", "出处 1 / 1")
	if value[bool](p, `document.querySelector("#reader").matches(":modal")`) {
		p.Error("the reader is modal on a wide page, want it beside")
	}
	p.do(chromedp.KeyEvent(kb.Escape))
	p.wait(`!document.querySelector("#reader").open && document.activeElement.matches(".turn:first-child .cite")`)

	p.press(".turn:last-child .source")
	p.wait(`document.querySelector("#reader mark")?.textContent.startsWith("进水、摔落")`)
	p.press("#reader-prev")
	p.wait(`document.querySelector("#reader mark")?.textContent.startsWith("手机整机")`)
	if !value[bool](p, inView) {
		p.Error("the previous quote is not in view")
	}
}

func readsLong(p *page) {
	p.asks("A very long document?")
	p.press(".cite")
	p.wait(`document.querySelector("#reader mark")?.textContent === "The needle is here."`)
	shown := value[int](p, `document.querySelector("#reader .original").textContent.length`)
	if shown > 50_000 {
		p.Errorf("%d characters laid out at once", shown)
	}
	before := value[float64](p, `document.querySelector("#reader mark").getBoundingClientRect().top`)
	clicks := value[int](p, `(() => {
		let n = 0;
		for (let more; (more = document.querySelector("#reader .more")); n++) more.click();
		return n;
	})()`)
	if clicks != 4 {
		p.Errorf("%d clicks to the whole document, want 2 on each side", clicks)
	}
	_, body := document("long", "en")
	if got := value[string](p, `document.querySelector("#reader .original").textContent`); got != body {
		p.Errorf("the whole document has %d bytes, want its %d unchanged", len(got), len(body))
	}
	if after := value[float64](p, `document.querySelector("#reader mark").getBoundingClientRect().top`); math.Abs(after-before) > 2 {
		p.Errorf("the quote moved from %v to %v when the text before it came", before, after)
	}
}

func speaksTwo(p *page) {
	p.asks("年假有几天？")
	if got := value[string](p, `document.documentElement.lang`); got != "zh-CN" {
		p.Errorf("lang = %q, want the browser's", got)
	}
	p.press("#language")
	p.wait(`document.documentElement.lang === "en"`)
	p.expect(p.text("body"), "New chat", "Talk to a human", "Knowledge base", "A person may be able to help.")
	if got := value[string](p, `document.querySelector("#send").getAttribute("aria-label")`); got != "Send" {
		p.Errorf("label of send = %q", got)
	}
	p.open()
	if got := value[string](p, `document.documentElement.lang`); got != "en" {
		p.Errorf("after a reload lang = %q, want the chosen one", got)
	}
}

func handsOff(p *page) {
	if p.count("#state") != 0 {
		p.Error("a new session shows a state")
	}
	p.press("#human")
	p.do(ended())
	if got := p.fake.requests(); len(got) != 1 || got[0].Query != "转人工" {
		p.Errorf("requests = %+v, want 转人工", got)
	}
	p.expect(p.text(".turn"), "人工", "好的，已为您转接人工客服")
	p.expect(p.text("#state"), "正在等待客服接入")
	p.open()
	p.expect(p.text("#state"), "正在等待客服接入")
	p.asks("客服在吗")
	p.expect(p.text(".turn:last-child"), "消息已送达人工客服")
	p.expect(p.text("#state"), "人工客服正在接待")
	p.press("#cancel-human")
	p.do(ended())
	p.expect(p.text(".turn:last-child"), "已取消转人工")
	if p.count("#state") != 0 {
		p.Error("the state stays although the machine answers again")
	}
}

func hearsPeople(p *page) {
	p.asks("保修期是多长时间？")
	if got := p.fake.listeners(); len(got) != 0 {
		p.Errorf("listened %q while the machine answers", got)
	}
	p.press("#human")
	p.do(ended())
	p.fake.said <- `{"type":"handoff","state":"human","content":"人工客服 小王 已接入。","agent":"小王"}`
	p.wait(`document.querySelector("#state").innerText.includes("人工客服正在接待")`)
	p.fake.said <- `{"type":"message","content":"您好，\n<b>请讲</b>","agent":"小王"}`
	p.wait(`document.querySelector(".said .agent")`)
	p.expect(p.text(".turn:last-child .said"), "小王 已接入", "小王\n", "您好，\n<b>请讲</b>")
	p.expect(p.text("#announcer"), "人工客服 小王：您好")
	p.fake.said <- "" // the connection ends
	p.wait(`performance.getEntriesByType("resource").filter((e) => e.name.endsWith("/events")).length >= 1`)
	p.fake.said <- `{"type":"message","content":"还在吗？","agent":"小王"}`
	p.wait(`document.querySelector(".turn:last-child .said").innerText.includes("还在吗？")`)
	if got := p.fake.listeners(); len(got) != 2 || got[0] != "" || got[1] != "12" {
		p.Errorf("listened from %q, want on from the last event", got)
	}
	p.fake.mu.Lock()
	p.fake.state = "human"
	p.fake.mu.Unlock()
	p.open()
	p.expect(p.text(".turn:last-child .said"), "小王 已接入", "还在吗？")
	p.fake.said <- `{"type":"handoff","state":"ai","content":"人工服务已结束。"}`
	p.wait(`document.querySelector("#state").hidden && document.querySelector(".turn:last-child .said").innerText.includes("人工服务已结束")`)
	p.press("#new-chat")
	p.wait(`!document.querySelector(".turn")`)
	if got := value[string](p, `sessionStorage.getItem("eino-qa.heard") ?? ""`); got != "" {
		p.Errorf("a new conversation remembers event %q", got)
	}
}

func quotesAndAbstains(p *page) {
	p.asks("How long is the warranty?")
	if p.count(".badge.quoted") != 0 {
		p.Error("a model's answer is called quoted")
	}
	p.asks("Can I return it?") // with CRLF line ends
	p.expect(p.text(".turn:last-child"), "Quoted text", "not written by a model", "Within 30 days of delivery")
	p.asks("Correct yourself")
	if got := p.text(".turn:last-child .text"); got != "Twelve months." {
		p.Errorf("answer = %q, want the replacement alone", got)
	}
	p.expect(p.text(".turn:last-child"), "not confirmed by the sources")
	p.asks("How many days of holiday do I get?")
	p.expect(p.text(".turn:last-child"), "does not cover", "Talk to a human")
	p.press(".offer .button")
	p.wait(`document.querySelectorAll(".turn").length === 5`)
	p.do(ended())
	if got := p.fake.requests()[4].Query; got != "talk to a human" {
		p.Errorf("asked %q, want a human", got)
	}
}

func fails(p *page) {
	p.asks("busy?")
	p.expect(p.text(".trouble"), "Too many questions", "rate limit of 20 questions", "field: query", "Trace 4bf92f3577b34da6", "Retry in ")
	p.press(".retry")
	if got := len(p.fake.requests()); got != 1 {
		p.Errorf("%d requests, want the retry to wait", got)
	}
	p.wait(`document.querySelector('.retry[aria-disabled="false"]')?.innerText === "Retry"`)
	p.press(".retry")
	p.wait(`document.querySelector('.turn[data-status="done"]')`)
	if n := p.count(".turn"); n != 1 {
		p.Errorf("%d turns after a retry, want the same one", n)
	}
	p.expect(p.text(".turn"), "busy?", "12 months")

	p.asks("break?")
	p.expect(p.text(".turn:last-child"), "break?", "The connection broke")
	p.press(".turn:last-child .retry")
	p.wait(`document.querySelector('.turn:last-child[data-status="done"]')`)
	reqs := p.fake.requests()
	if last := reqs[len(reqs)-1]; last.Resume != "t1-14" {
		p.Errorf("retried with Last-Event-ID %q, want the last one seen", last.Resume)
	}
	if got := p.text(".turn:last-child .text"); strings.Count(got, "Phones carry") != 1 {
		p.Errorf("answer after a retry = %q, want it once", got)
	}

	p.asks("break it by a reset?")
	p.expect(p.text(".turn:last-child"), "The connection broke")
	p.press(".turn:last-child .retry")
	p.wait(`document.querySelector('.turn:last-child[data-status="done"]')`)

	p.asks("Is the model there?")
	p.expect(p.text(".turn:last-child"), "language model is temporarily unavailable", "provider is down")
	p.press(".turn:last-child .retry")
	p.wait(`document.querySelector('.turn:last-child[data-status="done"]')`)
	if n := p.count(".trouble"); n != 0 {
		p.Errorf("%d failures left, want none", n)
	}
}

func losesNetwork(p *page) {
	p.fake.Close()
	p.asks("Anyone there?")
	p.expect(p.text(".turn"), "Anyone there?", "server cannot be reached", "Retry")
	kept := value[string](p, `sessionStorage.getItem("eino-qa.turns")`)
	p.expect(kept, "Anyone there?")
}

func authenticates(p *page) {
	p.asks("secret?")
	p.expect(p.text(".trouble"), "A valid API key is needed", "Enter a key")
	p.press(".acts .button:first-child")
	p.do(chromedp.KeyEvent("k-123"), chromedp.Focus(chromedp.CSS("#tenant-id")), chromedp.KeyEvent("Not Valid"), enter())
	p.expect(p.text("#tenant-error"), "lower-case letters")
	p.clear("#tenant-id")
	p.do(chromedp.KeyEvent("acme"), enter())
	p.wait(`!document.querySelector("#settings").open && !document.querySelector(".turn")`)
	p.asks("secret?")
	reqs := p.fake.requests()
	if last := reqs[len(reqs)-1]; last.Key != "k-123" || last.Tenant != "acme" {
		p.Errorf("sent key %q, tenant %q", last.Key, last.Tenant)
	}
	p.expect(p.text("#tenant"), "acme")
	if value[bool](p, `Array.from(localStorage, (_, i) => localStorage.getItem(localStorage.key(i))).some((v) => v.includes("k-123"))`) {
		p.Error("the key is in localStorage, want the tab's storage only")
	}
}

func stops(p *page) {
	p.do(begins("endless")...)
	p.wait(`document.querySelector(".turn .text")?.innerText.includes("Sentence 3")`)
	p.expect(p.text(".stage"), "Answering")
	p.do(chromedp.KeyEvent(kb.Escape))
	p.wait(`document.querySelector('.turn[data-status="stopped"]')`)
	p.expect(p.text(".turn"), "Sentence 3", "Stopped.", "Ask again")
	if p.count("#stop") != 0 || p.count("#send") != 1 {
		p.Error("the stop button stays")
	}
	p.press(".retry")
	p.press("#stop")
	p.wait(`document.querySelector('.turn[data-status="stopped"]') && document.activeElement.id === "question"`)
}

func reloads(p *page) {
	p.asks("How long is the warranty?")
	p.do(chromedp.Focus(chromedp.CSS("#question")), chromedp.KeyEvent("half a quest"))
	p.open()
	p.expect(p.text(".turn"), "How long is the warranty?", "12 months")
	if got := value[string](p, `document.querySelector("#question").value`); got != "half a quest" {
		p.Errorf("draft = %q after a reload", got)
	}
	p.press(".cite")
	p.wait(`document.querySelector("#reader mark")`)
	p.clear("#question")
	p.do(begins("endless")...)
	p.wait(`document.querySelector(".turn:last-child .text")?.innerText.includes("Sentence 1")`)
	p.open()
	p.expect(p.text(".turn:last-child"), "endless", "page was closed", "Retry")
}

func takesJSON(p *page) {
	p.asks("json")
	p.expect(p.text(".turn"), "In one piece", "Knowledge base")
	if n := p.count(".text .cite"); n != 1 {
		p.Errorf("%d markers, want 1", n)
	}
}

func resists(p *page) {
	p.asks("attack")
	got := p.text(".turn .text")
	p.expect(got, "<script>window.hacked = 1</script><img src=x onerror=", "[click](javascript:window.hacked=3)", "<b>code</b>", "<i>bold</i>", "[9]")
	if value[bool](p, `"hacked" in window`) {
		p.Fatal("a script of the answer ran")
	}
	if n := value[int](p, `document.querySelectorAll(".turn script, .turn img, .turn iframe, .turn b, .turn i:not(.pulse), .turn p p").length`); n != 0 {
		p.Errorf("%d elements came out of the text", n)
	}
	links := value[[]map[string]string](p, `[...document.querySelectorAll(".text a")].map((a) => ({href: a.getAttribute("href"), rel: a.rel, text: a.innerText}))`)
	if len(links) != 1 || links[0]["href"] != "https://example.org/a_(b)?q=1" || links[0]["text"] != links[0]["href"] || !strings.Contains(links[0]["rel"], "noopener") {
		p.Errorf("links = %v, want the one http address, shown whole, with noopener", links)
	}
	p.expect(p.text(".source"), `<img src=x onerror=`)
	p.press(".cite")
	p.wait(`document.querySelector("#reader .trouble")`)
	p.expect(p.text("#reader"), "leads to another site")
	if p.count("#reader-open") != 0 {
		p.Error("a foreign source can be opened")
	}
	kept, _ := json.Marshal(p.text(".turn > .answer > .fine"))
	p.expect(string(kept), "constructor")
}

func fitsPhones(p *page) {
	wide := `(() => {
		const over = [...document.querySelectorAll("body *")].filter((n) => {
			if (!n.checkVisibility() || n.closest(".hidden, .skip, pre, use, .icon")) return false;
			const box = n.getBoundingClientRect();
			return box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5);
		}).map((n) => n.id || n.className || n.tagName);
		const main = document.querySelector("main");
		if (document.documentElement.scrollWidth > innerWidth) over.push("page scrolls");
		if (main.scrollWidth > main.clientWidth) over.push("conversation scrolls");
		return over;
	})()`
	check := func(state string, width int64) {
		p.Helper()
		if got := value[[]string](p, wide); len(got) > 0 {
			p.Errorf("%s at %d px: %v reach over the edge", state, width, got)
		}
	}
	p.do(prefers("prefers-reduced-motion", "reduce")) // nothing is measured on its way
	long := strings.Repeat("x", 120)
	for lang, width := range map[string]int64{"zh": 360, "en": 320} {
		p.do(chromedp.EmulateViewport(width, 740))
		p.do(chromedp.Evaluate[chromedp.Void](`void import("/console/i18n.js").then((m) => m.setLanguage("` + lang + `"))`))
		p.wait(`document.documentElement.lang.startsWith("` + lang + `")`)
		p.press("#new-chat")
		p.wait(`document.querySelector("#welcome").checkVisibility()`)
		check("empty, "+lang, width)
		p.asks(map[string]string{"zh": "保修", "en": "warranty"}[lang]+" "+long, "secret", "attack")
		check("answers, "+lang, width)
		p.press(".turn:first-child .cite")
		p.wait(`document.querySelector("#reader mark")`)
		if !value[bool](p, `document.querySelector("#reader").matches(":modal")`) {
			p.Error("the reader is not a modal dialog on a phone")
		}
		check("reader, "+lang, width)
		p.do(chromedp.KeyEvent(kb.Escape))
		p.press("#open-settings")
		p.wait(`document.querySelector("#settings").open`)
		check("settings, "+lang, width)
		p.do(chromedp.KeyEvent(kb.Escape))
		p.wait(`!document.querySelector("#settings").open`)
	}
}
