package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/eino-qa/eino-qa/internal/console/consoletest"
)

// TestThePageInABrowser asks, follows a citation to its quote and switches the
// language, on the page of the real server.
func TestThePageInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	ctx := consoletest.Tab(t, consoletest.Browser(t))
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%v; the server said:\n%s", err, s.out.String())
		}
	}
	until := func(expression string) chromedp.Action[chromedp.Void] {
		return chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(15*time.Second))
	}
	text := func(selector string) string {
		t.Helper()
		v, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("`+selector+`").textContent`))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	do(chromedp.Navigate(s.url+"/"), until(`document.querySelector("#samples li")`))
	do(chromedp.Focus(chromedp.CSS("#question")), chromedp.KeyEvent("E05 是什么故障？"), chromedp.KeyEvent(kb.Enter))
	do(until(`document.querySelector(".turn .cite") && !document.querySelector('.turn[data-status="asking"]')`))
	if got := text(".turn"); !strings.Contains(got, "灯板故障") {
		t.Errorf("the answer on the page is %q", got)
	}
	do(chromedp.Focus(chromedp.CSS(".turn .cite")), chromedp.KeyEvent(kb.Enter), until(`document.querySelector("#reader mark")`))
	if got := text("#reader mark"); !strings.Contains(got, "E05") {
		t.Errorf("the panel marks %q, want the quote", got)
	}
	do(chromedp.KeyEvent(kb.Escape))
	before := text("#new-chat")
	do(chromedp.Focus(chromedp.CSS("#language")), chromedp.KeyEvent(kb.Enter), until(`document.querySelector("#new-chat").textContent !== `+quote(before)))
}

func quote(s string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `"`, `\"`), "\n", `\n`) + `"`
}
