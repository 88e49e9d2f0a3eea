package console_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/eino-qa/eino-qa/internal/console/consoletest"
)

var (
	screens = flag.String("screens", "", "write screenshots of the console to this folder, to be looked at")
	scale   = flag.Float64("scale", 1, "pixels per CSS pixel of the screenshots")
)

// TestScreens writes what people see: each state, light and dark, wide and
// narrow, zh and en. It judges nothing; go test -run Screens -screens DIR.
func TestScreens(t *testing.T) {
	if *screens == "" {
		t.Skip("no -screens folder given")
	}
	browser := consoletest.Browser(t)
	for _, shot := range []struct {
		name   string
		lang   string
		dark   bool
		width  int64
		height int64
		steps  []step
	}{
		{name: "empty-zh", lang: "zh-CN", width: 1280, height: 800},
		{name: "empty-en-dark", lang: "en-US", dark: true, width: 1280, height: 800},
		{name: "empty-phone-zh", lang: "zh-CN", width: 360, height: 740},
		{name: "empty-phone-320-en", lang: "en-US", width: 320, height: 568},
		{name: "answer-zh", lang: "zh-CN", width: 1280, height: 800, steps: asks("保修期是多长时间？")},
		{name: "talk-en", lang: "en-US", width: 1280, height: 1300, steps: asks("How long is the warranty?", "Can I return it?", "How many days of holiday do I get?")},
		{name: "talk-zh-dark", lang: "zh-CN", dark: true, width: 1280, height: 1300, steps: asks("保修期是多长时间？", "退货要在几天之内申请？", "年假有几天？")},
		{name: "reader-zh", lang: "zh-CN", width: 1280, height: 800, steps: append(asks("保修期是多长时间？"), opens(1)...)},
		{name: "reader-en-dark", lang: "en-US", dark: true, width: 1440, height: 900, steps: append(asks("Can I return it?"), opens(1)...)},
		{name: "reader-phone-zh", lang: "zh-CN", width: 360, height: 740, steps: append(asks("退货要在几天之内申请？"), opens(1)...)},
		{name: "answer-phone-zh", lang: "zh-CN", width: 360, height: 740, steps: asks("保修期是多长时间？")},
		{name: "answer-phone-en-dark", lang: "en-US", dark: true, width: 360, height: 740, steps: asks("How long is the warranty?")},
		{name: "handoff-zh", lang: "zh-CN", width: 1280, height: 800, steps: append(asks("年假有几天？"), asks("转人工")...)},
		{name: "handoff-phone-en", lang: "en-US", width: 360, height: 740, steps: append(asks("How many days of holiday do I get?"), asks("talk to a human")...)},
		{name: "errors-en", lang: "en-US", width: 1280, height: 1100, steps: asks("busy?", "secret?", "break?")},
		{name: "errors-zh-dark", lang: "zh-CN", dark: true, width: 1280, height: 1000, steps: asks("模型还在吗？", "太快了吗？")},
		{name: "errors-phone-zh", lang: "zh-CN", width: 360, height: 740, steps: asks("太快了吗？")},
		{name: "settings-zh", lang: "zh-CN", width: 1280, height: 800, steps: clicks("open-settings")},
		{name: "settings-phone-en-dark", lang: "en-US", dark: true, width: 360, height: 740, steps: clicks("open-settings")},
		{name: "streaming-en", lang: "en-US", width: 1280, height: 800, steps: begins("endless")},
	} {
		t.Run(shot.name, func(t *testing.T) {
			server := newFake(t)
			tab := consoletest.Tab(t, browser)
			steps := []step{
				chromedp.EmulateViewport(shot.width, shot.height, chromedp.EmulateScale(*scale)),
				speaks(shot.lang), prefers("prefers-color-scheme", map[bool]string{false: "light", true: "dark"}[shot.dark]),
				chromedp.Navigate(server.URL + "/"), chromedp.WaitVisible(chromedp.CSS("#question")),
			}
			steps = append(append(steps, shot.steps...), chromedp.Sleep(400*time.Millisecond))
			if err := chromedp.Do(tab, steps...); err != nil {
				t.Fatal(err)
			}
			png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(*screens, shot.name+".png"), png, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// opens follows marker n of the last answer.
func opens(n int) []step {
	return []step{
		chromedp.Click(chromedp.CSS(".turn:last-child .cite[data-n='" + string(rune('0'+n)) + "']")),
		chromedp.WaitVisible(chromedp.CSS("#reader mark")),
	}
}

func clicks(id string) []step {
	return []step{chromedp.Click(chromedp.CSS("#" + id))}
}
