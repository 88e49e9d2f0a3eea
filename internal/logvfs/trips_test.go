package logvfs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

// rtt is the simulated store of the benchmarks in issue "Storage". Inside a
// synctest bubble it is exact: computing takes no time there.
const rtt = 20 * time.Millisecond

func trips(d time.Duration) float64 { return float64(d) / float64(rtt) }

func TestAWarmTurnIsOnePutAndAtMostFiveGets(t *testing.T) {
	t.Parallel()
	m := objstoretest.NewMeter(new(mem.Bucket), 0)
	db := openDB(t, m, Config{Log: remote})
	commit(t, db, chatSchema)
	for i := range 3 {
		m.Reset()
		refresh(t, db)
		read(t, db, "SELECT count(*) FROM turn")
		commit(t, db, chatTurn(i))
		u := m.Usage()
		if u.Calls[objstoretest.Create] != 1 || u.Calls[objstoretest.Get]+u.Calls[objstoretest.GetRange] > 5 || u.Total() > 6 {
			t.Errorf("turn %d: %s; want 1 create, at most 5 gets, nothing else", i, u)
		}
		if u.In > 12<<10 {
			t.Errorf("turn %d wrote %d bytes, want at most 12 KiB", i, u.In)
		}
		t.Log(u)
	}
}

const chatSchema = `CREATE TABLE session(id TEXT PRIMARY KEY, state TEXT, last INT, turns INT);
CREATE TABLE turn(id TEXT PRIMARY KEY, session TEXT, query TEXT, answer TEXT, sources TEXT, metadata TEXT, at INT);
CREATE INDEX turn_session ON turn(session, at);
CREATE TABLE usage(day TEXT PRIMARY KEY, turns INT, tokens INT);
CREATE TABLE counter(id INTEGER PRIMARY KEY, v INT); INSERT INTO counter VALUES(1, 0)`

func chatTurn(i int) string {
	r := rand.New(rand.NewPCG(uint64(i), 0))
	id := fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
	return fmt.Sprintf(`INSERT INTO session VALUES('s%d','ai',%d,1) ON CONFLICT(id) DO UPDATE SET turns = turns + 1, last = excluded.last;
		INSERT INTO turn VALUES('%s','s%d','how long is the warranty of the %x?','The warranty lasts two years from the day of delivery [1]. %s','[{"doc_id":"d-%x","start":120,"end":180}]','{"intent":"knowledge"}',%d);
		INSERT INTO usage VALUES('2026-11-23',1,700) ON CONFLICT(day) DO UPDATE SET turns = turns + 1, tokens = tokens + 700`,
		i%7, i, id, i%7, r.Uint64(), fmt.Sprintf("%0500x", r.Uint64()), r.Uint64(), i)
}

func TestASingleRowUpdateWritesAtMostOneKilobyte(t *testing.T) {
	t.Parallel()
	m := objstoretest.NewMeter(new(mem.Bucket), 0)
	db := openDB(t, m, Config{Log: remote})
	commit(t, db, chatSchema)
	m.Reset()
	commit(t, db, "UPDATE counter SET v = v + 1")
	if u := m.Usage(); u.In > 1<<10 {
		t.Errorf("single-row update wrote %d bytes, want at most 1 KiB", u.In)
	} else {
		t.Log(u)
	}
}

func TestCatchUpOf500CommitsTakesFewRoundTrips(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	m := objstoretest.NewMeter(b, 0)
	writer, reader := openDB(t, b, Config{Log: remote}), openDB(t, m, Config{Log: remote})
	commit(t, writer, chatSchema)
	for range 499 {
		commit(t, writer, "UPDATE counter SET v = v + 1")
	}
	synctest.Test(t, func(t *testing.T) {
		slow := objstoretest.NewMeter(b, rtt)
		db := reopenAt(t, slow, reader)
		start := time.Now()
		refresh(t, db)
		if got := trips(time.Since(start)); got > 25 {
			t.Errorf("catch-up of 500 commits took %.0f round trips, want at most 25", got)
		} else {
			t.Logf("%.0f round trips: %s", got, slow.Usage())
		}
		if got := read(t, db, "SELECT v FROM counter"); got != "499" {
			t.Errorf("counter = %s", got)
		}
		db.Close()
	})
}

