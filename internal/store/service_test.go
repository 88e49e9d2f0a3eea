package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// lamp is an order whose owner knows the last digits of a phone.
func lamp(t *testing.T, s *Store) {
	t.Helper()
	err := s.PutOrders(t.Context(), []kb.ShopOrder{{
		ID: "2025-1114-001", User: "u1", Product: "Lamp", Amount: json.RawMessage("199.50"), Status: "shipped", Verifier: "5678", Fields: map[string]string{"carrier": "SF"},
	}}, epoch)
	if err != nil {
		t.Fatal(err)
	}
}

func prove(t *testing.T, s *Store, key, addr string, at time.Time, answers ...string) kb.Proof {
	t.Helper()
	o, p, err := s.ProveOrder(t.Context(), kb.OrderClaim{Key: key, Answers: answers, Addr: addr, Now: at})
	if err != nil {
		t.Fatal(err)
	}
	if (p == kb.Proven) != (o.ID != "") {
		t.Errorf("proof %d with order %+v: only who proved it may have it", p, o)
	}
	return p
}

func TestOrdersAreReplacedByTheirKey(t *testing.T) {
	t.Parallel()
	s := open(t)
	lamp(t, s)
	if err := s.PutOrders(t.Context(), []kb.ShopOrder{{ID: "#20251114001", User: "u1", Product: "Lamp", Status: "delivered"}}, epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Order(t.Context(), "20251114001")
	if err != nil || got.ID != "#20251114001" || got.Status != "delivered" || !got.HasVerifier || !got.CreatedAt.Equal(epoch) || got.Amount != nil {
		t.Errorf("Order = %+v, %v; want the new row with the old verifier", got, err)
	}
	if p := prove(t, s, "20251114001", "a", epoch, "5678"); p != kb.Proven {
		t.Errorf("the verifier was lost: %d", p)
	}
	if _, err := s.Order(t.Context(), "2"); kb.KindOf(err) != kb.NotFound {
		t.Errorf("unknown order: %v", err)
	}
	if mine, _ := s.OrdersOf(t.Context(), "u1", 5); len(mine) != 1 {
		t.Errorf("OrdersOf = %+v", mine)
	}
	for _, other := range []string{"u2", ""} {
		if theirs, _ := s.OrdersOf(t.Context(), other, 5); len(theirs) != 0 {
			t.Errorf("user %q sees %+v", other, theirs)
		}
	}
	var stored string
	if err := s.h.Read(t.Context(), func(c *tenant.Conn) error {
		return c.Query(func(r *tenant.Row) error { stored = string(r.Blob(0)); return nil }, `SELECT verifier FROM orders`)
	}); err != nil || stored == "5678" || len(stored) != hashBytes {
		t.Errorf("verifier is kept as %q, %v", stored, err)
	}
}

func TestWrongAnswersLockTheOrderAndItsOwnerWaits(t *testing.T) {
	t.Parallel()
	s := open(t)
	lamp(t, s)
	for _, key := range []string{"20251114001", "UNKNOWN404"} { // both the same
		for i := range 5 {
			if p := prove(t, s, key, fmt.Sprint("addr", i), epoch, "0000", "1111"); p != kb.Refused {
				t.Fatalf("%s, failure %d: %d, want refused", key, i, p)
			}
		}
		if p := prove(t, s, key, "new", epoch.Add(14*time.Minute), "5678"); p != kb.Locked {
			t.Errorf("%s after five failures: %d, want locked, also for the right answer", key, p)
		}
	}
	later := epoch.Add(16 * time.Minute)
	if p := prove(t, s, "20251114001", "x", later, "0000"); p != kb.Refused {
		t.Errorf("after the lock: %d", p)
	}
	if p := prove(t, s, "20251114001", "x", later.Add(29*time.Minute), "5678"); p != kb.Locked {
		t.Errorf("the second lock is not longer than the first: %d", p)
	}
	if p := prove(t, s, "20251114001", "x", later.Add(31*time.Minute), "0000", "5678"); p != kb.Proven {
		t.Errorf("the owner after the second lock: %d", p)
	}
	if p := prove(t, s, "20251114001", "x", later.Add(50*time.Hour), "0000"); p != kb.Refused {
		t.Errorf("days later: %d", p)
	}
	if p := prove(t, s, "20251114001", "x", later.Add(50*time.Hour), "5678"); p != kb.Proven {
		t.Errorf("one failure days later locks: %d", p)
	}
}

func TestOneAddressCannotTryOrderAfterOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	lamp(t, s)
	for i := range 20 {
		if p := prove(t, s, fmt.Sprint("NO", i), "one", epoch, "x"); p != kb.Refused {
			t.Fatalf("failure %d: %d", i, p)
		}
	}
	if p := prove(t, s, "20251114001", "one", epoch, "5678"); p != kb.Locked {
		t.Errorf("after 20 failures over many orders: %d, want locked", p)
	}
	if p := prove(t, s, "20251114001", "another", epoch, "5678"); p != kb.Proven {
		t.Errorf("another address: %d, want proven", p)
	}
}

func TestGuessesAtOnceGainNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	lamp(t, s)
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := map[kb.Proof]int{}
	for i := range 12 {
		wg.Go(func() {
			_, p, err := s.ProveOrder(t.Context(), kb.OrderClaim{Key: "20251114001", Answers: []string{"0000"}, Addr: fmt.Sprint(i), Now: epoch})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			seen[p]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[kb.Proof]int{kb.Refused: 5, kb.Locked: 7}, seen); diff != "" {
		t.Errorf("12 guesses at once (-want +got):\n%s", diff)
	}
}

func TestAnOrderWithoutAVerifierIsProvenByNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.PutOrders(t.Context(), []kb.ShopOrder{{ID: "A1", User: "u1"}}, epoch); err != nil {
		t.Fatal(err)
	}
	for _, answers := range [][]string{nil, {""}, {"u1"}} {
		if p := prove(t, s, "A1", "a", epoch, answers...); p != kb.Refused {
			t.Errorf("%q: %d", answers, p)
		}
	}
}

// note is what a customer would be told.
func note(kind kb.NoteKind, lang kb.Lang, agent string) string {
	return fmt.Sprintf("%s %s %s", kind, lang, agent)
}

// said saves turns of session s1 of a visitor.
func said(t *testing.T, s *Store, n int, before, after kb.SessionState, reason string) error {
	t.Helper()
	return s.SaveTurn(t.Context(), kb.Turn{
		ID: kb.TurnID(fmt.Sprint("turn_", n)), Session: "s1", Query: fmt.Sprint("q", n), Lang: kb.Zh, CreatedAt: epoch.Add(time.Duration(n) * time.Second),
	}, "", before, after, reason)
}

