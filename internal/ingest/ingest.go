// Package ingest turns received files into searchable chunks. Submit makes a
// job durable before it returns; Work carries the jobs of one tenant out, and
// may be killed anywhere: what it had written is invisible until the one
// commit that makes it live, and the next Work begins the job again.
package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/parse"
)

// documents is what ingest needs of a tenant's store.
type documents interface {
	Submit(ctx context.Context, in kb.Submission) (kb.Submitted, error)
	Named(ctx context.Context, name string, limit int) ([]kb.Job, error)
	Text(ctx context.Context, id kb.DocumentID, version int) (kb.Text, error)
	Document(ctx context.Context, id kb.DocumentID) (kb.Document, error)
	Withdraw(ctx context.Context, job kb.JobID) error
	OpenJobs(ctx context.Context, limit int) ([]kb.Job, error)
	Refresh(ctx context.Context) error
	Job(ctx context.Context, id kb.JobID) (kb.Job, error)
	Begin(ctx context.Context, jobs []kb.JobID, now time.Time) ([]int, error)
	Fail(ctx context.Context, job kb.JobID, reason string, now time.Time) error
	index
}

// index is how chunks get into a tenant's index.
type index interface {
	Reserve(ctx context.Context, jobs []kb.JobID, counts []int) ([]kb.ChunkID, error)
	Resume(ctx context.Context, job kb.JobID, rows []kb.ChunkRow) (first kb.ChunkID, stored int, err error)
	PutChunks(ctx context.Context, rows []kb.ChunkRow, progress float64) error
	PutSegment(ctx context.Context, seg kb.Segment, data []byte, now time.Time) (int64, error)
	Publish(ctx context.Context, segment int64, versions []kb.Published, now time.Time) ([]kb.JobID, error)
	DropSegment(ctx context.Context, id int64) error
	SweepSegments(ctx context.Context, then time.Time) error
	segments
}

// Ingester is the ingestion of one tenant. It is safe for concurrent use.
type Ingester struct {
	// Published is called after documents became ready; it must not block. It
	// may be nil, and is set before the Ingester is used.
	Published func()

	tenant kb.TenantID
	store  documents
	bucket objstore.Bucket
	work   sync.Mutex // one Work at a time in this process
}

// New returns the ingester of a tenant. bucket keeps files on their way
// (inbox/) and originals (t/<tenant>/blob/).
func New(tenant kb.TenantID, store documents, bucket objstore.Bucket) *Ingester {
	return &Ingester{tenant: tenant, store: store, bucket: bucket}
}

// InboxPrefix is where files wait; an object under it is the event that a job
// is to be done.
const InboxPrefix = "inbox/"

func inboxKey(t kb.TenantID, job kb.JobID) string {
	return InboxPrefix + string(t) + "/" + string(job)
}

// checkTime bounds the parsing that Submit does to tell a broken file at once;
// a file that takes longer is accepted and told broken by its job.
const checkTime = 5 * time.Second

// Submit checks f, records a job and stores the bytes. When it returns nil the
// document is durable and will be ready, or failed, whatever happens to this
// process. Bytes that are a document already are told as a duplicate.
func (in *Ingester) Submit(ctx context.Context, f kb.File) (kb.Submitted, error) {
	name, err := parse.CleanName(f.Name)
	if err != nil {
		return kb.Submitted{}, err
	}
	text, mime, err := check(ctx, name, f)
	if err != nil {
		return kb.Submitted{}, err
	}
	switch {
	case f.Replaces != "":
		if _, err := in.store.Document(ctx, f.Replaces); err != nil {
			return kb.Submitted{}, err
		}
	case !f.Exact:
		if f.Replaces, err = in.predecessor(ctx, name, text); err != nil {
			return kb.Submitted{}, err
		}
	}
	sum := sha256.Sum256(f.Data)
	now := time.Now()
	sub, err := in.store.Submit(ctx, kb.Submission{
		Name: name, Title: f.Title, MIME: mime, SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(f.Data)), Metadata: f.Metadata,
		Exact: f.Exact, Replaces: f.Replaces, Document: kb.DocumentID(kb.NewID("doc", now)), Job: kb.JobID(kb.NewID("job", now)), Now: now,
	})
	if err != nil {
		return sub, err
	}
	if sub.Duplicate && sub.Status == kb.Ready {
		return sub, nil
	}
	// Also for a duplicate that is not ready: its first sender may have died
	// between the commit and this Put.
	if err := in.put(ctx, inboxKey(in.tenant, sub.Job), f.Data); err != nil {
		in.withdraw(ctx, sub)
		return sub, kb.E(kb.Unavailable, err, "the file could not be stored; send it again")
	}
	return sub, nil
}

