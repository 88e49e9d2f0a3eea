package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/serverless/emulator"
)

const rootKey = "a-key-for-measuring-that-opens-nothing-else"

// settings are those of template.yaml that matter to a start, on a local
// bucket and without models.
func settings(db string) map[string]string {
	return map[string]string{
		"SERVER_MODE": "release", "SERVERLESS_PLATFORM": "lambda", "DATABASE_BASE_PATH": db, "LOGGING_FORMAT": "json",
		"ROOT_KEY": rootKey, "TENANTS_PUBLIC_CHAT": "on", "RATE_LIMIT_PUBLIC_PER_MINUTE": "0",
	}
}

// standard fills a store with a tenant of 5 MB and returns the functions with
// their limits (issue 5, Benchmarks).
func standard(ctx context.Context, bins, db string) ([]emulator.ColdTarget, error) {
	env := settings(db)
	if err := fill(ctx, bins, db, env); err != nil {
		return nil, fmt.Errorf("fill the store: %w", err)
	}
	web := maps.Clone(env)
	web["SERVERLESS_PLATFORM"] = "fc-custom"
	bin := func(name string) string { return filepath.Join(bins, name) }
	key := map[string]string{"X-API-Key": rootKey}
	ask, stream := `{"query":"What is the opening code of vault 4711?","stream":true}`, `"type":"chunk"`
	return []emulator.ColdTarget{
		{Name: "health", Binary: bin("health"), On: "rest", Path: "/health/live", Max: 2.5, Env: env},
		{Name: "health, store asked", Binary: bin("health"), On: "rest", Path: "/health", Env: env},
		{Name: "admin", Binary: bin("admin"), On: "rest", Path: "/api/v1/documents?tenant=small", Header: key, Max: 4, Env: env},
		{Name: "ingest", Binary: bin("ingest"), On: "event", Body: `{"qa":"sweep"}`, Max: 4, Env: env},
		{Name: "backup", Binary: bin("backup"), On: "event", Body: `{"qa":"backup"}`, Max: 4, Env: env},
		{Name: "chat", Binary: bin("chat"), On: "rest_stream", Path: "/chat", Body: ask, Until: stream, Max: 6, Env: env},
		{Name: "chat nomilvus", Binary: bin("chat-nomilvus"), On: "rest_stream", Path: "/chat", Body: ask, Until: stream, Max: 3.5, Env: env},
		{Name: "chat, web function", Binary: bin("chat"), On: "fc_web", Path: "/chat", Body: ask, Until: stream, Env: web},
	}, nil
}

// Documents of the tenant: 3.9 MB of text make a database of 5 MB with its
// index, which is what issue 5 asks for.
const (
	documents     = 24
	documentBytes = 160 << 10
	leastBytes    = 5_000_000
)

// fill sends the documents through the functions admin and ingest.
func fill(ctx context.Context, bins, db string, env map[string]string) error {
	admin, err := emulator.StartLambda(ctx, emulator.Options{Binary: filepath.Join(bins, "admin"), Env: env})
	if err != nil {
		return err
	}
	defer admin.Close()
	gate := &emulator.Gateway{Instance: admin, Shape: emulator.REST}
	r := rand.New(rand.NewPCG(1, 2)) // the same text each time
	for i := range documents + 1 {
		tenant, content := "default", ""
		if i == documents {
			tenant, content = "small", "A tenant that has little."
		} else {
			content = text(r, i)
		}
		body, err := json.Marshal(map[string]string{"title": fmt.Sprintf("Document %d", i), "text": content})
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://bench.example/api/v1/documents", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("X-API-Key", rootKey)
		req.Header.Set("X-Tenant-ID", tenant)
		res, err := gate.RoundTrip(req)
		if err != nil {
			return err
		}
		said, err := io.ReadAll(res.Body)
		if _ = res.Body.Close(); err != nil || res.StatusCode != http.StatusAccepted {
			return fmt.Errorf("document %d: %d %.200s %w", i, res.StatusCode, said, err)
		}
	}
	ingest, err := emulator.StartLambda(ctx, emulator.Options{Binary: filepath.Join(bins, "ingest"), Env: env})
	if err != nil {
		return err
	}
	defer ingest.Close()
	err = filepath.WalkDir(filepath.Join(db, "inbox"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(db, p)
		if err != nil {
			return err
		}
		rep, err := ingest.Invoke(ctx, emulator.S3Created("bench", filepath.ToSlash(key), documentBytes))
		if err == nil {
			_, err = rep.Whole()
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := backUp(ctx, bins, env); err != nil {
		return err
	}
	return measure(db)
}

// asleep returns what puts db back to what it is now, an hour ago: each cold
// start is that of a tenant that has slept since its backup. Without it, the
// later starts of a run found the turns of the earlier ones as so many commits
// more, just written: three milliseconds after thirty of them.
func asleep(db string) (sleep func() error, err error) {
	kept := db + ".kept"
	if err := os.Rename(db, kept); err != nil {
		return nil, err
	}
	return func() error {
		if err := os.RemoveAll(db); err != nil {
			return err
		}
		if err := os.CopyFS(db, os.DirFS(kept)); err != nil {
			return err
		}
		return age(db)
	}, nil
}

// measure fails if the tenant's database is smaller than it is said to be.
func measure(db string) error {
	snaps, err := filepath.Glob(filepath.Join(db, "t", "default", "*", "ltx", "9", "*.ltx"))
	if err != nil || len(snaps) == 0 {
		return fmt.Errorf("no snapshot of the tenant: %w", cmp.Or(err, fs.ErrNotExist))
	}
	b, err := os.ReadFile(snaps[len(snaps)-1])
	if err != nil {
		return err
	}
	h, err := commitlog.ParseHeader(b)
	if err != nil {
		return err
	}
	if n := int64(h.Commit) * int64(h.PageSize); n < leastBytes {
		return fmt.Errorf("the tenant's database has %d bytes, want %d at least", n, leastBytes)
	}
	return nil
}

// age makes all of db an hour old: a tenant sleeps. What a folder got only just
// now is made durable once more by who reads it, which waits for the disk.
func age(db string) error {
	then := time.Now().Add(-time.Hour)
	return filepath.WalkDir(db, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chtimes(p, then, then)
	})
}

// backUp runs the function backup once: a tenant that has slept for a while
// has been compacted, and has a snapshot.
func backUp(ctx context.Context, bins string, env map[string]string) error {
	backup, err := emulator.StartLambda(ctx, emulator.Options{Binary: filepath.Join(bins, "backup"), Env: env})
	if err != nil {
		return err
	}
	defer backup.Close()
	rep, err := backup.Invoke(ctx, []byte(`{"qa":"backup"}`))
	if err == nil {
		_, err = rep.Whole()
	}
	return err
}

// text is one document: words that sound alike, and one sentence to find.
func text(r *rand.Rand, n int) string {
	syllables := strings.Fields("ka lo mi ren tos vel dra shi pon qua fer nel bri sto um ga")
	var b strings.Builder
	for line := 0; b.Len() < documentBytes; line++ {
		if line%40 == 0 {
			fmt.Fprintf(&b, "\n## Section %d of document %d\n\n", line/40, n)
		}
		for range 12 {
			for range 2 + r.IntN(2) {
				b.WriteString(syllables[r.IntN(len(syllables))])
			}
			b.WriteByte(' ')
		}
		b.WriteString("ends here.\n")
		if n == documents/2 && line == 300 {
			b.WriteString("The opening code of vault 4711 is kept by the harbour master.\n")
		}
	}
	return b.String()
}
