package tenant_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore/dir"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// resident is what the process has in memory, in bytes.
func resident(b *testing.B) int64 {
	runtime.GC()
	debug.FreeOSMemory()
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("needs /proc")
	}
	var size, pages int64
	fmt.Sscan(string(raw), &size, &pages)
	return pages * int64(os.Getpagesize())
}

// BenchmarkSleepingTenants wakes a thousand tenants with the service's schema,
// one after the other, and reports what they take when all sleep: resident
// memory of the whole process, and requests to the store. It fails beyond
// what issue "Storage" allows.
func BenchmarkSleepingTenants(b *testing.B) {
	const n, most = 1000, 64 << 20
	bucket, err := dir.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer bucket.Close()
	m := objstoretest.NewMeter(bucket, 0)
	cfg := tenant.Config{Bucket: m, Folder: true, Schema: store.Schema}
	id := func(i int) kb.TenantID { return kb.TenantID(fmt.Sprintf("t%d", i)) }
	made := tenant.NewRegistry(cfg)
	for i := range n {
		if _, err := made.Create(b.Context(), id(i)); err != nil {
			b.Fatal(err)
		}
	}
	made.Close()
	for b.Loop() {
		before := resident(b)
		r := tenant.NewRegistry(cfg)
		for i := range n {
			h, err := r.Tenant(b.Context(), id(i))
			if err == nil {
				err = h.Refresh(b.Context())
			}
			if err == nil {
				_, err = store.New(h).Index(b.Context())
			}
			if err == nil {
				err = h.Commit(b.Context(), "", func(c *tenant.Conn) error { return c.Exec(`INSERT OR REPLACE INTO commit_keys VALUES ('touch', 1)`) })
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		m.Reset()
		time.Sleep(time.Second) // timers that somebody left would show
		after, requests := resident(b), m.Usage().Total()
		b.ReportMetric(float64(after)/(1<<20), "MiB-resident")
		b.ReportMetric(float64(after-before)/(1<<20), "MiB-of-tenants")
		b.ReportMetric(float64(requests), "requests")
		if after > most || requests > 0 {
			b.Errorf("%d tenants asleep: %d bytes resident, %d requests; want at most %d and none", n, after, requests, most)
		}
		m.Reset()
		open := 0
		for i := range n { // how many are still there
			h, err := r.Tenant(b.Context(), id(n-1-i))
			if err == nil {
				err = h.Read(b.Context(), func(*tenant.Conn) error { return nil })
			}
			if err != nil {
				b.Fatal(err)
			}
			if m.Usage().Total() > 0 {
				break
			}
			open++
		}
		b.ReportMetric(float64(open), "still-open")
		r.Close()
	}
}
