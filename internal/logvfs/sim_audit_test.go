package logvfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/ioutil"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/readervfs"
	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
)

type sqlVFSFile = vfs.File

// replica is the oracle: a lineage rebuilt from the first content of every
// slot, by the library's own decoder and nothing of ours.
type replica struct {
	pages []uint64            // checksum of all pages after each commit, from 0
	sums  []string            // SQL state after each commit
	ids   map[string]ltx.TXID // the commit in which each row of oplog appeared
	last  map[string]bool     // rows at the end
	db    []byte              // at the end
	end   int
}

// replay rebuilds lin up to commit end, 0 for all that is contiguous.
func (s *sim) replay(t *testing.T, lin commitlog.Lineage, end ltx.TXID) *replica {
	r := &replica{pages: []uint64{0}, sums: []string{""}, ids: map[string]ltx.TXID{}, last: map[string]bool{}}
	for id := ltx.TXID(1); end == 0 || id <= end; id++ {
		raw := s.first[fmt.Sprintf("%s/%s/%s/%s", tenant, lin, s.commits(), ltx.FormatFilename(id, id))]
		if raw == nil {
			break
		}
		dec := ltx.NewDecoder(bytes.NewReader(raw))
		if err := dec.DecodeHeader(); err != nil {
			t.Fatalf("oracle: %v", err)
		}
		h := dec.Header()
		if h.WALOffset != 0 { // a seal
			break
		}
		size := int(h.Commit) * pageSize
		if len(r.db) < size {
			r.db = append(r.db, make([]byte, size-len(r.db))...)
		}
		r.db = r.db[:size]
		var ph ltx.PageHeader
		page := make([]byte, pageSize)
		for {
			err := dec.DecodePage(&ph, page)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("oracle: %v", err)
			}
			copy(r.db[int(ph.Pgno-1)*pageSize:], page)
		}
		r.end = int(id)
		r.note(t, id)
	}
	return r
}

func (r *replica) note(t *testing.T, id ltx.TXID) {
	sum := uint64(0)
	for n := 0; n < len(r.db)/pageSize; n++ {
		sum ^= uint64(ltx.ChecksumPage(uint32(n+1), r.db[n*pageSize:(n+1)*pageSize])) &^ (1 << 63)
	}
	r.pages = append(r.pages, sum)
	c := openBytes(t, r.db)
	defer c.Close()
	state, err := simState(c)
	if err != nil {
		t.Fatalf("oracle: commit %d: %v", id, err)
	}
	r.sums = append(r.sums, state)
	clear(r.last)
	if state == "" {
		return
	}
	st, _, err := c.Prepare("SELECT id FROM oplog")
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	defer st.Close()
	for st.Step() {
		row := st.ColumnText(0)
		r.last[row] = true
		if r.ids[row] == 0 {
			r.ids[row] = id
		}
	}
}

// openBytes opens a database in memory for reading.
func openBytes(t testing.TB, db []byte) *sqlite3.Conn {
	name := fmt.Sprintf("oracle-%p-%d", &db[0], len(db))
	readervfs.Create(name, ioutil.NewSizeReaderAt(bytes.NewReader(db)))
	defer readervfs.Delete(name)
	c, err := sqlite3.Open("file:" + name + "?vfs=reader")
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	return c
}