// reopenAt makes a DB on b that stands where from stands.
func reopenAt(t *testing.T, b objstore.Bucket, from *DB) *DB {
	t.Helper()
	db, err := Open(context.Background(), b, tenant, Config{Log: remote})
	if err != nil {
		t.Fatal(err)
	}
	old := from.im
	db.im = &image{
		log: db.log, cache: db.cfg.Cache, head: old.head, cur: old.cur, boundary: old.boundary,
		flights: map[flight]chan struct{}{}, hyd: hydration{turn: make(chan struct{}, 1)},
	}
	return db
}

func TestFourInstancesOfSixteenClientsShareOneTenantFairly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := new(mem.Bucket)
		worst, n := contend(t, b, 4, 16, max(20/slow, 3))
		t.Logf("worst acknowledgement %.0f round trips, %d commits", trips(worst), n)
		if trips(worst) > 100 {
			t.Errorf("worst acknowledgement took %.0f round trips, want at most 100", trips(worst))
		}
	})
}

// contend lets every client of every instance commit n times.
func contend(t testing.TB, b objstore.Bucket, instances, clients, n int) (worst time.Duration, acks int) {
	var dbs []*DB
	for i := range instances {
		cfg := Config{Create: true, Log: remote}
		cfg.Log.Rand = seeded{rand.NewChaCha8([32]byte{byte(i)})}
		db, err := Open(context.Background(), objstoretest.NewMeter(b, rtt), tenant, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		dbs = append(dbs, db)
	}
	commit(t, dbs[0], chatSchema)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, db := range dbs {
		for range clients {
			wg.Go(func() {
				for range n {
					start := time.Now()
					err := db.Commit(context.Background(), "", exec("UPDATE counter SET v = v + 1"))
					mu.Lock()
					if err != nil {
						t.Errorf("commit: %v", err)
					}
					worst, acks = max(worst, time.Since(start)), acks+1
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	refresh(t, dbs[0])
	if got := read(t, dbs[0], "SELECT v FROM counter"); got != fmt.Sprint(instances*clients*n) {
		t.Errorf("counter = %s, want %d", got, instances*clients*n)
	}
	return worst, acks
}

func TestChatIsAcknowledgedWhileAnotherInstanceIngests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p50, p99, bulk := chatBesideIngest(t, 300/slow)
		t.Logf("chat acknowledgement p50 %.1f, p99 %.1f round trips beside %d bulk commits", p50, p99, bulk)
		if p99 > 10 {
			t.Errorf("p99 = %.1f round trips, want at most 10", p99)
		}
	})
}

// chatBesideIngest measures chat commits, in round trips, while another
// instance imports as fast as it can.
func chatBesideIngest(t testing.TB, turns int) (p50, p99 float64, bulk int) {
	b := new(mem.Bucket)
	open := func(i byte) *DB {
		cfg := Config{Create: true, Log: remote}
		cfg.Log.Rand = seeded{rand.NewChaCha8([32]byte{i})}
		db, err := Open(context.Background(), objstoretest.NewMeter(b, rtt), tenant, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	chat, ingest := open(1), open(2)
	defer chat.Close()
	defer ingest.Close()
	commit(t, chat, chatSchema+"; CREATE TABLE seg(id INTEGER PRIMARY KEY, data BLOB)")
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := ingest.CommitBulk(ctx, "", exec("INSERT INTO seg(data) VALUES(zeroblob(200000))")); err == nil {
				bulk++
			}
		}
	})
	var took []float64
	for i := range turns {
		time.Sleep(time.Duration(i%7) * 11 * time.Millisecond)
		start := time.Now()
		commit(t, chat, chatTurn(i))
		took = append(took, trips(time.Since(start)))
	}
	stop()
	wg.Wait()
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], bulk
}

// bigDatabase writes a plain database of about mb megabytes.
func bigDatabase(t testing.TB, mb int) string {
	name := filepath.Join(t.TempDir(), "big.db")
	c, err := sqlite3.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Exec(fmt.Sprintf(`PRAGMA journal_mode=off; PRAGMA synchronous=off; PRAGMA cache_size=-50000;
		CREATE TABLE doc(id INTEGER PRIMARY KEY, body BLOB);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT %d) INSERT INTO doc SELECT i, randomblob(950) FROM n`, mb*1024))
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// importFile makes name the tenant's database.
func importFile(t testing.TB, b objstore.Bucket, layout commitlog.Config, name string) {
	log, err := commitlog.New(b, tenant, layout)
	if err != nil {
		t.Fatal(err)
	}
	h, err := log.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	to, err := log.Import(t.Context(), h.Generation, f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Swap(t.Context(), h, to); err != nil {
		t.Fatal(err)
	}
}

func TestALargeDatabaseIsReadBeforeItIsLoaded(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	const mb = max(32/slow, 6)
	name := bigDatabase(t, mb)
	importFile(t, b, remote, name)
	depth, bytes := coldLookup(t, b, 1<<20)
	t.Logf("first lookup in %d MB: depth %.0f, %.2f %% of the bytes", mb, depth, float64(bytes)/(mb<<20)*100)
	if depth > 7 {
		t.Errorf("first lookup took %.0f round trips, want at most 7 (6, and one to follow the import's pointer)", depth)
	}
	if slow == 1 && bytes > mb<<20/50 {
		t.Errorf("first lookup read %d bytes", bytes)
	}
	db := openDB(t, b, Config{Log: remote, WholeBytes: 1 << 20, Cache: NewCache(8 << 20)})
	commit(t, db, "UPDATE doc SET body = x'00' WHERE id = 5")
	for done, n := false, 0; !done; n++ {
		var err error
		if done, err = db.Hydrate(t.Context()); err != nil || n > 3 {
			t.Fatalf("hydrate: %v", err)
		}
	}
	if got := read(t, db, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check = %s", got)
	}
	if used := db.cfg.Cache.Bytes(); used > 8<<20 {
		t.Errorf("cache holds %d bytes over its budget", used)
	}
}

// coldLookup opens the tenant anew and reads one row.
func coldLookup(t *testing.T, b objstore.Bucket, whole int64) (depth float64, bytes int64) {
	synctest.Test(t, func(t *testing.T) {
		m := objstoretest.NewMeter(b, rtt)
		start := time.Now()
		db, err := Open(context.Background(), m, tenant, Config{Log: remote, WholeBytes: whole})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		opened := m.Usage()
		if got := read(t, db, "SELECT length(body) FROM doc WHERE id = 5234"); got != "950" {
			t.Fatalf("row = %s", got)
		}
		t.Logf("open %s; then %s", opened, m.Usage())
		depth, bytes = trips(time.Since(start)), m.Usage().Out
	})
	return depth, bytes
}

func TestWakingASmallTenantTakesFewRoundTrips(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	db := openDB(t, b, Config{Log: remote})
	commit(t, db, chatSchema+"; CREATE TABLE doc(body)")
	for range 200 / slow {
		commit(t, db, "INSERT INTO doc VALUES(randomblob(25000))")
	}
	synctest.Test(t, func(t *testing.T) {
		m := objstoretest.NewMeter(b, rtt)
		start := time.Now()
		other, err := Open(context.Background(), m, tenant, Config{Log: remote})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		read(t, other, "SELECT count(*) FROM doc")
		if n := trips(time.Since(start)); n > 15 {
			t.Errorf("waking 5 MB took %.0f round trips, want at most 15", n)
		} else {
			t.Logf("%.0f round trips: %s", n, m.Usage())
		}
	})
}
