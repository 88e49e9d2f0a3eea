package objstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// SelfTest checks in about ten round trips, at every start, that b keeps the
// promises that acknowledged writes depend on. It works below prefix, which
// may hold other objects, and leaves nothing there. Its error is a
// kb.Unavailable that names the broken promise and what it would cost; where b
// is a Checker, its reason comes first.
func SelfTest(ctx context.Context, b Bucket, prefix string) (err error) {
	if c, ok := b.(Checker); ok {
		if err := c.Check(ctx); err != nil {
			return refuse("is not fit", err, "see the reason")
		}
	}
	// Random: two servers may start at once, and a killed test leaves objects.
	s := &selfTest{b: b, dir: strings.TrimSuffix(prefix, "/") + "/selftest-" + rand.Text()}
	s.dir = strings.TrimPrefix(s.dir, "/")
	defer func() {
		// Also after a timeout: nothing may be left behind.
		if derr := b.Delete(context.WithoutCancel(ctx), s.keys...); derr != nil && err == nil {
			err = refuse("cannot delete", derr, "backups could not expire what is old; allow deleting to these credentials")
		}
	}()
	for _, step := range []func(context.Context) error{s.absent, s.race, s.refused, s.ranges, s.list} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func refuse(broken string, cause error, why string) error {
	msg := "storage " + broken + ": " + why
	if kb.KindOf(cause) != kb.Internal {
		return fmt.Errorf("storage self-test: %s: %w", msg, cause) // classified where it is known
	}
	return kb.E(kb.Unavailable, cause, "%s", msg)
}

type selfTest struct {
	b    Bucket
	dir  string
	keys []string // to be deleted
	won  []byte   // what the winner of the race wrote
}

func (s *selfTest) key(name string) string {
	key := s.dir + "/" + name
	if !slices.Contains(s.keys, key) {
		s.keys = append(s.keys, key)
	}
	return key
}

// absent asks for the slot first: a store that remembers absence shows in race.
func (s *selfTest) absent(ctx context.Context) error {
	_, _, err := s.b.Get(ctx, s.key("slot"))
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.New("an object nobody wrote was returned")
	}
	return refuse("cannot be read", err, "an absent object must be reported as absent; check address, bucket and credentials (S3 says 403 instead without s3:ListBucket)")
}

func (s *selfTest) race(ctx context.Context) error {
	const writers = 4 // enough to overlap; objstoretest takes 16
	key := s.key("slot")
	var (
		wg   sync.WaitGroup
		errs [writers]error
	)
	bodies := make([][]byte, writers)
	for i := range writers {
		bodies[i] = fmt.Appendf(nil, "writer %d of %s", i, s.dir)
		wg.Go(func() { _, errs[i] = s.b.Create(ctx, key, bytes.NewReader(bodies[i])) })
	}
	wg.Wait()
	wins := 0
	for i, err := range errs {
		switch {
		case err == nil:
			wins++
			s.won = bodies[i]
		case errors.Is(err, ErrConflict): // undecided is a legal answer to a loser
		case !errors.Is(err, ErrExist):
			return refuse("cannot create objects", err, "nothing could be saved; check that these credentials may write")
		}
	}
	if wins != 1 {
		return refuse("does not create conditionally", fmt.Errorf("%d of %d writers of one object won", wins, writers),
			"two servers would overwrite each other's commits; use a store that honours If-None-Match (S3) or forbid-overwrite (OSS without versioning)")
	}
	got, info, err := s.b.Get(ctx, key)
	if err == nil && (!bytes.Equal(got, s.won) || info.Size != int64(len(s.won))) {
		err = fmt.Errorf("read %q of %d bytes, want %q", got, info.Size, s.won)
	}
	if err != nil {
		return refuse("does not return what was just created", err, "a server would miss the newest commits; put no cache before the store, and mount folders without negative caching")
	}
	return nil
}

func (s *selfTest) refused(ctx context.Context) error {
	key := s.key("slot")
	_, err := s.b.Create(ctx, key, strings.NewReader("a late writer"))
	if !errors.Is(err, ErrExist) {
		if err == nil {
			err = errors.New("a second create of the same object succeeded")
		}
		return refuse("does not refuse to create what exists", err, "a late writer would overwrite acknowledged commits; switch bucket versioning off and use a store with conditional writes")
	}
	got, _, err := s.b.Get(ctx, key)
	if err == nil && !bytes.Equal(got, s.won) {
		err = fmt.Errorf("read %q, want %q", got, s.won)
	}
	if err != nil {
		return refuse("changed an object although it refused to", err, "acknowledged commits could be lost")
	}
	return nil
}

func (s *selfTest) ranges(ctx context.Context) error {
	for _, c := range [][2]int64{{2, 5}, {-4, 4}} {
		got, info, err := s.b.GetRange(ctx, s.key("slot"), c[0], c[1])
		start, n, _ := Span(int64(len(s.won)), c[0], c[1])
		if err == nil && (!bytes.Equal(got, s.won[start:start+n]) || info.Size != int64(len(s.won))) {
			err = fmt.Errorf("range %d+%d of %q is %q of %d bytes", c[0], c[1], s.won, got, info.Size)
		}
		if err != nil {
			return refuse("does not read ranges", err, "large databases could not be opened page by page; put no proxy before the store that drops Range")
		}
	}
	return nil
}

func (s *selfTest) list(ctx context.Context) error {
	late := s.key("slot-2")
	if _, err := s.b.Create(ctx, late, strings.NewReader("listed")); err != nil {
		return refuse("cannot create objects", err, "nothing could be saved")
	}
	infos, more, err := s.b.List(ctx, s.dir+"/", "", 10)
	if err == nil && (len(infos) != 2 || more || infos[0].Key != s.key("slot") || infos[1].Key != late) {
		err = fmt.Errorf("listed %v, more %v", infos, more)
	}
	if err == nil {
		infos, _, err = s.b.List(ctx, s.dir+"/", s.key("slot"), 10)
		if err == nil && (len(infos) != 1 || infos[0].Key != late) {
			err = fmt.Errorf("listed %v after the first", infos)
		}
	}
	if err != nil {
		return refuse("does not list what was just created, in order", err, "a server that wakes up would miss commits; use a store with consistent lists")
	}
	return nil
}
