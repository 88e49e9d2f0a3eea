package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
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
			if _, err := in.One(t.Context(), first.Job); err != nil && kb.KindOf(err) != kb.Conflict && kb.KindOf(err) != kb.Unavailable {
				t.Errorf("One = %v", err)
			}
		})
	}
	wg.Wait()
	job, err := in.One(t.Context(), first.Job)
	if err != nil || job.Status != kb.Ready {
		t.Errorf("One = %v, %v, want ready", job.Status, err)
	}
	if search(t, s, "elephant") == "" || search(t, s, "canary") != "" {
		t.Error("it did another job than it was asked to")
	}
	if ks := keys(t, b); len(ks) != 1 || ks[0] != inboxKey("t1", other.Job) {
		t.Errorf("inbox holds %v, want the other job's file only", ks)
	}
	if _, err := in.One(t.Context(), "job_nobody"); kb.KindOf(err) != kb.NotFound {
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
		if _, err := in.One(t.Context(), sub.Job); kb.KindOf(err) != kb.Unavailable {
			t.Errorf("One before the bytes = %v, want Unavailable", err)
		}
		if err := in.Receive(t.Context(), sub.Job, []byte("something else")); kb.KindOf(err) != kb.Invalid {
			t.Errorf("Receive of other bytes = %v, want Invalid", err)
		}
		if err := in.Receive(t.Context(), sub.Job, []byte("the elephant is grey")); err != nil {
			t.Fatal(err)
		}
		if _, err := in.One(t.Context(), sub.Job); err != nil || search(t, s, "elephant") == "" {
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
		job, err := in.One(t.Context(), sub.Job)
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
