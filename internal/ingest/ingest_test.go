package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// open returns the ingester of a new tenant with its store and bucket.
func open(t *testing.T) (*Ingester, *store.Store, objstore.Bucket) {
	t.Helper()
	bucket := new(mem.Bucket)
	reg := tenant.NewRegistry(tenant.Config{Bucket: bucket, Schema: store.Schema, RunTwice: true})
	t.Cleanup(func() { _ = reg.Close() })
	h, err := reg.Create(t.Context(), "t1")
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(h)
	return New("t1", s, bucket), s, bucket
}

func submit(t *testing.T, in *Ingester, f kb.File) kb.Submitted {
	t.Helper()
	sub, err := in.Submit(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func do(t *testing.T, in *Ingester) {
	t.Helper()
	if err := in.Work(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// search returns the texts that have the word.
func search(t *testing.T, s *store.Store, word string) string {
	t.Helper()
	x, err := s.Index(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ix := lexical.Index{Dead: func(id kb.ChunkID) bool { return isDead(x.Dead, id) }}
	for _, seg := range x.Segments {
		open, err := lexical.Open(t.Context(), seg.Bytes, func(ctx context.Context, off, n int64) ([]byte, error) { return s.ReadSegment(ctx, seg.ID, off, n) })
		if err != nil {
			t.Fatal(err)
		}
		ix.Segments = append(ix.Segments, open)
	}
	res, err := ix.Search(t.Context(), lexical.Parse(word, nil), 100)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]kb.ChunkID, len(res.Hits))
	for i, h := range res.Hits {
		ids[i] = h.ID
	}
	cs, err := s.LiveChunks(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	if len(cs) != len(ids) {
		t.Errorf("the index finds %d chunks, %d are live", len(ids), len(cs))
	}
	var texts []string
	for _, c := range cs {
		texts = append(texts, c.Text)
	}
	return strings.Join(texts, "|")
}

func TestWhatIsSubmittedIsFoundAfterWork(t *testing.T) {
	t.Parallel()
	in, s, bucket := open(t)
	body := "# Lamp\n\nThe zorblax lamp is green.\n\n## Care\n\nWipe the zorblax gently.\n"
	sub := submit(t, in, kb.File{Name: "lamp.md", Data: []byte(body)})
	if got := search(t, s, "zorblax"); got != "" {
		t.Errorf("before work %q is found", got)
	}
	do(t, in)
	if got := search(t, s, "zorblax"); !strings.Contains(got, "green") || !strings.Contains(got, "gently") {
		t.Errorf("found %q", got)
	}
	text, err := s.Text(t.Context(), sub.Document, 1)
	if err != nil || text.Title != "Lamp" || !strings.Contains(text.Body, "The zorblax lamp is green.") || !strings.Contains(text.Body, "Care") {
		t.Errorf("text %+v, %v: it must be whole, headings too", text, err)
	}
	if infos, _, _ := bucket.List(t.Context(), InboxPrefix, "", 10); len(infos) != 0 {
		t.Errorf("the inbox keeps %v", infos)
	}
	if infos, _, _ := bucket.List(t.Context(), "t/t1/blob/", "", 10); len(infos) != 1 || infos[0].Size != int64(len(body)) {
		t.Errorf("originals %v, want one of %d bytes", infos, len(body))
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	text := "The warranty of the zorblax lamp is 24 months from the day of delivery, adapter included."
	for name, tt := range map[string]struct {
		file kb.File
		same bool // a version of the first document
	}{
		"an edited text of the same name":     {kb.File{Name: "a.md", Data: []byte(strings.Replace(text, "24", "36", 1))}, true},
		"another text of the same name":       {kb.File{Name: "a.md", Data: []byte("Our office dog is called Bruno and likes carrots.")}, false},
		"another text, and the name is exact": {kb.File{Name: "a.md", Exact: true, Data: []byte("Something else entirely stands here now.")}, true},
		"an edited text of another name":      {kb.File{Name: "b.md", Data: []byte(strings.Replace(text, "24", "48", 1))}, false},
		"a document that is named by its id":  {kb.File{Name: "c.md", Replaces: "first", Data: []byte("Unrelated words of a new kind.")}, true},
	} {
		for _, worked := range []bool{false, true} { // compared with the file on its way, and with the stored text
			in, s, _ := open(t)
			first := submit(t, in, kb.File{Name: "a.md", Data: []byte(text)})
			if worked {
				do(t, in)
			}
			if tt.file.Replaces == "first" {
				tt.file.Replaces = first.Document
			}
			sub := submit(t, in, tt.file)
			if got := sub.Document == first.Document; got != tt.same {
				t.Errorf("%s (worked %v): version of the first = %v, want %v", name, worked, got, tt.same)
			}
			if tt.file.Replaces == first.Document {
				tt.file.Replaces = "first"
			}
			do(t, in)
			for _, d := range mustList(t, s) {
				if d.Status != kb.Ready {
					t.Errorf("%s: %+v", name, d)
				}
			}
		}
	}
}

func TestAnUnknownDocumentIsNotReplaced(t *testing.T) {
	t.Parallel()
	in, s, _ := open(t)
	if _, err := in.Submit(t.Context(), kb.File{Name: "d.md", Replaces: "doc_none", Data: []byte("Words.")}); kb.KindOf(err) != kb.NotFound {
		t.Errorf("Submit = %v, want not found", err)
	}
	if ds := mustList(t, s); len(ds) != 0 {
		t.Errorf("it left %+v", ds)
	}
}

func TestAChangeToTheBytesOfAnotherDocumentIsAChange(t *testing.T) {
	t.Parallel()
	in, s, _ := open(t)
	a := submit(t, in, kb.File{Name: "a.md", Data: []byte("The Mordor branch opens at 5 each day.")})
	submit(t, in, kb.File{Name: "b.md", Data: []byte("The Mordor branch opens at 8 each day.")})
	do(t, in)
	if c := submit(t, in, kb.File{Name: "a.md", Data: []byte("The Mordor branch opens at 8 each day.")}); c.Duplicate || c.Document != a.Document || c.Version != 2 {
		t.Errorf("%+v, want version 2 of a.md", c)
	}
	do(t, in)
	if got := search(t, s, "Mordor"); strings.Contains(got, "at 5") {
		t.Errorf("the old text is found: %q", got)
	}
}

func TestAnExactNameIsOneDocumentHoweverManySendItAtOnce(t *testing.T) {
	t.Parallel()
	in, s, _ := open(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := in.Submit(t.Context(), kb.File{Name: "rapid.md", Exact: true, Data: fmt.Appendf(nil, "The elevator code is %d%d%d.", i, i, i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ds := mustList(t, s); len(ds) != 1 || ds[0].Version != 8 {
		t.Errorf("%+v, want one document with eight versions", ds)
	}
}

func TestWhatCouldNotBeStoredLeavesNothing(t *testing.T) {
	t.Parallel()
	in, s, bucket := open(t)
	full := New("t1", s, fullBucket{bucket})
	if _, err := full.Submit(t.Context(), kb.File{Name: "a.md", Data: []byte("Some text.")}); kb.KindOf(err) != kb.Unavailable {
		t.Errorf("Submit = %v, want unavailable", err)
	}
	if ds := mustList(t, s); len(ds) != 0 {
		t.Errorf("it left %+v", ds)
	}
	first := submit(t, in, kb.File{Name: "a.md", Data: []byte("The first text of the lamp.")})
	do(t, in)
	if _, err := full.Submit(t.Context(), kb.File{Name: "a.md", Exact: true, Data: []byte("The second text of the lamp.")}); err == nil {
		t.Error("a full store took a file")
	}
	if d, err := s.Document(t.Context(), first.Document); err != nil || d.Version != 1 || d.Status != kb.Ready {
		t.Errorf("%+v, %v, want version 1 as it was", d, err)
	}
}

// fullBucket has no room for files.
type fullBucket struct{ objstore.Bucket }

func (fullBucket) Put(context.Context, string, io.ReadSeeker) (objstore.Info, error) {
	return objstore.Info{}, errors.New("no space left on device")
}

func mustList(t *testing.T, s *store.Store) []kb.Document {
	t.Helper()
	ds, _, err := s.Documents(t.Context(), kb.Page{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func TestManyDocumentsAreMergedAndStayFound(t *testing.T) {
	t.Parallel()
	in, s, _ := open(t)
	const n = 30
	var gone kb.DocumentID
	for i := range n {
		sub := submit(t, in, kb.File{Name: fmt.Sprint(i), Data: fmt.Appendf(nil, "The zorblax number %d has the code QX%dZ.", i, i)})
		do(t, in) // a segment for each
		if i == 3 {
			gone = sub.Document
		}
	}
	if err := s.DeleteDocument(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	do(t, in)
	x, err := s.Index(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Segments) >= n/2 {
		t.Errorf("%d segments for %d documents: nothing was merged", len(x.Segments), n)
	}
	for i := range n {
		got := search(t, s, fmt.Sprintf("QX%dZ", i))
		if want := i != 3; strings.Contains(got, fmt.Sprintf("QX%dZ", i)) != want {
			t.Errorf("document %d: found %q, want found %v", i, got, want)
		}
	}
}

// TestWhereEachFileIsAnEventSegmentsAreMergedToo: in functions nobody calls Work.
func TestWhereEachFileIsAnEventSegmentsAreMergedToo(t *testing.T) {
	t.Parallel()
	in, s, _ := open(t)
	const n = 10
	for i := range n {
		sub := submit(t, in, kb.File{Name: fmt.Sprint(i), Data: fmt.Appendf(nil, "The zorblax number %d has the code QX%dZ.", i, i)})
		if _, err := in.One(t.Context(), sub.Job, false); err != nil {
			t.Fatal(err)
		}
	}
	x, err := s.Index(t.Context())
	if err != nil || len(x.Segments) >= n/2 {
		t.Errorf("%d segments for %d documents, %v: nothing was merged", len(x.Segments), n, err)
	}
	for i := range n {
		if got, want := search(t, s, fmt.Sprintf("QX%dZ", i)), fmt.Sprintf("QX%dZ", i); !strings.Contains(got, want) {
			t.Errorf("document %d: found %q", i, got)
		}
	}
}

func TestABrokenFileIsToldAtOnceOrByItsJob(t *testing.T) {
	t.Parallel()
	in, s, bucket := open(t)
	if _, err := in.Submit(t.Context(), kb.File{Name: "a.pdf", Data: []byte("%PDF-1.4\nbroken")}); kb.KindOf(err) != kb.Unprocessable {
		t.Errorf("Submit = %v, want unprocessable", err)
	}
	if ds := mustList(t, s); len(ds) != 0 {
		t.Errorf("a refused file left %+v", ds)
	}
	// A file whose trouble only the job sees: its bytes change on the way.
	sub := submit(t, in, kb.File{Name: "b.md", Data: []byte("good text")})
	if _, err := bucket.Put(t.Context(), inboxKey("t1", sub.Job), strings.NewReader("%PDF-1.4\nbroken")); err != nil {
		t.Fatal(err)
	}
	var ended []Progress
	if err := in.Work(t.Context(), func(p Progress) { ended = append(ended, p) }); err != nil {
		t.Fatal(err)
	}
	d, err := s.Document(t.Context(), sub.Document)
	if err != nil || d.Status != kb.Failed || d.Error == "" || len(ended) != 1 || ended[0].Err == nil {
		t.Errorf("document %+v, %v, reports %+v", d, err, ended)
	}
	if again := submit(t, in, kb.File{Name: "b.md", Data: []byte("good text")}); again.Duplicate {
		t.Error("a failed document cannot be sent again")
	}
	do(t, in)
	if got := search(t, s, "good"); got != "good text" {
		t.Errorf("sent again, found %q", got)
	}
}

// TestKilledAnywhere cuts the work off at every store call, as a kill would,
// and lets another process go on.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		in, s, bucket := open(t)
		for i := range 3 {
			submit(t, in, kb.File{Name: fmt.Sprint(i), Data: fmt.Appendf(nil, "The zorblax %d is here.", i)})
		}
		dying := &mortal{documents: s, left: n}
		err := New("t1", dying, bucket).Work(t.Context(), nil)
		if found := strings.Count(search(t, s, "zorblax"), "zorblax"); found != 0 && found != 3 {
			t.Fatalf("killed at call %d, %d of 3 documents are found: half a batch is live", n, found)
		}
		do(t, in)
		if found := strings.Count(search(t, s, "zorblax"), "zorblax"); found != 3 {
			t.Fatalf("killed at call %d, then worked again: %d of 3 documents are found", n, found)
		}
		if err == nil {
			if n < 5 {
				t.Fatalf("the work has only %d store calls: nothing was tested", n)
			}
			return
		}
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
	}
}

var errKilled = errors.New("killed")

// mortal is a store whose n-th and later calls fail.
type mortal struct {
	documents
	left  int
	later time.Duration // how far its clock is ahead
}

func (m *mortal) die() error {
	if m.left--; m.left <= 0 {
		return errKilled
	}
	return nil
}

func (m *mortal) Begin(ctx context.Context, jobs []kb.JobID, now time.Time) ([]int, error) {
	if err := m.die(); err != nil {
		return nil, err
	}
	return m.documents.Begin(ctx, jobs, now.Add(m.later))
}

func (m *mortal) Reserve(ctx context.Context, jobs []kb.JobID, counts []int) ([]kb.ChunkID, error) {
	if err := m.die(); err != nil {
		return nil, err
	}
	return m.documents.Reserve(ctx, jobs, counts)
}

func (m *mortal) PutChunks(ctx context.Context, rows []kb.ChunkRow, progress float64) error {
	if err := m.die(); err != nil {
		return err
	}
	return m.documents.PutChunks(ctx, rows, progress)
}

func (m *mortal) PutSegment(ctx context.Context, seg kb.Segment, data []byte, now time.Time) (int64, error) {
	if err := m.die(); err != nil {
		return 0, err
	}
	return m.documents.PutSegment(ctx, seg, data, now)
}

func (m *mortal) Publish(ctx context.Context, segment int64, versions []kb.Published, now time.Time) ([]kb.JobID, error) {
	if err := m.die(); err != nil {
		return nil, err
	}
	return m.documents.Publish(ctx, segment, versions, now)
}

func (m *mortal) OpenJobs(ctx context.Context, limit int) ([]kb.Job, error) {
	if err := m.die(); err != nil {
		return nil, err
	}
	return m.documents.OpenJobs(ctx, limit)
}

func TestAFileThatKillsIsGivenUp(t *testing.T) {
	t.Parallel()
	in, s, bucket := open(t)
	sub := submit(t, in, kb.File{Name: "a", Data: []byte("The zorblax is here.")})
	for n := range maxTries { // each dies after Begin
		_ = New("t1", &mortal{documents: s, left: 3, later: time.Duration(n) * 2 * time.Minute}, bucket).Work(t.Context(), nil)
	}
	do(t, New("t1", &mortal{documents: s, left: 1000, later: maxTries * 2 * time.Minute}, bucket))
	if d, err := s.Document(t.Context(), sub.Document); err != nil || d.Status != kb.Failed || !strings.Contains(d.Error, "3 tries") {
		t.Errorf("%+v, %v, want failed after 3 tries", d, err)
	}
}

func TestManyServersThatFindAJobAtOnceAreOneTry(t *testing.T) {
	t.Parallel()
	in, s, bucket := open(t)
	sub := submit(t, in, kb.File{Name: "a", Data: []byte("The zorblax is here.")})
	for range 2 * maxTries {
		_ = New("t1", &mortal{documents: s, left: 3}, bucket).Work(t.Context(), nil)
	}
	do(t, in)
	if d, err := s.Document(t.Context(), sub.Document); err != nil || d.Status != kb.Ready {
		t.Errorf("%+v, %v, want ready", d, err)
	}
}

// TestAJobTakenOverKeepsItsBytes lets another server reserve a job between our
// chunks and our commit, and die.
func TestAJobTakenOverKeepsItsBytes(t *testing.T) {
	t.Parallel()
	in, s, bucket := open(t)
	sub := submit(t, in, kb.File{Name: "a", Data: []byte("The zorblax is here.")})
	if err := New("t1", robbed{s}, bucket).Work(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	do(t, in)
	if d, err := s.Document(t.Context(), sub.Document); err != nil || d.Status != kb.Ready {
		t.Errorf("%+v, %v, want ready: the job's bytes were dropped by the one who did not publish it", d, err)
	}
}

// robbed is a store in which somebody else reserves each job before we publish.
type robbed struct{ *store.Store }

func (r robbed) Publish(ctx context.Context, segment int64, versions []kb.Published, now time.Time) ([]kb.JobID, error) {
	for _, v := range versions {
		if _, err := r.Reserve(ctx, []kb.JobID{v.Job}, []int{1}); err != nil {
			return nil, err
		}
	}
	return r.Store.Publish(ctx, segment, versions, now)
}
