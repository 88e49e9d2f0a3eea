package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/retrieve"
)

func TestTheTenantsUsedLastAreKept(t *testing.T) {
	s := newTenantSet()
	s.most = 3
	at := time.Unix(0, 0)
	tick := func() time.Time { at = at.Add(2 * time.Second); return at }
	one := func() *Tenant { return &Tenant{Retrieve: retrieve.New(nil, retrieve.Config{})} }
	for i := range 3 {
		s.keep(kb.TenantID(fmt.Sprint(i)), one(), tick())
	}
	first := s.get("0", tick()) // now 1 is the oldest
	if first == nil {
		t.Fatal("a tenant within the bound was dropped")
	}
	s.keep("3", one(), tick())
	for id, kept := range map[kb.TenantID]bool{"0": true, "1": false, "2": true, "3": true} {
		if got := s.get(id, tick()) != nil; got != kept {
			t.Errorf("tenant %s kept: %v, want %v", id, got, kept)
		}
	}
	if again := s.keep("0", one(), tick()); again != first {
		t.Error("a second opener replaced the parts that others use")
	}
	s.forget("0")
	if s.get("0", tick()) != nil {
		t.Error("a forgotten tenant is still kept")
	}
}

func TestTenantsThatHoldTooMuchAreDroppedButNotTheLast(t *testing.T) {
	s := newTenantSet()
	s.budget = -1 // whatever they hold is too much
	at := time.Unix(0, 0)
	for i := range 3 {
		at = at.Add(time.Second)
		s.keep(kb.TenantID(fmt.Sprint(i)), &Tenant{Retrieve: retrieve.New(nil, retrieve.Config{})}, at)
	}
	if len(s.held) != 1 || s.held["2"] == nil {
		t.Errorf("kept %d tenants, want the last one alone", len(s.held))
	}
}
