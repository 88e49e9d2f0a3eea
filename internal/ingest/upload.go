package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/parse"
)

// MaxUpload bounds an announced file: the most that Get returns and parse reads.
const MaxUpload = 64 << 20

// Announce records the job of a file whose bytes will be put under Key by
// somebody else. The job fails if they do not come, or if they are others than
// sum (SHA-256, hex) and size say. f.Data is not looked at.
func (in *Ingester) Announce(ctx context.Context, f kb.File, size int64, sum string) (kb.Submitted, error) {
	name, err := parse.CleanName(f.Name)
	if err != nil {
		return kb.Submitted{}, err
	}
	sum = strings.ToLower(sum)
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
		return kb.Submitted{}, kb.E(kb.Invalid, err, "sha256: send the SHA-256 of the file, 64 hexadecimal digits").With("field", "sha256")
	}
	if size <= 0 || size > MaxUpload {
		return kb.Submitted{}, kb.E(kb.TooLarge, nil, "size: a file has 1 to %d bytes", int64(MaxUpload)).With("field", "size").With("limit_bytes", int64(MaxUpload))
	}
	if f.Replaces != "" {
		if _, err := in.store.Document(ctx, f.Replaces); err != nil {
			return kb.Submitted{}, err
		}
	}
	now := time.Now()
	sub, err := in.store.Submit(ctx, kb.Submission{
		Name: name, Title: f.Title, MIME: f.MIME, SHA256: sum, Bytes: size, Metadata: f.Metadata,
		// Without the text only a name that identifies can be followed.
		Exact: f.Exact, Replaces: f.Replaces, Document: kb.DocumentID(kb.NewID("doc", now)), Job: kb.JobID(kb.NewID("job", now)), Now: now,
	})
	if err != nil || sub.Duplicate && sub.Status == kb.Ready {
		return sub, err
	}
	// The mark keeps the job in sight of the sweep until its bytes come.
	if err := in.put(ctx, inboxKey(in.tenant, sub.Job)+"."+expected, nil); err != nil {
		return sub, kb.E(kb.Unavailable, err, "the upload could not be prepared; try again")
	}
	return sub, nil
}

// Key is where the bytes of an announced job belong.
func (in *Ingester) Key(job kb.JobID) string { return inboxKey(in.tenant, job) }

// Receive stores the bytes of an announced job, for stores that hand out no
// links of their own.
func (in *Ingester) Receive(ctx context.Context, id kb.JobID, data []byte) error {
	job, err := in.store.Job(ctx, id)
	if err != nil {
		return err
	}
	if err := arrived(job, data); err != nil {
		return err
	}
	if !isOpen(job) {
		return nil
	}
	if err := in.put(ctx, inboxKey(in.tenant, id), data); err != nil {
		return kb.E(kb.Unavailable, err, "the file could not be stored; send it again")
	}
	return nil
}

// arrived checks that data is what was announced: an original is kept under
// its hash, and the link to upload it was in a stranger's hands.
func arrived(job kb.Job, data []byte) error {
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != job.SHA256 {
		return kb.E(kb.Invalid, nil, "the bytes that arrived are not those that were announced (sha256); send the file again")
	}
	return nil
}
