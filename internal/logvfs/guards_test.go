package logvfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	osexec "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
)

// A check plays one hazard and returns what went wrong: nothing with all
// guards on, something with its guard off.
type check struct {
	guard commitlog.Guard
	name  string
	play  func(testing.TB, commitlog.Guard) []string
}

var checks = []check{
	{commitlog.GuardBoundary, "an acknowledged write survives expiry that happened while its writer was frozen", slotReuse},
	{commitlog.GuardBoundary, "a strong read after expiry is not fooled by an empty slot", staleAfterExpiry},
	{commitlog.GuardLineage, "an instance of a deleted tenant cannot write into the one created after it", lineageReuse},
	{commitlog.GuardProbe, "SQLite's page cache does not outlive a commit that left the change counter alone", sameCounter},
	{commitlog.GuardBusy, "a lost race is BUSY_SNAPSHOT and leaves no transaction behind", lostRace},
	{commitlog.GuardSeal, "an acknowledged write is never in a lineage that was replaced before it", writeAfterSwap},
	{commitlog.GuardReadBack, "a commit that was applied although the store failed is not made twice", appliedButFailed},
	{commitlog.GuardChain, "a file of another history in the next slot is refused", foreignFile},
}

func TestEveryHazardIsCoveredByItsGuard(t *testing.T) {
	for _, c := range checks {
		if bad := c.play(t, 0); len(bad) > 0 {
			t.Errorf("%s: %s", c.name, strings.Join(bad, "; "))
		}
		if bad := c.play(t, c.guard); len(bad) == 0 {
			t.Errorf("%s: still holds without its guard: the check proves nothing", c.name)
		} else {
			t.Logf("caught by %q: %s", c.name, bad[0])
		}
	}
}

// guardNames are for the list that the mutation test prints.
var guardNames = map[commitlog.Guard]string{
	commitlog.GuardBoundary: "boundary", commitlog.GuardLineage: "lineage", commitlog.GuardProbe: "cache probe",
	commitlog.GuardBusy: "BUSY_SNAPSHOT", commitlog.GuardSeal: "seal", commitlog.GuardReadBack: "read-back", commitlog.GuardChain: "checksum chain",
}

// TestTheSimulationNoticesMissingGuards removes those guards that protect
// against what the simulation does, and expects it to find the damage.
func TestTheSimulationNoticesMissingGuards(t *testing.T) {
	for _, g := range []commitlog.Guard{commitlog.GuardBoundary, commitlog.GuardSeal, commitlog.GuardReadBack} {
		t.Run(guardNames[g], func(t *testing.T) {
			if slow > 1 {
				t.Skip("slow under the race detector")
			}
			for seed := uint64(1); seed <= 200; seed++ {
				if bad := simulate(t, seed, g, false); len(bad) > 0 {
					t.Logf("seed %d: %s", seed, bad[0])
					return
				}
			}
			t.Error("200 seeds went well without it")
		})
	}
}

func guarded(without commitlog.Guard) Config {
	return Config{Create: true, Log: commitlog.Config{Without: without, CompactEvery: simEvery}}
}

// fresh opens a new instance and returns what it reads.
func fresh(t testing.TB, b objstore.Bucket, sql string) (string, error) {
	db, err := Open(t.Context(), b, tenant, guarded(0))
	if err != nil {
		return "", err
	}
	defer db.Close()
	var got string
	err = db.Read(t.Context(), func(c *sqlite3.Conn) (err error) { got, err = queryText(c, sql); return err })
	return got, err
}