// put stores an object that may be stored again: a dropped connection or a
// throttled prefix is not worth an error to the sender.
func (in *Ingester) put(ctx context.Context, key string, data []byte) error {
	return objstore.Retry(ctx, func() error {
		_, err := in.bucket.Put(ctx, key, bytes.NewReader(data))
		return err
	})
}

// withdraw takes back a submission whose bytes could not be stored. If that
// fails, too, the job ends when its bytes have not come for long.
func (in *Ingester) withdraw(ctx context.Context, sub kb.Submitted) {
	if sub.Duplicate { // another sender's
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime)
	defer cancel()
	_ = in.store.Withdraw(ctx, sub.Job) // best effort, see above
}

// check parses the file once to tell what is wrong with it while the sender
// still listens. It returns the MIME type, and the text unless that takes too
// long.
func check(ctx context.Context, name string, f kb.File) (kb.Text, string, error) {
	within, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	text, mime, err := parse.Parse(within, name, f.MIME, f.Data)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return kb.Text{}, f.MIME, nil
	}
	return text, mime, err
}

// Progress tells how far a Work is.
type Progress struct {
	Job    kb.Job
	Err    error // why the job failed; nil = it is ready
	Chunks int
}

// upToJobs and upToBytes bound what one commit makes live: enough to share the
// cost of a commit, little enough that a kill loses seconds of work.
const (
	upToJobs  = 64
	upToBytes = 4 << 20
)

// keepAtOnce is how many originals wait for the store together.
const keepAtOnce = 16

// missingAfter is how long a job may wait for its bytes: longer than any
// upload we accept takes.
const missingAfter = 15 * time.Minute

// maxTries is how often a job may begin: a file that kills the process each
// time must not keep it from the others.
const maxTries = 3

// Work does all open jobs of the tenant whose bytes are there, and returns
// when none is left. report, which may be nil, is called for each that ended.
func (in *Ingester) Work(ctx context.Context, report func(Progress)) error {
	in.work.Lock()
	defer in.work.Unlock()
	if report == nil {
		report = func(Progress) {}
	}
	if err := in.store.Refresh(ctx); err != nil { // others' jobs are ours, too
		return err
	}
	if err := in.store.SweepSegments(ctx, time.Now().Add(-time.Hour)); err != nil {
		return err
	}
	for {
		jobs, err := in.store.OpenJobs(ctx, upToJobs)
		if err != nil {
			return err
		}
		n, err := in.batch(ctx, jobs, false, report)
		if err != nil {
			return fmt.Errorf("ingest for tenant %s: %w", in.tenant, err)
		}
		if n == 0 {
			break
		}
	}
	if err := in.sweepInbox(ctx, true); err != nil {
		return err
	}
	return in.mergeSegments(ctx)
}

// sweepInbox drops bytes whose job has ended: their worker died between the
// commit and the delete. With wake a mark that vectors are due is handed to
// who makes them in this process; otherwise it stays.
func (in *Ingester) sweepInbox(ctx context.Context, wake bool) error {
	prefix := inboxKey(in.tenant, "")
	for after := ""; ; {
		infos, more, err := in.bucket.List(ctx, prefix, after, 1000)
		if err != nil {
			return fmt.Errorf("list inbox: %w", err)
		}
		if len(infos) > 0 {
			// A job is recorded before its bytes are put: now we see it, whoever did.
			if err := in.store.Refresh(ctx); err != nil {
				return err
			}
		}
		for _, o := range infos {
			after = o.Key
			id, _, _ := strings.Cut(o.Key[len(prefix):], ".") // a mark of a job goes with it
			if id == vectors {
				if !wake || in.Published == nil {
					continue
				}
				in.Published()
				if err := in.VectorsDone(ctx); err != nil {
					return err
				}
				continue
			}
			job, err := in.store.Job(ctx, kb.JobID(id))
			if err != nil && kb.KindOf(err) != kb.NotFound {
				return err
			}
			if err == nil && (job.Status == kb.Pending || job.Status == kb.Processing) {
				continue
			}
			if err := in.bucket.Delete(ctx, o.Key); err != nil {
				return fmt.Errorf("sweep inbox: %w", err)
			}
		}
		if !more {
			return nil
		}
	}
}

