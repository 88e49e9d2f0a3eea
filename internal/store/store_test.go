package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// open returns the store of a new tenant. Every commit runs twice there.
func open(t *testing.T) *Store {
	t.Helper()
	return New(handleOf(t, "t1"))
}

func handleOf(t *testing.T, id kb.TenantID) *tenant.Handle {
	t.Helper()
	reg := tenant.NewRegistry(tenant.Config{Bucket: new(mem.Bucket), Schema: Schema, RunTwice: true})
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	h, err := reg.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// submit hands in a document named name whose bytes hash to sha.
func submit(t *testing.T, s *Store, name, sha string, replaces kb.DocumentID) kb.Submitted {
	t.Helper()
	got, err := s.Submit(t.Context(), kb.Submission{
		Name: name, MIME: "text/plain", SHA256: sha, Bytes: 3, Metadata: map[string]string{"k": "v"}, Replaces: replaces,
		Document: kb.DocumentID(kb.NewID("doc", epoch)), Job: kb.JobID(kb.NewID("job", epoch)), Now: epoch,
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// stage writes the chunks of a job invisibly and returns what Publish takes.
func stage(t *testing.T, s *Store, sub kb.Submitted, texts ...string) (int64, kb.Published) {
	t.Helper()
	ctx := t.Context()
	if _, err := s.Begin(ctx, []kb.JobID{sub.Job}, time.Now()); err != nil {
		t.Fatal(err)
	}
	firsts, err := s.Reserve(ctx, []kb.JobID{sub.Job}, []int{len(texts)})
	if err != nil || firsts[0] == 0 {
		t.Fatalf("Reserve = %v, %v", firsts, err)
	}
	var rows []kb.ChunkRow
	at := 0
	for i, text := range texts {
		at++ // one byte of lead
		rows = append(rows, kb.ChunkRow{Lead: "#", Chunk: kb.Chunk{
			ID: firsts[0] + kb.ChunkID(i), Document: sub.Document, Version: sub.Version, Ordinal: i, Text: text, Start: at,
		}})
		at += len(text)
	}
	if err := s.PutChunks(ctx, rows, 0.5); err != nil {
		t.Fatal(err)
	}
	seg, err := s.PutSegment(ctx, kb.Segment{Docs: len(texts), First: firsts[0], Last: firsts[0] + kb.ChunkID(len(texts)) - 1},
		[]byte("segment of "+sub.Job), epoch)
	if err != nil {
		t.Fatal(err)
	}
	return seg, kb.Published{Job: sub.Job, First: firsts[0], Title: "Title " + string(sub.Document), Tail: "."}
}

func publish(t *testing.T, s *Store, seg int64, ps ...kb.Published) []kb.JobID {
	t.Helper()
	ready, err := s.Publish(t.Context(), seg, ps, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return ready
}

// texts returns the live texts among ids.
func texts(t *testing.T, s *Store, ids ...kb.ChunkID) string {
	t.Helper()
	cs, err := s.LiveChunks(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range cs {
		out = append(out, c.Text)
	}
	return strings.Join(out, "|")
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	s := open(t)
	first := submit(t, s, "a.md", "11", "")
	if first.Version != 1 || first.Duplicate {
		t.Errorf("first = %+v, want version 1 and no duplicate", first)
	}
	if again := submit(t, s, "b.md", "11", ""); !again.Duplicate || again.Document != first.Document {
		t.Errorf("the same bytes = %+v, want a duplicate of %s", again, first.Document)
	}
	if second := submit(t, s, "a.md", "22", first.Document); second.Document != first.Document || second.Version != 2 {
		t.Errorf("changed bytes = %+v, want version 2 of %s", second, first.Document)
	}
	if other := submit(t, s, "a.md", "33", ""); other.Document == first.Document {
		t.Errorf("a namesake that replaces nothing became a version of %s", other.Document)
	}
	if back := submit(t, s, "a.md", "11", first.Document); back.Duplicate || back.Version != 3 {
		t.Errorf("bytes of an old version = %+v, want version 3", back)
	}
}

func TestNothingIsFoundBeforePublishAndAllAfter(t *testing.T) {
	t.Parallel()
	s := open(t)
	sub := submit(t, s, "a.md", "11", "")
	seg, p := stage(t, s, sub, "one", "two")
	if got := texts(t, s, p.First, p.First+1); got != "" {
		t.Errorf("before publish %q is live", got)
	}
	if x, _ := s.Index(t.Context()); len(x.Segments) != 0 {
		t.Errorf("before publish the index has %v", x.Segments)
	}
	publish(t, s, seg, p)
	if got := texts(t, s, p.First, p.First+1); got != "one|two" {
		t.Errorf("after publish %q is live, want one|two", got)
	}
	text, err := s.Text(t.Context(), sub.Document, 1)
	if err != nil || text.Body != "#one#two." {
		t.Errorf("Text = %q, %v, want #one#two.", text.Body, err)
	}
	d, err := s.Document(t.Context(), sub.Document)
	if err != nil || d.Status != kb.Ready || d.Progress != 1 || d.Chunks != 2 || d.Metadata["k"] != "v" {
		t.Errorf("Document = %+v, %v", d, err)
	}
	cs, next, err := s.ChunksOf(t.Context(), sub.Document, kb.Page{Limit: 1})
	if err != nil || len(cs) != 1 || next != "0" || cs[0].Text != "one" {
		t.Errorf("ChunksOf = %v, %q, %v", cs, next, err)
	}
}

func TestANewVersionReplacesTheOldOneAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	v1 := submit(t, s, "a.md", "11", "")
	seg1, p1 := stage(t, s, v1, "old")
	publish(t, s, seg1, p1)
	v2 := submit(t, s, "a.md", "22", v1.Document)
	seg2, p2 := stage(t, s, v2, "new")
	if got := texts(t, s, p1.First, p2.First); got != "old" {
		t.Errorf("while version 2 is made %q is live, want old", got)
	}
	publish(t, s, seg2, p2)
	if got := texts(t, s, p1.First, p2.First); got != "new" {
		t.Errorf("after publish %q is live, want new", got)
	}
	x, err := s.Index(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]kb.Span{{First: p1.First, Last: p1.First}}, x.Dead); diff != "" {
		t.Errorf("dead chunks (-want +got):\n%s", diff)
	}
	if text, err := s.Text(t.Context(), v1.Document, 1); err != nil || text.Body != "#old." {
		t.Errorf("text of the old version = %q, %v: links to it must go on", text.Body, err)
	}
}

func TestAnOlderVersionThatComesLateStaysDead(t *testing.T) {
	t.Parallel()
	s := open(t)
	v1 := submit(t, s, "a.md", "11", "")
	v2 := submit(t, s, "a.md", "22", v1.Document)
	seg1, p1 := stage(t, s, v1, "old")
	seg2, p2 := stage(t, s, v2, "new")
	publish(t, s, seg2, p2)
	publish(t, s, seg1, p1)
	if got := texts(t, s, p1.First, p2.First); got != "new" {
		t.Errorf("%q is live, want new", got)
	}
}

func TestDeleteTakesADocumentOutOfEverything(t *testing.T) {
	t.Parallel()
	s := open(t)
	sub := submit(t, s, "a.md", "11", "")
	seg, p := stage(t, s, sub, "one")
	publish(t, s, seg, p)
	before, _ := s.IndexVersion(t.Context())
	if err := s.DeleteDocument(t.Context(), sub.Document); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s, p.First); got != "" {
		t.Errorf("%q is live after delete", got)
	}
	if after, _ := s.IndexVersion(t.Context()); after <= before {
		t.Errorf("index version %d after %d: caches would go on", after, before)
	}
	for what, err := range map[string]error{
		"Text":     errOf(s.Text(t.Context(), sub.Document, 1)),
		"Document": errOf(s.Document(t.Context(), sub.Document)),
		"delete":   s.DeleteDocument(t.Context(), sub.Document),
	} {
		if kb.KindOf(err) != kb.NotFound {
			t.Errorf("%s after delete = %v, want not found", what, err)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestADocumentDeletedWhileItIsIngestedStaysDeleted(t *testing.T) {
	t.Parallel()
	s := open(t)
	gone, stays := submit(t, s, "a.md", "11", ""), submit(t, s, "b.md", "22", "")
	ctx := t.Context()
	firsts, err := s.Reserve(ctx, []kb.JobID{gone.Job, stays.Job}, []int{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(ctx, []kb.JobID{gone.Job, stays.Job}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteDocument(ctx, gone.Document); err != nil {
		t.Fatal(err)
	}
	row := func(sub kb.Submitted, id kb.ChunkID, text string) kb.ChunkRow {
		return kb.ChunkRow{Chunk: kb.Chunk{ID: id, Document: sub.Document, Version: 1, Text: text}}
	}
	if err := s.PutChunks(ctx, []kb.ChunkRow{row(gone, firsts[0], "gone"), row(stays, firsts[1], "stays")}, 1); err != nil {
		t.Fatal(err)
	}
	seg, err := s.PutSegment(ctx, kb.Segment{Docs: 2, First: firsts[0], Last: firsts[1]}, []byte("x"), epoch)
	if err != nil {
		t.Fatal(err)
	}
	ready := publish(t, s, seg, kb.Published{Job: gone.Job, First: firsts[0]}, kb.Published{Job: stays.Job, First: firsts[1]})
	if len(ready) != 1 || ready[0] != stays.Job {
		t.Errorf("ready = %v, want the job of b.md only", ready)
	}
	if got := texts(t, s, firsts[0], firsts[1]); got != "stays" {
		t.Errorf("%q is live, want stays", got)
	}
	x, _ := s.Index(ctx)
	if diff := cmp.Diff([]kb.Span{{First: firsts[0], Last: firsts[0]}}, x.Dead); diff != "" {
		t.Errorf("dead chunks (-want +got):\n%s", diff)
	}
}

func TestAJobThatRunsTwiceAtOnceIsPublishedOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	sub := submit(t, s, "a.md", "11", "")
	slow, slowP := stage(t, s, sub, "one")
	fast, fastP := stage(t, s, sub, "one")
	if slowP.First == fastP.First {
		t.Fatal("two tries share chunk ids")
	}
	if ready := publish(t, s, slow, slowP); len(ready) != 0 {
		t.Errorf("the try whose chunks were replaced published %v", ready)
	}
	publish(t, s, fast, fastP)
	if got := texts(t, s, slowP.First, fastP.First); got != "one" {
		t.Errorf("%q is live, want one, once", got)
	}
}

func TestFailedJobsLeaveNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	sub := submit(t, s, "a.md", "11", "")
	_, p := stage(t, s, sub, "one")
	if err := s.Fail(t.Context(), sub.Job, "it is broken", epoch); err != nil {
		t.Fatal(err)
	}
	j, err := s.Job(t.Context(), sub.Job)
	if err != nil || j.Status != kb.Failed || j.Error != "it is broken" {
		t.Errorf("Job = %+v, %v", j, err)
	}
	if got := texts(t, s, p.First); got != "" {
		t.Errorf("%q is live", got)
	}
	if again := submit(t, s, "a.md", "11", sub.Document); again.Duplicate {
		t.Error("bytes that failed count as being there; they could never be tried again")
	}
	if err := s.SweepSegments(t.Context(), epoch.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadSegment(t.Context(), 1, 0, 1); kb.KindOf(err) != kb.NotFound {
		t.Errorf("the failed job's segment was not swept: %v", err)
	}
}

func TestSegmentsAreReadByRange(t *testing.T) {
	t.Parallel()
	s := open(t)
	data := make([]byte, 3*partBytes*16+77) // more than one commit
	for i := range data {
		data[i] = byte(i * 7)
	}
	id, err := s.PutSegment(t.Context(), kb.Segment{Docs: 1, First: 1, Last: 1}, data, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range [][2]int64{{0, 1}, {0, int64(len(data))}, {partBytes - 1, 2}, {int64(len(data)) - 5, 5}, {100, 0}} {
		got, err := s.ReadSegment(t.Context(), id, r[0], r[1])
		if err != nil || string(got) != string(data[r[0]:r[0]+r[1]]) {
			t.Errorf("ReadSegment(%d, %d): %d bytes, %v", r[0], r[1], len(got), err)
		}
	}
	if _, err := s.ReadSegment(t.Context(), id, int64(len(data)), 1); kb.KindOf(err) != kb.NotFound {
		t.Errorf("past the end: %v, want not found", err)
	}
}

func TestReplaceMerges(t *testing.T) {
	t.Parallel()
	s := open(t)
	var segs []int64
	for i, name := range []string{"a", "b"} {
		sub := submit(t, s, name, fmt.Sprint(i), "")
		seg, p := stage(t, s, sub, name)
		publish(t, s, seg, p)
		segs = append(segs, seg)
		if name == "a" {
			if err := s.DeleteDocument(t.Context(), sub.Document); err != nil {
				t.Fatal(err)
			}
		}
	}
	merged, err := s.PutSegment(t.Context(), kb.Segment{Level: 1, Docs: 1, First: 2, Last: 2}, []byte("m"), epoch)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := s.Index(t.Context())
	if err := s.Replace(t.Context(), merged, segs, x.Dead); err != nil {
		t.Fatal(err)
	}
	x, _ = s.Index(t.Context())
	if len(x.Segments) != 1 || x.Segments[0].ID != merged || len(x.Dead) != 0 {
		t.Errorf("index = %+v, want the merged segment and nothing dead", x)
	}
	if err := s.Replace(t.Context(), merged, segs, nil); kb.KindOf(err) != kb.Conflict {
		t.Errorf("merging what is merged = %v, want conflict", err)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := t.Context()
	quoted := submit(t, s, "quoted", "sha", "").Document
	turn := func(n int) kb.Turn {
		return kb.Turn{
			ID: kb.TurnID(fmt.Sprint("turn", n)), Session: "s1", Query: fmt.Sprint("q", n), Answer: "a", Route: kb.Knowledge, Lang: kb.Zh,
			Sources: []kb.Citation{{Content: "c", Metadata: kb.CitationMetadata{Document: quoted}}}, CreatedAt: epoch.Add(time.Duration(n) * time.Second),
		}
	}
	for n := range 3 {
		if err := s.SaveTurn(ctx, turn(n), "k1", kb.StateAI, kb.StateAI, ""); err != nil {
			t.Fatal(err)
		}
	}
	ses, last, err := s.Session(ctx, "s1", "k1", 2)
	if err != nil || ses.Turns != 3 || len(last) != 2 || last[0].Query != "q1" || last[1].Query != "q2" || last[1].Sources[0].Content != "c" {
		t.Errorf("Session = %+v, %+v, %v, want three turns, the last two in order", ses, last, err)
	}
	if _, _, err := s.Session(ctx, "s1", "k2", 2); kb.KindOf(err) != kb.NotFound {
		t.Errorf("another key sees the session: %v", err)
	}
	if _, err := s.Turn(ctx, "turn1", "k2"); kb.KindOf(err) != kb.NotFound {
		t.Errorf("another key sees the turn: %v", err)
	}
	if got, err := s.Turn(ctx, "turn1", "k1"); err != nil || got.Query != "q1" {
		t.Errorf("Turn = %+v, %v", got, err)
	}
	missed := turn(3)
	missed.Metadata.Missed = kb.MissRefused
	if err := s.SaveTurn(ctx, missed, "k1", kb.StateAI, kb.StateWaiting, "requested"); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveTurn(ctx, turn(4), "k1", kb.StateAI, kb.StateAI, ""); kb.KindOf(err) != kb.Conflict {
		t.Errorf("a turn of the assistant after the handoff = %v, want conflict", err)
	}
	if err := s.SaveTurn(ctx, turn(5), "k1", kb.StateWaiting, kb.StateAI, "cancelled"); err != nil {
		t.Error(err)
	}
	ms, next, err := s.MissedQueries(ctx, kb.Page{})
	if err != nil || len(ms) != 1 || ms[0].Query != "q3" || ms[0].Reason != kb.MissRefused || next != "" {
		t.Errorf("MissedQueries = %+v, %q, %v", ms, next, err)
	}
	if err := s.DeleteDocument(ctx, quoted); err != nil {
		t.Fatal(err)
	}
	_, last, err = s.Session(ctx, "s1", "k1", 2)
	if err != nil || len(last) != 2 || last[1].Answer != "" || len(last[1].Sources) != 0 || !last[1].Metadata.Withdrawn {
		t.Errorf("Session = %+v, %v, want no answer that quotes what was deleted", last, err)
	}
}

func TestControlBootstrapIsWonOnce(t *testing.T) {
	t.Parallel()
	c := NewControl(handleOf(t, ControlID))
	key := Key{ID: "k", Hash: "h", Scopes: []string{"root"}, Created: epoch}
	none := Key{ID: "none", Scopes: []string{"root"}, Created: epoch}
	if won, err := c.Bootstrap(t.Context(), none, map[string]string{"link_secret": "first"}); err != nil || won {
		t.Errorf("Bootstrap without a key = %v, %v, want false", won, err)
	}
	for i, want := range []bool{true, false} {
		won, err := c.Bootstrap(t.Context(), key, map[string]string{"link_secret": fmt.Sprint(i)})
		if err != nil || won != want {
			t.Errorf("Bootstrap %d = %v, %v, want %v", i, won, err, want)
		}
	}
	keys, settings, err := c.Load(t.Context())
	if err != nil || settings["link_secret"] != "first" {
		t.Errorf("settings = %v, %v, want those of the winner", settings, err)
	}
	if diff := cmp.Diff([]Key{key}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestANewerDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	h := handleOf(t, "t1")
	s := New(h)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := h.Commit(t.Context(), "", func(c *tenant.Conn) error {
		return c.Exec(`UPDATE meta SET value = ? WHERE key = 'min_reader'`, schemaVersion+1)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); kb.KindOf(err) != kb.Unavailable || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("Check = %v, want a refusal that names the newer program", err)
	}
}

func TestCommitKeyHappensOnce(t *testing.T) {
	t.Parallel()
	h := handleOf(t, "t1")
	n := 0
	for range 3 {
		err := h.Commit(t.Context(), "key", func(c *tenant.Conn) error { n = 1; return bump(c) })
		if err != nil && !errors.Is(err, tenant.ErrCommitted) {
			t.Fatal(err)
		}
	}
	if v, err := New(h).IndexVersion(context.Background()); err != nil || v != 1 || n != 1 {
		t.Errorf("the commit happened %d times, %v", v, err)
	}
}
