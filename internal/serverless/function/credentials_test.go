package function

import (
	"net/http"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestNewestWholeTripleWins(t *testing.T) {
	t.Parallel()
	var c Credentials
	if _, err := c.Get(t.Context()); kb.KindOf(err) != kb.Unavailable {
		t.Errorf("Get of none = %v, want Unavailable", err)
	}
	c.Offer(Triple{"a", "b", "c"})
	c.Offer(Triple{"d", "e", "f"})
	c.Offer(Triple{"g", "", "h"}) // half a triple would break every signature
	if got, err := c.Get(t.Context()); err != nil || got != (Triple{"d", "e", "f"}) {
		t.Errorf("Get = %v, %v, want the second", got, err)
	}
	var none *Credentials
	none.Offer(Triple{"a", "b", "c"}) // no provider: dropped, no panic
}

func TestForgedHeadersAreRemoved(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"X-Fc-Access-Key-Secret": {"s"}, "x-fc-security-token": {"t"}, "X-FC-CONTROL-PATH": {"/invoke"},
		"X-Golambdaproxy-Apigw-Context": {"{}"}, "X-Amzn-Request-Context": {"{}"}, "X-Amzn-Lambda-Context": {"{}"},
		"Lambda-Runtime-Aws-Request-Id": {"1"},
		"X-Amzn-Trace-Id":               {"keep"}, "X-Forwarded-For": {"keep"}, "X-Fcabc": {"keep"},
	}
	Clean(h)
	for k := range h {
		if h[k][0] != "keep" {
			t.Errorf("%s is still there", k)
		}
	}
	if len(h) != 3 {
		t.Errorf("%d headers left, want 3: %v", len(h), h)
	}
}