// batch does some of jobs and returns how many ended. resume goes on with what
// an earlier try of a job stored: it must have ended.
func (in *Ingester) batch(ctx context.Context, jobs []kb.Job, resume bool, report func(Progress)) (ended int, err error) {
	arrived, ended, err := in.fetch(ctx, jobs, report)
	if err != nil || len(arrived) == 0 {
		return ended, err
	}
	begun, n, err := in.begin(ctx, arrived, report)
	ended += n
	if err != nil {
		return ended, err
	}
	works := begun[:0]
	for _, w := range begun {
		w.resume = resume
		switch err := w.parse(ctx); {
		case err == nil:
			works = append(works, w)
		case !forUser(err):
			return ended, err
		default:
			ended++
			if err := in.end(ctx, w.job, err, report); err != nil {
				return ended, err
			}
		}
	}
	// Only what became ready is kept: another server may have taken a job over
	// between our reading and our commit, and needs the bytes if it dies.
	works, err = in.publish(ctx, works)
	if err != nil {
		return ended, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(keepAtOnce)
	for _, w := range works {
		g.Go(func() error { return in.keep(ctx, w) })
	}
	if err := g.Wait(); err != nil {
		return ended, err
	}
	for _, w := range works {
		report(Progress{Job: w.job, Chunks: len(w.chunks)})
	}
	return ended + len(works), nil
}

// fetch gets the bytes of jobs from the inbox until there are enough for one
// batch. A job whose bytes never came is ended.
func (in *Ingester) fetch(ctx context.Context, jobs []kb.Job, report func(Progress)) (works []work, ended int, err error) {
	size := 0
	for _, job := range jobs {
		data, _, err := in.bucket.Get(ctx, inboxKey(in.tenant, job.ID))
		switch {
		case err == nil && arrived(job, data) != nil:
			ended++
			if err := in.end(ctx, job, arrived(job, data), report); err != nil {
				return nil, ended, err
			}
		case err == nil:
			works = append(works, work{job: job, data: data})
		case !errors.Is(err, objstore.ErrNotExist):
			return nil, ended, fmt.Errorf("get file of job %s: %w", job.ID, err)
		case time.Since(job.Updated) > missingAfter:
			ended++
			if err := in.end(ctx, job, kb.E(kb.Invalid, err, "the file did not arrive; send it again"), report); err != nil {
				return nil, ended, err
			}
		}
		if size += len(data); size > upToBytes {
			break
		}
	}
	return works, ended, nil
}

// begin counts a try of each job, ends those that had too many, and leaves out
// those that ended elsewhere.
func (in *Ingester) begin(ctx context.Context, works []work, report func(Progress)) (good []work, ended int, err error) {
	ids := make([]kb.JobID, len(works))
	for i, w := range works {
		ids[i] = w.job.ID
	}
	tries, err := in.store.Begin(ctx, ids, time.Now())
	if err != nil {
		return nil, 0, err
	}
	for i, w := range works {
		switch {
		case tries[i] > maxTries:
			ended++
			err = in.end(ctx, w.job, kb.E(kb.Unprocessable, nil, "the file could not be processed in %d tries", maxTries), report)
			if err != nil {
				return nil, ended, err
			}
		case tries[i] > 0:
			good = append(good, w)
		}
	}
	return good, ended, nil
}

// forUser reports whether err is about the file, not about our storage.
func forUser(err error) bool {
	k := kb.KindOf(err)
	return k == kb.Invalid || k == kb.Unprocessable || k == kb.Unsupported || k == kb.TooLarge
}

// end records why a job failed and drops its bytes.
func (in *Ingester) end(ctx context.Context, job kb.Job, cause error, report func(Progress)) error {
	reason := "internal error"
	if e, ok := errors.AsType[*kb.Error](cause); ok {
		reason = e.Msg
	}
	if err := in.store.Fail(ctx, job.ID, reason, time.Now()); err != nil {
		return fmt.Errorf("fail job %s: %w", job.ID, err)
	}
	report(Progress{Job: job, Err: cause})
	return in.bucket.Delete(ctx, inboxKey(in.tenant, job.ID))
}

// keep moves the bytes of a published job from the inbox to the originals.
func (in *Ingester) keep(ctx context.Context, w work) error {
	key := "t/" + string(in.tenant) + "/blob/" + w.job.SHA256
	// Put, also if it is there: backup tells by the time of storing whether an
	// original was in use again (backup/originals.go).
	if _, err := in.bucket.Put(ctx, key, bytes.NewReader(w.data)); err != nil {
		return fmt.Errorf("keep original: %w", err)
	}
	return in.bucket.Delete(ctx, inboxKey(in.tenant, w.job.ID))
}
