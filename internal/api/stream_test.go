package api

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestAnAnswerThatTakesTimeBeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		out := newSSE(w)
		stop := out.beat()
		beats := func() int {
			out.mu.Lock() // sleeping orders nothing for the race detector
			defer out.mu.Unlock()
			return strings.Count(w.Body.String(), ": still here\n\n")
		}
		time.Sleep(heartbeatEvery - time.Second)
		if err := out.send(kb.Event{Type: kb.EventChunk, Content: "<a & b>"}); err != nil || beats() != 0 {
			t.Fatalf("%d beats before their time, %v", beats(), err)
		}
		time.Sleep(2*heartbeatEvery + 2*time.Second)
		synctest.Wait()
		if beats() != 3 {
			t.Errorf("%d beats, want one each %v", beats(), heartbeatEvery)
		}
		stop()
		time.Sleep(4 * heartbeatEvery)
		synctest.Wait()
		if beats() != 3 {
			t.Errorf("%d beats after the end", beats()-3)
		}
		if body := w.Body.String(); !strings.HasPrefix(body, "id: .1\ndata: {\"type\":\"chunk\",\"content\":\"<a & b>\"}\n\n:") {
			t.Errorf("sent %q", body)
		}
	})
}
