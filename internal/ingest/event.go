package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Objects beside a job's bytes in the inbox: the job's key, a dot, a word.
const (
	expected = "expected" // the bytes are announced; the sweep ends the job if they never come
	more     = "more-"    // and a number: whoever ran out of time asks for another try

	// vectors.due says that chunks of the tenant have no vectors yet; it belongs
	// to no job, and the sweep acts on it.
	vectors = "vectors"
	due     = "due"
)

// InboxJob takes the key of an inbox object apart. bytes reports whether the
// object is the job's file, and not a mark beside it. ok is false for a key
// that is none of ours.
func InboxJob(key string) (t kb.TenantID, job kb.JobID, mark string, ok bool) {
	name, found := strings.CutPrefix(key, InboxPrefix)
	if !found {
		return "", "", "", false
	}
	tenant, rest, found := strings.Cut(name, "/")
	id, mark, _ := strings.Cut(rest, ".")
	t, err := kb.ParseTenant(tenant)
	if !found || err != nil || id == "" || strings.Contains(rest, "/") {
		return "", "", "", false
	}
	return t, kb.JobID(id), mark, true
}

// Expected reports whether mark asks for nothing now: bytes will come, or the
// sweep will act.
func Expected(mark string) bool { return mark == expected || mark == due }

// MarkVectors has the sweep look at the tenant's vectors, also if this process
// dies; VectorsDone takes that back.
func (in *Ingester) MarkVectors(ctx context.Context) error {
	_, err := in.bucket.Create(ctx, inboxKey(in.tenant, vectors)+"."+due, strings.NewReader(""))
	if err != nil && !errors.Is(err, objstore.ErrExist) {
		return fmt.Errorf("ask for vectors: %w", err)
	}
	return nil
}

// VectorsDone says that no chunk of the tenant lacks a vector.
func (in *Ingester) VectorsDone(ctx context.Context) error {
	if err := in.bucket.Delete(ctx, inboxKey(in.tenant, vectors)+"."+due); err != nil {
		return fmt.Errorf("vectors are done: %w", err)
	}
	return nil
}

// Continued reports whether mark is of a try that ran out of time and stopped.
func Continued(mark string) bool { return strings.HasPrefix(mark, more) }

// One does one job, whoever does the others, and returns how it ended. It is
// harmless for a job that has ended, and beside another One of the same job.
// resume goes on after the chunks that an earlier try stored, which must have
// ended.
// kb.NotFound is a job that nobody committed; an error with a job that is still
// open is worth another try.
func (in *Ingester) One(ctx context.Context, id kb.JobID, resume bool) (kb.Job, error) {
	job, err := in.store.Job(ctx, id)
	if err != nil {
		return job, err
	}
	if isOpen(job) {
		if _, err := in.batch(ctx, []kb.Job{job}, resume, func(Progress) {}); err != nil {
			return job, fmt.Errorf("ingest for tenant %s: %w", in.tenant, err)
		}
		if job, err = in.store.Job(ctx, id); err != nil {
			return job, err
		}
	}
	if isOpen(job) {
		return job, kb.E(kb.Unavailable, nil, "the file of job %s has not arrived", id)
	}
	if err := in.clear(ctx, id); err != nil {
		return job, err
	}
	return job, in.mergeSegments(ctx) // where each file is an event, nobody comes by later
}

func isOpen(j kb.Job) bool { return j.Status == kb.Pending || j.Status == kb.Processing }

// clear removes what lies in the inbox for a job that has ended.
func (in *Ingester) clear(ctx context.Context, id kb.JobID) error {
	key := inboxKey(in.tenant, id)
	keys := []string{key}
	infos, _, err := in.bucket.List(ctx, key+".", "", 100) // marks
	for _, o := range infos {
		keys = append(keys, o.Key)
	}
	if err == nil {
		err = in.bucket.Delete(ctx, keys...)
	}
	if err != nil {
		return fmt.Errorf("clear inbox of job %s: %w", id, err)
	}
	return nil
}

// Continue asks for another try of a job in a fresh invocation: a new object
// in the inbox is a new event. It is small, the bytes stay where they are.
func (in *Ingester) Continue(ctx context.Context, id kb.JobID, now time.Time) error {
	key := fmt.Sprintf("%s.%s%d", inboxKey(in.tenant, id), more, now.UnixMilli())
	_, err := in.bucket.Create(ctx, key, strings.NewReader(""))
	if err != nil && !errors.Is(err, objstore.ErrExist) {
		return fmt.Errorf("ask for another try of job %s: %w", id, err)
	}
	return nil
}

// Sweep does the open jobs that nobody touched since before: their event was
// lost, or who had them died. It also removes what ended jobs left behind, and
// merges the index. Failures of single jobs are returned together.
func (in *Ingester) Sweep(ctx context.Context, before time.Time) error {
	jobs, err := in.store.OpenJobs(ctx, upToJobs) // the longest untouched first
	if err != nil {
		return err
	}
	var errs []error
	for _, j := range jobs {
		if j.Updated.After(before) {
			continue
		}
		if _, err := in.One(ctx, j.ID, true); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
	errs = append(errs, in.store.SweepSegments(ctx, time.Now().Add(-time.Hour)), in.sweepInbox(ctx, false), in.mergeSegments(ctx))
	return errors.Join(errs...)
}

// Waiting lists the tenants that have something in the inbox.
func (w *Worker) Waiting(ctx context.Context) ([]kb.TenantID, error) { return w.waiting(ctx) }
