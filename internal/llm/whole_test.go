package llm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// talkative speaks for ever, a word each gap, after a first silence; gone is
// closed when nobody listens any more.
func talkative(t *testing.T, first, gap, most time.Duration) (c *Client, gone <-chan struct{}) {
	t.Helper()
	left := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		w.Header().Set("Content-Type", "text/event-stream")
		for wait := first; ; wait = gap {
			select {
			case <-time.After(wait):
			case <-r.Context().Done():
				return
			}
			if _, err := fmt.Fprint(w, "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(web.Close)
	c, err := New(Config{BaseURL: web.URL + "/compatible-mode/v1", APIKey: secret, Timeout: 10 * time.Second, MaxStream: most})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, left
}

func TestAStreamIsBoundedFromItsFirstEvent(t *testing.T) {
	t.Parallel()
	c, gone := talkative(t, 600*time.Millisecond, 20*time.Millisecond, 500*time.Millisecond)
	n := 0
	var err error
	for _, err = range c.Stream(context.Background(), ask("?"), Options{}) {
		n++
	}
	if !errors.Is(err, ErrTimeout) || n < 3 {
		t.Fatalf("%d pieces, then %v; want several, then %v", n, err, ErrTimeout)
	}
	<-gone
}

func TestAStreamWhoseReaderIsBusyEnds(t *testing.T) {
	t.Parallel()
	c, gone := talkative(t, 0, 20*time.Millisecond, 300*time.Millisecond)
	for _, err := range c.Stream(context.Background(), ask("?"), Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Error("the model still speaks, to nobody")
		}
		break
	}
}
