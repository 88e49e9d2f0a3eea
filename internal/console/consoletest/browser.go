// Package consoletest starts a headless Chromium for tests of the web console.
// It is imported by tests only. The browser can reach loopback addresses and
// nothing else; a page that tries, throws or breaks its Content-Security-Policy
// fails the test that opened it.
package consoletest

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// NoBrowser is the environment variable that, set to 1, skips browser tests.
// Without it a machine that has no browser fails them: a skip that nobody asked
// for would hide that the console is not tested.
const NoBrowser = "EINO_QA_NO_BROWSER"

// startLimit bounds the start of the browser; under load it takes seconds.
const startLimit = 60 * time.Second

// Browser starts a browser with a fresh profile and returns the context of its
// first tab, for chromedp.Run and Do. The browser ends with the test. For a
// further tab with storage of its own use Tab.
func Browser(t testing.TB) context.Context {
	t.Helper()
	if os.Getenv(NoBrowser) == "1" { //nolint:forbidigo // test support: never part of a server
		t.Skipf("%s=1: browser tests are skipped", NoBrowser)
	}
	path, err := find()
	if err != nil {
		t.Fatal(err)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options(path)...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		cancel()
		stop()
	})
	start(t, ctx, path)
	watch(t, ctx)
	return ctx
}

// Tab opens another tab of the browser that ctx belongs to, with its own
// cookies and storage. It closes with the test.
func Tab(t testing.TB, ctx context.Context) context.Context {
	t.Helper()
	tab, cancel := chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	watch(t, tab)
	return tab
}

// find returns the first browser on PATH.
func find() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no browser: none of %s is on PATH; install the package chromium, or set %s=1 to skip the browser tests",
		strings.Join(names, ", "), NoBrowser)
}

func options(path string) []chromedp.ExecAllocatorOption {
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path),
		// Names resolve to nothing: the page under test must not need any.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("password-store", "basic"),
	}
	for _, flag := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "no-default-browser-check",
		"disable-background-networking", "disable-component-update", "disable-sync", "disable-default-apps",
		"disable-extensions", "disable-breakpad", "disable-dev-shm-usage", "no-proxy-server",
		"disable-background-timer-throttling", "disable-renderer-backgrounding", "disable-backgrounding-occluded-windows",
	} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	return opts
}

// start runs the browser. The first Run binds the browser's life to its
// context, so the limit is kept here and not by a derived context.
func start(t testing.TB, ctx context.Context, path string) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- chromedp.Do(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("start %s: %v", path, err)
		}
	case <-time.After(startLimit):
		t.Fatalf("start %s: not ready after %s", path, startLimit)
	}
}

// watch fails the test for what a person at the browser would not see: an
// uncaught exception, a breach of the content policy, a request to elsewhere.
func watch(t testing.TB, ctx context.Context) {
	t.Helper()
	err := chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, tab, log.Enable, cdp.Empty{})
		return err
	}))
	if err != nil {
		t.Fatalf("watch tab: %v", err)
	}
	err = chromedp.Listen(ctx, func(ev any) {
		if fault := faultOf(ev); fault != "" {
			t.Error(fault)
		}
	})
	if err != nil {
		t.Fatalf("watch tab: %v", err)
	}
}

// faultOf says what is wrong with an event of the page, or "".
func faultOf(ev any) string {
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		return "uncaught exception: " + describe(ev.ExceptionDetails)
	case *log.EventEntryAdded:
		if ev.Entry.Source == "security" || ev.Entry.Source == "violation" {
			return "policy: " + ev.Entry.Text
		}
	case *network.EventRequestWillBeSent:
		if !local(ev.Request.URL) {
			return "request to elsewhere: " + ev.Request.URL
		}
	}
	return ""
}

func describe(d *runtime.ExceptionDetails) string {
	if d.Exception != nil && d.Exception.Description != "" {
		return d.Exception.Description
	}
	return d.Text
}

func local(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "about", "data", "blob":
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