func expire(t testing.TB, log *commitlog.Log) {
	t.Helper()
	h, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.CompactAll(t.Context(), h.Lineage); err != nil {
		t.Fatal(err)
	}
	f, err := log.Snapshot(t.Context(), h.Lineage)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.VerifySnapshot(t.Context(), h.Lineage, f); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond) // what was stored in this very millisecond is too young to expire
	e, err := log.Expire(t.Context(), h.Lineage, f, commitlog.Retention{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Boundary.TXID == 0 {
		t.Fatal("nothing expired")
	}
}

func twoInstances(t testing.TB, without commitlog.Guard) (b *mem.Bucket, one, two *DB) {
	b = new(mem.Bucket)
	one, two = openDB(t, b, guarded(without)), openDB(t, b, guarded(without))
	commit(t, one, "CREATE TABLE k(v); INSERT INTO k VALUES('start')")
	refresh(t, two)
	return b, one, two
}

func slotReuse(t testing.TB, without commitlog.Guard) (bad []string) {
	b, one, two := twoInstances(t, without)
	for i := range 3 * simEvery {
		commit(t, one, fmt.Sprintf("INSERT INTO k VALUES(%d)", i))
	}
	expire(t, one.Log())
	// two slept through all that; its next slot is empty again.
	err := two.Commit(t.Context(), "", exec("INSERT INTO k VALUES('late')"))
	got, rerr := fresh(t, b, "SELECT count(*) FROM k WHERE v = 'late'")
	if err == nil && got != "1" || rerr != nil {
		bad = append(bad, fmt.Sprintf("acknowledged write is there %s times, %v", got, rerr))
	}
	if err := two.Commit(t.Context(), "", exec("INSERT INTO k VALUES('again')")); err != nil {
		bad = append(bad, fmt.Sprintf("commit after the refusal: %v", err))
	}
	if got, err := fresh(t, b, "SELECT count(*) FROM k WHERE v = 'again'"); got != "1" || err != nil {
		bad = append(bad, fmt.Sprintf("second acknowledged write is there %s times, %v", got, err))
	}
	return bad
}

func staleAfterExpiry(t testing.TB, without commitlog.Guard) (bad []string) {
	_, one, two := twoInstances(t, without)
	for i := range 3 * simEvery {
		commit(t, one, fmt.Sprintf("INSERT INTO k VALUES(%d)", i))
	}
	expire(t, one.Log())
	refresh(t, two)
	if got, want := read(t, two, "SELECT count(*) FROM k"), fmt.Sprint(3*simEvery+1); got != want {
		bad = append(bad, fmt.Sprintf("strong read sees %s rows of %s", got, want))
	}
	return bad
}

func lineageReuse(t testing.TB, without commitlog.Guard) (bad []string) {
	b, one, two := twoInstances(t, without)
	for i := range simEvery {
		commit(t, one, fmt.Sprintf("INSERT INTO k VALUES(%d)", i))
	}
	refresh(t, two)
	log := one.Log()
	h, err := log.Head(t.Context())
	if err == nil {
		_, err = log.Delete(t.Context(), h)
	}
	if err == nil {
		err = log.Retire(t.Context(), h.Lineage)
	}
	if err == nil {
		_, err = log.Create(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	// two still holds the pages and the position of the tenant that is gone.
	err = two.Commit(t.Context(), "", exec("CREATE TABLE IF NOT EXISTS k(v); INSERT INTO k VALUES('late')"))
	got, rerr := fresh(t, b, "SELECT count(*) FROM sqlite_schema")
	if err == nil && got != "1" || rerr != nil {
		bad = append(bad, fmt.Sprintf("acknowledged write is not in the new tenant: %s tables, %v", got, rerr))
	}
	refresh(t, two)
	if two.Position().Generation != 3 {
		bad = append(bad, fmt.Sprintf("instance stays at pointer %d, want 3", two.Position().Generation))
	}
	return bad
}

// sameCounter commits, past SQLite, a page change that leaves page 1 alone, as
// a SQLite with batch-atomic writes does.
func sameCounter(t testing.TB, without commitlog.Guard) (bad []string) {
	_, one, _ := twoInstances(t, without)
	if got := read(t, one, "SELECT v FROM k"); got != "start" {
		t.Fatal(got)
	}
	im := one.im
	v := im.current()
	for n := uint32(2); n <= v.commit; n++ {
		old, err := im.read(t.Context(), v, n)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(old[:]), "start", "other", 1)
		if text == string(old[:]) {
			continue
		}
		c := commitlog.Change{Commit: v.commit, Pages: []commitlog.Page{{Pgno: n, Data: []byte(text)}}}
		c.Post = commitlog.XorChecksum(v.state.Checksum, commitlog.Page{Pgno: n, Data: old[:]})
		c.Post = commitlog.XorChecksum(c.Post, c.Pages[0])
		if _, _, err := one.Log().Append(t.Context(), im.stateOf(v), c); err != nil {
			t.Fatal(err)
		}
	}
	refresh(t, one)
	if got := read(t, one, "SELECT v FROM k"); got != "other" {
		bad = append(bad, fmt.Sprintf("read %q after the change to \"other\"", got))
	}
	commit(t, one, "UPDATE k SET v = v || '!'")
	if got := read(t, one, "SELECT v FROM k"); got != "other!" {
		bad = append(bad, fmt.Sprintf("update lost: %q, want \"other!\"", got))
	}
	return bad
}

// lostRace commits on a connection of its own, against a slot that is taken.
func lostRace(t testing.TB, without commitlog.Guard) (bad []string) {
	_, one, two := twoInstances(t, without)
	commit(t, one, "INSERT INTO k VALUES('first')")
	im := two.im
	v := im.current()
	c, err := two.open(t.Context(), im, v, true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.f.begin(t.Context(), v)
	if err := c.Exec("BEGIN IMMEDIATE; INSERT INTO k VALUES('second')"); err != nil {
		t.Fatal(err)
	}
	c.f.armed = true
	err = c.Exec("COMMIT")
	if !errors.Is(err, sqlite3.BUSY_SNAPSHOT) {
		bad = append(bad, fmt.Sprintf("COMMIT = %v, want BUSY_SNAPSHOT", err))
	}
	if !c.GetAutocommit() {
		bad = append(bad, "the transaction is still open: the caller could commit it again on an old state")
	}
	if c.f.committed != nil {
		bad = append(bad, "the loser thinks it has committed")
	}
	refresh(t, two)
	if got := read(t, two, "SELECT group_concat(v) FROM k"); got != "start,first" {
		bad = append(bad, "rows "+got)
	}
	return bad
}

func writeAfterSwap(t testing.TB, without commitlog.Guard) (bad []string) {
	b, one, two := twoInstances(t, without)
	log := one.Log()
	h, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to, err := log.Fork(t.Context(), h.Generation, h.Lineage, 2)
	if err == nil {
		_, err = log.Swap(t.Context(), h, to)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = two.Commit(t.Context(), "", exec("INSERT INTO k VALUES('late')"))
	got, rerr := fresh(t, b, "SELECT count(*) FROM k WHERE v = 'late'")
	if err != nil || got != "1" || rerr != nil {
		bad = append(bad, fmt.Sprintf("commit = %v, and its row is there %s times (%v)", err, got, rerr))
	}
	return bad
}

// failing applies the next create of a slot and reports a failure.
type failing struct {
	objstore.Bucket
	armed bool
}

func (f *failing) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	i, err := f.Bucket.Create(ctx, key, body)
	if f.armed {
		f.armed = false
		return i, errInjected
	}
	return i, err
}

func appliedButFailed(t testing.TB, without commitlog.Guard) (bad []string) {
	f := &failing{Bucket: new(mem.Bucket)}
	db := openDB(t, f, guarded(without))
	commit(t, db, "CREATE TABLE n(v); INSERT INTO n VALUES(0)")
	f.armed = true
	if err := db.Commit(t.Context(), "", exec("UPDATE n SET v = v + 1")); err != nil {
		bad = append(bad, err.Error())
	}
	if got := read(t, db, "SELECT v FROM n"); got != "1" {
		bad = append(bad, "one increment made the counter "+got)
	}
	return bad
}

// foreignFile puts a commit of another history into the next slot, as a
// mistaken copy between folders would.
func foreignFile(t testing.TB, without commitlog.Guard) (bad []string) {
	b, one, two := twoInstances(t, without)
	other := new(mem.Bucket)
	db := openDB(t, other, guarded(0))
	commit(t, db, "CREATE TABLE x(v); INSERT INTO x VALUES(zeroblob(9000))")
	commit(t, db, "INSERT INTO x VALUES(zeroblob(9000))")
	next := commitlog.FileInfo{Min: 3, Max: 3}
	raw, _, err := other.Get(t.Context(), db.Log().Key(db.im.head.Lineage, next))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(t.Context(), one.Log().Key(one.im.head.Lineage, next), strings.NewReader(string(raw))); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Refresh(t.Context()); !errors.Is(err, commitlog.ErrFork) {
		bad = append(bad, fmt.Sprintf("refresh = %v, want ErrFork", err))
	}
	return bad
}

func TestGuardsAreOnOutsideTests(t *testing.T) {
	out, err := gitGrep("git", "grep", "-nE", `Without:|\.Without *=|Guard(Boundary|Lineage|Probe|Busy|Seal|ReadBack|Chain) *\|`, "--", "../../*.go", ":!../../*_test.go")
	if err == nil && strings.TrimSpace(out) != "" {
		t.Errorf("a guard is switched off outside tests:\n%s", out)
	}
}

func gitGrep(name string, args ...string) (string, error) {
	b, err := osexec.Command(name, args...).Output()
	return string(b), err
}
