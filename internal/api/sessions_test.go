package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// quiet is a session in which one reply was given, and then nothing happens.
type quiet struct {
	looks   int
	broken  error
	refresh error
}

// Of these a stream needs two methods and one. (The names differ from the
// methods', which an embedded field would hide.)
type (
	otherSessions = Sessions
	otherHandoffs = Handoffs

	sessionsOf struct {
		otherSessions
		q *quiet
	}
	handoffsOf struct{ otherHandoffs }
)

func (s sessionsOf) Refresh(context.Context) error { s.q.looks++; return s.q.refresh }

func (s sessionsOf) Follow(_ context.Context, _ kb.SessionID, _ string, after int64) (kb.SessionState, []kb.Note, int64, error) {
	if after < 7 {
		return kb.StateHuman, []kb.Note{{Seq: 7, Kind: kb.NoteReply, Text: "hello"}}, max(after, 0), nil
	}
	return kb.StateHuman, nil, after, s.q.broken
}

func (handoffsOf) ExpireHandoffs(context.Context, time.Time, kb.NoteText, time.Time) error {
	return nil
}

func (q *quiet) Tenant(context.Context, kb.TenantID, bool) (Tenant, error) {
	return Tenant{ID: kb.DefaultTenant, Sessions: sessionsOf{q: q}, Handoffs: handoffsOf{}}, nil
}

func (q *quiet) Ready(context.Context) bool { return true }

func (q *quiet) Health(context.Context) (map[string]Health, bool) { return nil, true }

// watch follows session s for a minute of a clock that does not wait.
func watch(t *testing.T, q *quiet) string {
	t.Helper()
	links, err := auth.NewLinks(make([]byte, 32), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{PublicTenants: []kb.TenantID{kb.DefaultTenant}, StreamTime: time.Minute}, auth.NewKeys(nil, nil), links, q, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/sessions/s/events", nil))
	return w.Body.String()
}

func TestAQuietStreamBeatsAndLooksRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{}
		began := time.Now()
		out := watch(t, q)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("the stream took %s, want its longest time", took)
		}
		if n := strings.Count(out, "hello"); n != 1 {
			t.Errorf("the reply was sent %d times:\n%s", n, out)
		}
		if n := strings.Count(out, ": still here"); n < 3 || n > 4 {
			t.Errorf("%d heartbeats in a minute, want one each 15 s", n)
		}
		if q.looks < 25 || q.looks > 40 {
			t.Errorf("the store was asked %d times in a minute, want about every %s", q.looks, humanPause)
		}
		if !strings.Contains(out, "id: 7\ndata: {\"type\":\"state\"") {
			t.Errorf("no state after what was missed:\n%s", out)
		}
	})
}

func TestAStreamWhoseStoreFailsSaysSo(t *testing.T) {
	t.Parallel()
	for name, q := range map[string]*quiet{"refresh": {refresh: fmt.Errorf("bucket: secret detail")}, "look": {broken: kb.E(kb.Unavailable, nil, "the store is away")}} {
		synctest.Test(t, func(t *testing.T) {
			out := watch(t, q)
			if !strings.Contains(out, `"code":"stream_lost"`) || strings.Contains(out, "secret") {
				t.Errorf("%s: %s", name, out)
			}
		})
	}
}

func TestATurnOfAnOrderNeedsItsSessionToo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		route kb.Route
		with  kb.SessionID
		want  bool
	}{
		{kb.Order, "", false},
		{kb.Order, "other", false},
		{kb.Order, "s", true},
		{kb.Knowledge, "", true},
		{kb.Knowledge, "other", false},
	} {
		if got := provesTurn(kb.Question{Session: tt.with}, kb.Turn{Session: "s", Route: tt.route}); got != tt.want {
			t.Errorf("a turn of route %s, asked for with session %q: %v", tt.route, tt.with, got)
		}
	}
}