func TestAHandoffHasOneNotePerChange(t *testing.T) {
	t.Parallel()
	s, ctx := open(t), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(said(t, s, 1, kb.StateAI, kb.StateWaiting, "requested"))
	must(said(t, s, 2, kb.StateWaiting, kb.StateWaiting, ""))
	if _, err := s.ReplyHandoff(ctx, "turn_1", "too early", epoch); kb.KindOf(err) != kb.Conflict {
		t.Errorf("reply before accept = %v, want a conflict", err)
	}
	for range 2 {
		got, err := s.AcceptHandoff(ctx, "turn_1", "Ann", note, epoch)
		must(err)
		if got.State != "human" || got.Agent != "Ann" || got.Query != "q1" {
			t.Errorf("accepted %+v", got)
		}
	}
	if _, err := s.AcceptHandoff(ctx, "turn_1", "Bob", note, epoch); kb.KindOf(err) != kb.Conflict {
		t.Errorf("a second agent = %v, want a conflict", err)
	}
	err := said(t, s, 3, kb.StateWaiting, kb.StateWaiting, "")
	var e *kb.Error
	if !errors.As(err, &e) || e.Kind != kb.Conflict || e.Details["state"] != kb.StateHuman {
		t.Errorf("a turn that thinks it waits = %v, want a conflict with the state", err)
	}
	must(said(t, s, 4, kb.StateHuman, kb.StateHuman, ""))
	n, err := s.ReplyHandoff(ctx, "turn_1", "hello", epoch)
	must(err)
	for range 2 {
		_, err = s.CloseHandoff(ctx, "turn_1", note, epoch)
		must(err)
	}
	if _, err := s.ReplyHandoff(ctx, "turn_1", "late", epoch); kb.KindOf(err) != kb.Conflict {
		t.Errorf("reply after close = %v", err)
	}
	_, notes, err := s.Handoff(ctx, "turn_1")
	must(err)
	var got []string
	for _, n := range notes {
		got = append(got, string(n.Kind)+": "+n.Text)
	}
	want := []string{"requested: q1", "customer: q2", "accepted: accepted zh Ann", "customer: q4", "reply: hello", "closed: closed zh Ann"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	state, since, _, err := s.Follow(ctx, "s1", "", -1)
	if err != nil || state != kb.StateAI || len(since) != 5 {
		t.Errorf("Follow = %s, %d notes, %v; want all after the request", state, len(since), err)
	}
	if _, rest, _, _ := s.Follow(ctx, "s1", "", n.Seq); len(rest) != 1 || rest[0].Kind != kb.NoteClosed {
		t.Errorf("resumed after the reply: %+v", rest)
	}
	if _, _, _, err := s.Follow(ctx, "s1", "key_1", -1); kb.KindOf(err) != kb.NotFound {
		t.Errorf("another owner follows: %v", err)
	}
	must(said(t, s, 5, kb.StateAI, kb.StateAI, ""))
}

func TestHandoffsNobodyAcceptedEnd(t *testing.T) {
	t.Parallel()
	s, ctx := open(t), t.Context()
	if err := said(t, s, 1, kb.StateAI, kb.StateWaiting, "requested"); err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		cutoff time.Time
		state  string
	}{{epoch, "waiting"}, {epoch.Add(time.Minute), "closed"}, {epoch.Add(time.Hour), "closed"}} {
		if err := s.ExpireHandoffs(ctx, tt.cutoff, note, epoch); err != nil {
			t.Fatal(err)
		}
		if h, _, _ := s.Handoff(ctx, "turn_1"); h.State != tt.state {
			t.Errorf("%d: %+v, want %s", i, h, tt.state)
		}
	}
	if _, notes, _ := s.Handoff(ctx, "turn_1"); len(notes) != 2 || notes[1].Kind != kb.NoteTimeout {
		t.Errorf("notes = %+v, want the request and one timeout", notes)
	}
	if _, err := s.AcceptHandoff(ctx, "turn_1", "Ann", note, epoch); kb.KindOf(err) != kb.Conflict {
		t.Errorf("accept after the end = %v", err)
	}
	if err := said(t, s, 2, kb.StateAI, kb.StateWaiting, "requested"); err != nil {
		t.Fatal(err)
	}
	if err := said(t, s, 3, kb.StateWaiting, kb.StateAI, "cancelled"); err != nil {
		t.Fatal(err)
	}
	list, next, err := s.Handoffs(ctx, "", kb.Page{Limit: 1})
	if err != nil || len(list) != 1 || list[0].ID != "turn_2" || list[0].Reason != "cancelled" || next != "turn_2" {
		t.Errorf("Handoffs = %+v, %q, %v", list, next, err)
	}
	if list, _, _ := s.Handoffs(ctx, "waiting", kb.Page{}); len(list) != 0 {
		t.Errorf("waiting: %+v", list)
	}
}