// audit compares everything that was promised with the oracle.
func (s *sim) audit(t *testing.T) {
	type place struct {
		gen uint64
		id  ltx.TXID
	}
	lineages := map[commitlog.Lineage]*replica{}
	where := map[string]place{}
	gens := map[commitlog.Lineage]uint64{}
	var live *replica
	deleted := true
	for g := uint64(1); ; g++ {
		h, _, ok := s.headAt(g)
		if !ok {
			break
		}
		live, deleted = nil, h.Deleted
		if h.Deleted {
			continue
		}
		end := ltx.TXID(0)
		if next, step, ok := s.headAt(g + 1); ok {
			// What counts ends before the seal; without one, when the next
			// pointer appeared.
			if end = next.Seal - 1; next.Seal == 0 {
				end = s.slotsBefore(h.Lineage, step)
			}
		}
		r := s.replay(t, h.Lineage, end)
		lineages[h.Lineage], gens[h.Lineage], live = r, g, r
		for id, at := range r.ids {
			if _, known := where[id]; !known && r.last[id] {
				where[id] = place{g, at}
			}
		}
		for i, sum := range r.sums {
			var counter, rows, total int
			if fmt.Sscan(sum, &counter, &rows, &total); sum != "" && (counter != rows || total != simTotal) {
				s.fault("%s at %d: counter, rows, money = %s", h.Lineage, i, sum)
			}
		}
	}
	for _, o := range s.ops {
		_, there := where[o.id]
		switch {
		case o.outcome == "ok" && !there:
			s.fault("%s was acknowledged at step %d and is lost", o.id, o.ended)
		case o.outcome == "no" && there:
			s.fault("%s was refused (%v) and is there", o.id, o.detail)
		}
	}
	sort.SliceStable(s.looks, func(i, j int) bool { return s.looks[i].started < s.looks[j].started })
	for _, l := range s.looks {
		r, g := lineages[l.state.Lineage], gens[l.state.Lineage]
		if r == nil || int(l.state.TXID) >= len(r.pages) {
			s.fault("a read at step %d saw commit %d of %s, which never was", l.started, l.state.TXID, l.state.Lineage)
			continue
		}
		if l.pages != r.pages[l.state.TXID] || l.sum != r.sums[l.state.TXID] {
			s.fault("a read of commit %d saw %q %x, the oracle has %q %x", l.state.TXID, l.sum, l.pages, r.sums[l.state.TXID], r.pages[l.state.TXID])
		}
		for _, o := range s.ops {
			at, ok := where[o.id]
			if o.outcome != "ok" || o.ended >= l.started || !ok {
				continue
			}
			if at.gen > g || at.gen == g && at.id > l.state.TXID {
				s.fault("a strong read at step %d (pointer %d, commit %d) misses %s, acknowledged at step %d in commit %d of pointer %d",
					l.started, g, l.state.TXID, o.id, o.ended, at.id, at.gen)
			}
		}
	}
	if !deleted && live != nil {
		s.compareFresh(t, live)
	}
}

// slotsBefore counts the slots of lin that were taken before step.
func (s *sim) slotsBefore(lin commitlog.Lineage, step int) (n ltx.TXID) {
	for {
		key := fmt.Sprintf("%s/%s/%s/%s", tenant, lin, s.commits(), ltx.FormatFilename(n+1, n+1))
		if s.first[key] == nil || s.when[key] > step {
			return n
		}
		n++
	}
}

// compareFresh opens what the store holds now and compares it byte by byte.
func (s *sim) compareFresh(t *testing.T, want *replica) {
	log, err := commitlog.New(s.store, tenant, s.config("fresh", 0).Log)
	if err != nil {
		t.Fatal(err)
	}
	h, err := log.Head(context.Background())
	if err != nil {
		s.fault("fresh open: %v", err)
		return
	}
	var got bytes.Buffer
	if err := log.WriteDatabase(context.Background(), h.Lineage, 0, &got); err != nil {
		s.fault("fresh open: %v", err)
		return
	}
	if !bytes.Equal(got.Bytes(), want.db) {
		s.fault("the store holds %d bytes that differ from the oracle's %d after commit %d", got.Len(), len(want.db), want.end)
	}
	if len(want.db) == 0 {
		return
	}
	c := openBytes(t, got.Bytes())
	defer c.Close()
	if ok, err := queryText(c, "PRAGMA integrity_check"); err != nil || !strings.EqualFold(ok, "ok") {
		s.fault("fresh open: integrity_check: %s %v", ok, err)
	}
}
