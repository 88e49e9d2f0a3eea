package logvfs

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore/dir"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

var benchMB = flag.Int("bench.mb", 128, "size of the large database in benchmarks; make bench takes 1024")

// BenchmarkGroupCommit reports how many times more acknowledged commits 128
// clients get with batches than one after the other.
func BenchmarkGroupCommit(b *testing.B) {
	const clients = 128
	rate := func(one bool, d time.Duration) float64 {
		db := openDB(b, objstoretest.NewMeter(new(mem.Bucket), rtt), Config{Log: remote})
		commit(b, db, chatSchema)
		var alone, mu sync.Mutex
		var wg sync.WaitGroup
		n, start := 0, time.Now()
		for range clients {
			wg.Go(func() {
				for time.Since(start) < d {
					if one {
						alone.Lock()
					}
					commit(b, db, "UPDATE counter SET v = v + 1")
					if one {
						alone.Unlock()
					}
					mu.Lock()
					n++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		return float64(n) / time.Since(start).Seconds()
	}
	for b.Loop() {
		single, batched := rate(true, time.Second), rate(false, 2*time.Second)
		b.ReportMetric(single, "unbatched/s")
		b.ReportMetric(batched, "batched/s")
		b.ReportMetric(batched/single, "times")
	}
}

// BenchmarkContention reports the worst acknowledgement of 4 instances of 16
// clients on one tenant, in round trips.
func BenchmarkContention(b *testing.B) {
	for b.Loop() {
		start := time.Now()
		worst, n := contend(b, new(mem.Bucket), 4, 16, 20)
		b.ReportMetric(trips(worst), "worst-trips")
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "acks/s")
	}
}

// BenchmarkChatBesideIngest reports a chat turn's acknowledgement while
// another instance imports, in round trips.
func BenchmarkChatBesideIngest(b *testing.B) {
	for b.Loop() {
		p50, p99, _ := chatBesideIngest(b, 100)
		b.ReportMetric(p50, "p50-trips")
		b.ReportMetric(p99, "p99-trips")
	}
}

// BenchmarkWake reports what opening a 5 MB tenant takes.
func BenchmarkWake(b *testing.B) {
	store := new(mem.Bucket)
	db := openDB(b, store, Config{Log: remote})
	commit(b, db, "CREATE TABLE doc(body)")
	for range 200 {
		commit(b, db, "INSERT INTO doc VALUES(randomblob(25000))")
	}
	for b.Loop() {
		m := objstoretest.NewMeter(store, rtt)
		start := time.Now()
		other := openDB(b, m, Config{Log: remote})
		read(b, other, "SELECT count(*) FROM doc")
		b.ReportMetric(trips(time.Since(start)), "trips")
		b.ReportMetric(float64(m.Usage().Depth), "depth")
		other.Close()
	}
}

// BenchmarkColdLookup reports the first point lookup in a large database.
func BenchmarkColdLookup(b *testing.B) {
	store, err := dir.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	importFile(b, store, remote, bigDatabase(b, *benchMB))
	for b.Loop() {
		m := objstoretest.NewMeter(store, rtt)
		start := time.Now()
		db := openDB(b, m, Config{Log: remote})
		if got := read(b, db, "SELECT length(body) FROM doc WHERE id = 5234"); got != "950" {
			b.Fatal(got)
		}
		b.ReportMetric(trips(time.Since(start)), "trips")
		b.ReportMetric(float64(m.Usage().Depth), "depth")
		b.ReportMetric(float64(m.Usage().Out)/float64(*benchMB<<20)*100, "percent-of-bytes")
		db.Close()
	}
}

// BenchmarkRestore writes a database of 100 MB from a folder as a plain file.
func BenchmarkRestore(b *testing.B) {
	store, err := dir.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	importFile(b, store, remote, bigDatabase(b, 100))
	log, err := commitlog.New(store, tenant, remote)
	if err != nil {
		b.Fatal(err)
	}
	h, err := log.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := os.Create(filepath.Join(b.TempDir(), "restored.db"))
		if err != nil {
			b.Fatal(err)
		}
		if err := log.WriteDatabase(context.Background(), h.Lineage, 0, f); err != nil {
			b.Fatal(err)
		}
		if n, err := f.Seek(0, io.SeekCurrent); err != nil || n < 90<<20 {
			b.Fatalf("%d bytes, %v", n, err)
		}
		f.Close()
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/100MB")
}

// BenchmarkCommitBytes reports what a single-row update and a chat turn write.
func BenchmarkCommitBytes(b *testing.B) {
	m := objstoretest.NewMeter(new(mem.Bucket), 0)
	db := openDB(b, m, Config{Log: remote})
	commit(b, db, chatSchema)
	for i := 0; b.Loop(); i++ {
		m.Reset()
		commit(b, db, "UPDATE counter SET v = v + 1")
		one := m.Usage().In
		m.Reset()
		commit(b, db, chatTurn(i))
		b.ReportMetric(float64(one), "bytes/update")
		b.ReportMetric(float64(m.Usage().In), "bytes/turn")
	}
}

// BenchmarkOpenTenants reports what a small open tenant takes of memory: with
// its connections, and after Rest.
func BenchmarkOpenTenants(b *testing.B) {
	resident := func() float64 {
		runtime.GC()
		debug.FreeOSMemory()
		raw, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			b.Skip("needs /proc")
		}
		var size, pages int64
		fmt.Sscan(string(raw), &size, &pages)
		return float64(pages * int64(os.Getpagesize()))
	}
	for b.Loop() {
		const n = 200
		cache := NewCache(defaultCacheBytes)
		before := resident()
		var dbs []*DB
		for range n {
			db := openDB(b, new(mem.Bucket), Config{Log: remote, Cache: cache})
			commit(b, db, chatSchema)
			read(b, db, "SELECT count(*) FROM turn")
			dbs = append(dbs, db)
		}
		b.ReportMetric((resident()-before)/n/1024, "KiB-open")
		for _, db := range dbs {
			db.Rest()
		}
		b.ReportMetric((resident()-before)/n/1024, "KiB-resting")
	}
}