func TestSessionsAreListedByTheirLastTurn(t *testing.T) {
	t.Parallel()
	s, ctx := open(t), t.Context()
	for i, id := range []kb.SessionID{"a", "b", "a", "c"} {
		owner := ""
		if id == "b" {
			owner = "key_1"
		}
		err := s.SaveTurn(ctx, kb.Turn{ID: kb.TurnID(fmt.Sprint("t", i)), Session: id, CreatedAt: epoch.Add(time.Duration(i) * time.Hour)}, owner, kb.StateAI, kb.StateAI, "")
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []kb.SessionID
	for p := (kb.Page{Limit: 2}); ; {
		list, next, err := s.Sessions(ctx, "", p)
		if err != nil {
			t.Fatal(err)
		}
		for _, ses := range list {
			got = append(got, ses.ID)
		}
		if p.Cursor = next; next == "" {
			break
		}
	}
	if diff := cmp.Diff([]kb.SessionID{"c", "a", "b"}, got); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if list, _, _ := s.Sessions(ctx, kb.StateHuman, kb.Page{}); len(list) != 0 {
		t.Errorf("human: %+v", list)
	}
	if of, err := s.SessionsOf(ctx, "b"); err != nil || len(of) != 1 || of[0].Owner != "key_1" {
		t.Errorf("SessionsOf = %+v, %v", of, err)
	}
}

func TestUsageIsCountedWithTheTurn(t *testing.T) {
	t.Parallel()
	s, ctx := open(t), t.Context()
	for i, m := range []kb.Metadata{
		{Model: "m", Usage: &kb.Usage{Prompt: 10, Completion: 2, CostMicro: 7}}, {Usage: &kb.Usage{Prompt: 1, Model: "m"}}, {Abstained: true},
	} {
		err := s.SaveTurn(ctx, kb.Turn{ID: kb.TurnID(fmt.Sprint(i)), Session: "s", CreatedAt: epoch, Metadata: m}, "", kb.StateAI, kb.StateAI, "")
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Usage(ctx, "2026-01-02", "2026-01-02")
	want := []kb.UsageDay{{Day: "2026-01-02", Turns: 1, Abstained: 1}, {Day: "2026-01-02", Model: "m", Turns: 2, Prompt: 11, Completion: 2, CostMicro: 7}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if none, _ := s.Usage(ctx, "2026-01-03", "2026-12-31"); len(none) != 0 {
		t.Errorf("another day: %+v", none)
	}
}

func TestFeedbackIsForTheOwnerOrOfPublicTurns(t *testing.T) {
	t.Parallel()
	s, ctx := open(t), t.Context()
	for owner, id := range map[string]kb.TurnID{"": "turn_public", "key_1": "turn_keyed"} {
		if err := s.SaveTurn(ctx, kb.Turn{ID: id, Session: "s", Query: "q", CreatedAt: epoch}, owner, kb.StateAI, kb.StateAI, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		turn  kb.TurnID
		owner string
		ok    bool
	}{
		{"turn_public", "", true},
		{"turn_public", "key_2", true},
		{"turn_keyed", "key_1", true},
		{"turn_keyed", "", false},
		{"turn_keyed", "key_2", false},
		{"turn_none", "key_1", false},
	} {
		err := s.PutFeedback(ctx, tt.turn, tt.owner, "down", "why", epoch)
		if tt.ok != (err == nil) || !tt.ok && kb.KindOf(err) != kb.NotFound {
			t.Errorf("%s of %s by %q: %v", tt.turn, "its owner", tt.owner, err)
		}
	}
	list, _, err := s.Feedback(ctx, "down", kb.Page{})
	if err != nil || len(list) != 2 || list[0].Turn != "turn_public" || list[0].Query != "q" {
		t.Errorf("Feedback = %+v, %v", list, err)
	}
	if list, _, _ := s.Feedback(ctx, "up", kb.Page{}); len(list) != 0 {
		t.Errorf("up: %+v", list)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s, ctx := open(t), t.Context()
	put := func(v string) error {
		return s.ChangeSetting(ctx, "chat_model", func(string) (string, error) { return v, nil })
	}
	for _, v := range []string{"a", "b", ""} {
		if err := put(v); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Setting(ctx, "chat_model"); got != v || err != nil {
			t.Errorf("Setting = %q, %v, want %q", got, err, v)
		}
	}
	refused := errors.New("no")
	if err := s.ChangeSetting(ctx, "x", func(string) (string, error) { return "y", refused }); !errors.Is(err, refused) {
		t.Errorf("ChangeSetting = %v", err)
	}
}

func TestSynonymsAreAChangeOfTheKnowledgeBase(t *testing.T) {
	t.Parallel()
	s, ctx := open(t), t.Context()
	version := func() int64 {
		t.Helper()
		v, err := s.IndexVersion(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := version()
	for _, groups := range []kb.Synonyms{{{"保修", "保固"}, {"a", "b", "c"}}, {{"a", "b"}}, nil} {
		if err := s.PutSynonyms(ctx, groups); err != nil {
			t.Fatal(err)
		}
		got, err := s.Synonyms(ctx)
		if diff := cmp.Diff(groups, got); diff != "" || err != nil {
			t.Errorf("Synonyms: %v\n%s", err, diff)
		}
		if x, err := s.Index(ctx); err != nil || !cmp.Equal(x.Synonyms, groups) || x.Version != before+1 {
			t.Errorf("Index = %+v, %v, want the synonyms and version %d", x, err, before+1)
		}
		before = version()
		if err := s.PutSynonyms(ctx, groups); err != nil || version() != before {
			t.Errorf("the same once more: %v, version %d, want it to stay %d", err, version(), before)
		}
	}
}
