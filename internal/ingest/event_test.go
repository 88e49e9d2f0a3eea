package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/store"
)

func TestInboxJob(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"inbox/shop/job_1":          "shop job_1 ",
		"inbox/shop/job_1.expected": "shop job_1 expected",
		"inbox/shop/job_1.more-17":  "shop job_1 more-17",
		"inbox/shop/":               "",
		"inbox/shop":                "",
		"inbox//job_1":              "",
		"inbox/shop/.expected":      "",
		"inbox/_control/job_1":      "", // no request may name it
		"inbox/SHOP/job_1":          "",
		"inbox/shop/a/b":            "",
		"t/shop/job_1":              "",
		"":                          "",
	} {
		tenant, job, mark, ok := InboxJob(key)
		got := string(tenant) + " " + string(job) + " " + mark
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("InboxJob(%q) = %q, want %q", key, got, want)
		}
	}
}

func keys(t *testing.T, b objstore.Bucket) []string {
	t.Helper()
	infos, _, err := b.List(t.Context(), InboxPrefix, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var ks []string
	for _, i := range infos {
		ks = append(ks, i.Key)
	}
	return ks
}

func TestAMarkOfVectorsStaysForTheSweepAndWakesAServer(t *testing.T) {
	t.Parallel()
	in, _, bucket := open(t)
	ctx := t.Context()
	for range 2 {
		if err := in.MarkVectors(ctx); err != nil {
			t.Fatal(err)
		}
	}
	marks := keys(t, bucket)
	if len(marks) != 1 {
		t.Fatalf("in the inbox are %v, want one mark", marks)
	}
	if id, _, mark, ok := InboxJob(marks[0]); !ok || id != "t1" || !Expected(mark) {
		t.Errorf("%s is an event to act on", marks[0])
	}
	if err := in.Sweep(ctx, time.Now()); err != nil || len(keys(t, bucket)) != 1 {
		t.Errorf("after the sweep of jobs: %v, %v, want the mark", keys(t, bucket), err)
	}
	do(t, in) // nobody makes vectors here
	if len(keys(t, bucket)) != 1 {
		t.Error("a server without a model took the mark away")
	}
	woken := 0
	in.Published = func() { woken++ }
	do(t, in)
	if woken != 1 || len(keys(t, bucket)) != 0 {
		t.Errorf("woken %d times, left %v", woken, keys(t, bucket))
	}
	if err := in.MarkVectors(ctx); err != nil || in.VectorsDone(ctx) != nil || len(keys(t, bucket)) != 0 {
		t.Errorf("left %v, %v", keys(t, bucket), err)
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	in, s, b := open(t)
	first := submit(t, in, kb.File{Name: "a.md", Data: []byte("the elephant is grey")})
	other := submit(t, in, kb.File{Name: "b.md", Data: []byte("the canary is yellow")})
	if err := in.Continue(t.Context(), first.Job, time.Now()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 { // one event, delivered four times at once
		wg.Go(func() {
			if _, err := in.One(t.Context(), first.Job, false); err != nil && kb.KindOf(err) != kb.Conflict && kb.KindOf(err) != kb.Unavailable {
				t.Errorf("One = %v", err)
			}
		})
	}
	wg.Wait()
	job, err := in.One(t.Context(), first.Job, false)
	if err != nil || job.Status != kb.Ready {
		t.Errorf("One = %v, %v, want ready", job.Status, err)
	}
	if search(t, s, "elephant") == "" || search(t, s, "canary") != "" {
		t.Error("it did another job than it was asked to")
	}
	if ks := keys(t, b); len(ks) != 1 || ks[0] != inboxKey("t1", other.Job) {
		t.Errorf("inbox holds %v, want the other job's file only", ks)
	}
	if _, err := in.One(t.Context(), "job_nobody", false); kb.KindOf(err) != kb.NotFound {
		t.Errorf("One of a job nobody committed = %v, want NotFound", err)
	}
}

func TestSweepTakesOnlyWhatNobodyHas(t *testing.T) {
	t.Parallel()
	in, s, _ := open(t)
	sub := submit(t, in, kb.File{Name: "a.md", Data: []byte("the elephant is grey")})
	if err := in.Sweep(t.Context(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if j, _ := s.Job(t.Context(), sub.Job); j.Status != kb.Pending {
		t.Errorf("a fresh job is %s, want it left to its event", j.Status)
	}
	if err := in.Sweep(t.Context(), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if j, _ := s.Job(t.Context(), sub.Job); j.Status != kb.Ready {
		t.Errorf("a stalled job is %s after the sweep, want ready", j.Status)
	}
}

func announced(t *testing.T, in *Ingester, name, text string) kb.Submitted {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	sub, err := in.Announce(t.Context(), kb.File{Name: name, Exact: true, MIME: "text/markdown"}, int64(len(text)), hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestAnAnnouncedFile(t *testing.T) {
	t.Parallel()
	t.Run("is ingested when its bytes come", func(t *testing.T) {
		t.Parallel()
		in, s, b := open(t)
		sub := announced(t, in, "a.md", "the elephant is grey")
		if _, err := in.One(t.Context(), sub.Job, false); kb.KindOf(err) != kb.Unavailable {
			t.Errorf("One before the bytes = %v, want Unavailable", err)
		}
		if err := in.Receive(t.Context(), sub.Job, []byte("something else")); kb.KindOf(err) != kb.Invalid {
			t.Errorf("Receive of other bytes = %v, want Invalid", err)
		}
		if err := in.Receive(t.Context(), sub.Job, []byte("the elephant is grey")); err != nil {
			t.Fatal(err)
		}
		if _, err := in.One(t.Context(), sub.Job, false); err != nil || search(t, s, "elephant") == "" {
			t.Errorf("One = %v, and the text is not found", err)
		}
		if ks := keys(t, b); len(ks) != 0 {
			t.Errorf("inbox still holds %v", ks)
		}
	})
	t.Run("fails when other bytes come", func(t *testing.T) {
		t.Parallel()
		in, s, b := open(t)
		sub := announced(t, in, "a.md", "the elephant is grey")
		if _, err := b.Put(t.Context(), in.Key(sub.Job), strings.NewReader("the canary is yellow")); err != nil {
			t.Fatal(err)
		}
		job, err := in.One(t.Context(), sub.Job, false)
		if err != nil || job.Status != kb.Failed || !strings.Contains(job.Error, "sha256") {
			t.Errorf("job is %s %q, %v", job.Status, job.Error, err)
		}
		if search(t, s, "canary") != "" {
			t.Error("bytes that nobody announced are found")
		}
	})
	t.Run("is refused when it is not described", func(t *testing.T) {
		t.Parallel()
		in, _, _ := open(t)
		sum := strings.Repeat("ab", 32)
		for _, c := range []struct {
			size int64
			sum  string
			want kb.Kind
		}{{1, "ab", kb.Invalid}, {1, strings.Repeat("zz", 32), kb.Invalid}, {0, sum, kb.TooLarge}, {MaxUpload + 1, sum, kb.TooLarge}} {
			if _, err := in.Announce(t.Context(), kb.File{Name: "a.md"}, c.size, c.sum); kb.KindOf(err) != c.want {
				t.Errorf("Announce(%d, %s) = %v, want %v", c.size, c.sum, err, c.want)
			}
		}
	})
	t.Run("that never comes is ended by the sweep", func(t *testing.T) {
		t.Parallel()
		in, s, b := open(t)
		sub := announced(t, in, "a.md", "the elephant is grey")
		late := &aged{in.store}
		if err := New("t1", late, b).Sweep(context.WithoutCancel(t.Context()), time.Now()); err != nil {
			t.Fatal(err)
		}
		if j, _ := s.Job(t.Context(), sub.Job); j.Status != kb.Failed || !strings.Contains(j.Error, "did not arrive") {
			t.Errorf("job is %s %q, want failed", j.Status, j.Error)
		}
		if ks := keys(t, b); len(ks) != 0 {
			t.Errorf("inbox still holds %v", ks)
		}
	})
}

// aged is a store whose jobs were submitted an hour ago.
type aged struct{ documents }

func (a aged) OpenJobs(ctx context.Context, limit int) ([]kb.Job, error) {
	js, err := a.documents.OpenJobs(ctx, limit)
	for i := range js {
		js[i].Updated = js[i].Updated.Add(-time.Hour)
	}
	return js, err
}

func (a aged) Job(ctx context.Context, id kb.JobID) (kb.Job, error) {
	j, err := a.documents.Job(ctx, id)
	j.Updated = j.Updated.Add(-time.Hour)
	return j, err
}

// impatient is a store that runs out of time after some commits of chunks.
type impatient struct {
	*store.Store
	left int
	rows int // that were put
}

func (s *impatient) PutChunks(ctx context.Context, rows []kb.ChunkRow, progress float64) error {
	if s.left--; s.left < 0 {
		return context.DeadlineExceeded
	}
	s.rows += len(rows)
	return s.Store.PutChunks(ctx, rows, progress)
}

// TestALargeDocumentGoesOnWhereItStopped: each try stores what it has time for,
// and none stores what is there.
func TestALargeDocumentGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	in, s, bucket := open(t)
	var text strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&text, "Shelf %d of the warehouse keeps %d lanterns, ropes and sails for the ships of the harbour.\n\n", i, i*7)
	}
	sub := submit(t, in, kb.File{Name: "w.txt", Data: []byte(text.String())})
	var stored []int
	total := 0
	for try := 1; ; try++ {
		st := &impatient{Store: s, left: 1}
		j, err := New("t1", st, bucket).One(t.Context(), sub.Job, try > 1)
		total += st.rows
		stored = append(stored, st.rows)
		if err == nil && j.Status == kb.Ready {
			break
		}
		if try == 10 || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("try %d: %+v %v, rows %v", try, j, err, stored)
		}
	}
	d, err := s.Document(t.Context(), sub.Document)
	if err != nil || len(stored) < 3 || d.Chunks != total {
		t.Errorf("%d chunks, %v stored in turn, %v; want each stored once, in three tries or more", d.Chunks, stored, err)
	}
	whole, err := s.Text(t.Context(), sub.Document, 1)
	if err != nil || strings.Count(whole.Body, "Shelf") != 30_000 {
		t.Errorf("%d lines can be read, %v", strings.Count(whole.Body, "Shelf"), err)
	}
}

// TestAnotherChunkingBeginsAnew: what was stored is used only where it is what
// would be stored.
func TestAnotherChunkingBeginsAnew(t *testing.T) {
	t.Parallel()
	in, s, _ := open(t)
	sub := submit(t, in, kb.File{Name: "w", Data: []byte("The zorblax is here.")})
	if _, err := s.Begin(t.Context(), []kb.JobID{sub.Job}, time.Now()); err != nil {
		t.Fatal(err)
	}
	row := func(i int, text string) kb.ChunkRow {
		return kb.ChunkRow{Chunk: kb.Chunk{Document: sub.Document, Version: 1, Ordinal: i, Start: i * 10, Text: text}}
	}
	rows := []kb.ChunkRow{row(0, "one"), row(1, "two"), row(2, "three")}
	firsts, err := s.Reserve(t.Context(), []kb.JobID{sub.Job}, []int{len(rows)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		rows[i].ID = firsts[0] + kb.ChunkID(i)
	}
	if err := s.PutChunks(t.Context(), rows[:2], 0.5); err != nil {
		t.Fatal(err)
	}
	other := row(1, "TWO")
	for what, tt := range map[string]struct {
		rows []kb.ChunkRow
		want int
	}{
		"the same":            {rows, 2},
		"another second":      {[]kb.ChunkRow{rows[0], other, rows[2]}, 1},
		"another first":       {[]kb.ChunkRow{row(0, "ONE"), rows[1], rows[2]}, 0},
		"one more":            {append(slices.Clone(rows), row(3, "four")), 0},
		"one that is shifted": {[]kb.ChunkRow{rows[1], rows[2], rows[0]}, 0},
	} {
		if _, n, err := s.Resume(t.Context(), sub.Job, tt.rows); n != tt.want || err != nil {
			t.Errorf("%s: %d rows are stored, %v, want %d", what, n, err, tt.want)
		}
	}
}
