package console_test

import (
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
