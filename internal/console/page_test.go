package console_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/eino-qa/eino-qa/internal/console/consoletest"
)

// step is something done in the browser.
type step = chromedp.Action[chromedp.Void]

// page is the console open in a tab of its own.
type page struct {
	*testing.T
	ctx  context.Context
	fake *fake
}

// patience bounds each test in the browser, so that a wait for what never
// comes fails by name and not by the test binary's limit.
const patience = 30 * time.Second

// visit opens the console in a new tab in the given language.
func visit(t *testing.T, browser context.Context, lang string) *page {
	t.Helper()
	f := newFake(t)
	tab := consoletest.Tab(t, browser)
	ctx, cancel := context.WithTimeout(tab, patience)
	t.Cleanup(cancel)
	p := &page{T: t, ctx: ctx, fake: f}
	p.do(chromedp.EmulateViewport(1280, 800), speaks(lang))
	p.open()
	return p
}

// open loads the page, again if it was there.
func (p *page) open() {
	p.Helper()
	p.do(chromedp.Navigate(p.fake.URL+"/"), chromedp.Poll[chromedp.Void](`document.querySelector("#samples li")`))
}

func (p *page) do(steps ...step) {
	p.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.Fatal(err)
	}
}

// wait waits until the expression is true.
func (p *page) wait(expression string) {
	p.Helper()
	limit := chromedp.WithPollingTimeout(10 * time.Second)
	if _, err := chromedp.Run(p.ctx, chromedp.Poll[chromedp.Void](expression, limit)); err != nil {
		p.Fatalf("wait for %s: %v; the page says:\n%s", expression, err, p.text("main"))
	}
}

// value evaluates an expression; a promise is awaited.
func value[T any](p *page, expression string) T {
	p.Helper()
	await := func(e *runtime.EvaluateParams) { yes := true; e.AwaitPromise = &yes }
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, await))
	if err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
	return v
}

// text returns the visible text of the last element that matches.
func (p *page) text(selector string) string {
	p.Helper()
	return value[string](p, fmt.Sprintf(`[...document.querySelectorAll(%q)].at(-1)?.innerText ?? ""`, selector))
}

// count returns how many visible elements match.
func (p *page) count(selector string) int {
	p.Helper()
	return value[int](p, fmt.Sprintf(`[...document.querySelectorAll(%q)].filter((n) => n.checkVisibility()).length`, selector))
}

// asks asks by keyboard and waits for the ends of the answers.
func (p *page) asks(queries ...string) {
	p.Helper()
	p.do(asks(queries...)...)
}

// press clicks the last element that matches, as a person would: when it has
// come to rest.
func (p *page) press(selector string) {
	p.Helper()
	p.wait(fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, selector))
	at := value[[]float64](p, fmt.Sprintf(`(async () => {
		const frames = async (n) => { while (n-- > 0) await new Promise(requestAnimationFrame); };
		const place = () => {
			const box = [...document.querySelectorAll(%q)].at(-1).getBoundingClientRect();
			return [box.x + box.width / 2, box.y + box.height / 2];
		};
		[...document.querySelectorAll(%[1]q)].at(-1).scrollIntoView({block: "nearest"});
		for (let last = []; String(last) !== String(place());) {
			last = place();
			await frames(3);
		}
		return place();
	})()`, selector))
	p.do(chromedp.MouseClickXY(at[0], at[1]))
}

// clear empties a field by keyboard.
func (p *page) clear(selector string) {
	p.Helper()
	p.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.Evaluate[chromedp.Void](`void document.activeElement.select()`), chromedp.KeyEvent(kb.Backspace))
}

// expect fails unless got contains each of the strings.
func (p *page) expect(got string, want ...string) {
	p.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			p.Errorf("%q does not contain %q", got, w)
		}
	}
}

// speaks sets the browser's language.
func speaks(tag string) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
			UserAgent: "console test", AcceptLanguage: tag,
		})
		return err
	})
}

// prefers sets media features of the browser, given as name, value, …
func prefers(features ...string) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		var p emulation.SetEmulatedMediaParams
		for i := 0; i+1 < len(features); i += 2 {
			p.Features = append(p.Features, &emulation.MediaFeature{Name: features[i], Value: features[i+1]})
		}
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, p)
		return err
	})
}

// enter presses Enter as a keyboard does: a raw key, then its character, which
// the browser drops when the page took the key.
func enter(opts ...chromedp.KeyOption) step {
	return chromedp.KeyEvent(kb.Enter, append(opts, func(p *input.DispatchKeyEventParams) {
		if p.Type == kb.KeyDown {
			p.Type = kb.KeyRawDown
		}
	})...)
}

// begins puts a question into the box, as an input method does, and sends it
// by keyboard.
func begins(query string) []step {
	return []step{chromedp.Focus(chromedp.CSS("#question")), types(query), enter()}
}

// types inserts text where the focus is.
func types(text string) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

// asks asks each question by keyboard and waits until its answer has ended.
func asks(queries ...string) []step {
	var steps []step
	for _, query := range queries {
		steps = append(append(steps, begins(query)...), ended())
	}
	return steps
}

// ended waits until no answer is under way.
func ended() step {
	return chromedp.Poll[chromedp.Void](`document.querySelector(".turn") && !document.querySelector('.turn[data-status="asking"]')`,
		chromedp.WithPollingTimeout(15*time.Second))
}
