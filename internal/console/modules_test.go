package console_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// modules runs the checks of testdata/modules.js in the page.
func modules(p *page) {
	results := value[[][2]string](p, `import("/testdata/modules.js").then((m) => m.run())`)
	if len(results) < 30 {
		p.Fatalf("%d checks ran", len(results))
	}
	for _, r := range results {
		p.Run(r[0], func(t *testing.T) {
			if r[1] != "" {
				t.Error(r[1])
			}
		})
	}
}

// contrasts measures the text of each state in both colour schemes.
func contrasts(p *page) {
	const faint = `import("/testdata/contrast.js").then((m) => m.faint())`
	check := func(state string) {
		p.Helper()
		for _, scheme := range []string{"light", "dark"} {
			p.do(prefers("prefers-color-scheme", scheme, "prefers-reduced-motion", "reduce"))
			for _, text := range value[[]string](p, faint) {
				p.Errorf("%s, %s: contrast %s", state, scheme, text)
			}
		}
	}
	check("empty")
	p.asks("保修期是多长时间？", "退货要在几天之内申请？", "年假有几天？", "太快了吗？", "secret？", "转人工")
	check("answers")
	p.press(".turn:first-child .cite")
	p.wait(`document.querySelector("#reader mark")`)
	check("reader")
	p.do(chromedp.KeyEvent(kb.Escape))
	p.press("#open-settings")
	p.do(chromedp.Focus(chromedp.CSS("#tenant-id")), chromedp.KeyEvent("WRONG"), enter())
	check("settings")
}

func announces(p *page) {
	p.do(prefers("prefers-reduced-motion", "reduce"))
	p.do(begins("How long is the warranty?")...)
	p.wait(`document.querySelector(".turn")`)
	moving := value[[]string](p, `document.getAnimations().map((a) => a.animationName)`)
	if len(moving) > 0 {
		p.Errorf("moving in spite of prefers-reduced-motion: %v", moving)
	}
	p.do(ended())
	said := value[[]string](p, `[...document.querySelectorAll("#announcer p")].map((n) => n.textContent)`)
	if len(said) < 3 || len(said) > 8 {
		p.Errorf("announced %d times: %q; want the start, sentences and the end", len(said), said)
	}
	all := strings.Join(said, "|")
	p.expect(all, "Question sent", "12 months", "Answer complete, 3 sources")
	if strings.ContainsAny(all, "[]*`") {
		p.Errorf("announced %q, want no markers and no markup", all)
	}
	p.do(begins("endless")...)
	p.wait(`document.querySelector(".turn:last-child .text")?.innerText.includes("Sentence 15")`)
	if n := value[int](p, `document.querySelectorAll("#announcer p").length`) - len(said); n > 3 {
		p.Errorf("announced %d times while 15 sentences came in 0.6 s, want a pace that can be followed", n)
	}
	if live := value[[]string](p, `[...document.querySelectorAll("main [aria-live], main [role=log]")].map((n) => n.className)`); slices.ContainsFunc(live, func(s string) bool { return s != "" }) {
		p.Errorf("live regions in the conversation: %v", live)
	}
}
