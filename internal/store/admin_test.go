package store

import (
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func openControl(t *testing.T) *Control {
	t.Helper()
	c := NewControl(handleOf(t, ControlID))
	root := Key{ID: "root", Hash: "h0", Scopes: []string{"root"}, Created: epoch}
	if won, err := c.Bootstrap(t.Context(), root, nil); err != nil || !won {
		t.Fatal(won, err)
	}
	return c
}

func TestKeysRotateWithAnOverlapAndAreAudited(t *testing.T) {
	t.Parallel()
	c := openControl(t)
	until := epoch.Add(24 * time.Hour)
	e := Entry{At: epoch, Actor: "root", Action: "key.create", Tenant: "acme", Outcome: "done"}
	for i, k := range []Key{
		{ID: "k1", Hash: "h1", Scopes: []string{"chat"}, Tenant: "acme", Created: epoch},
		{ID: "k2", Hash: "h2", Scopes: []string{"chat"}, Tenant: "acme", Created: epoch, Name: "shop"},
	} {
		if err := c.CreateKey(t.Context(), k, map[int]string{1: "k1"}[i], until, e); err != nil {
			t.Fatal(err)
		}
	}
	err := c.CreateKey(t.Context(), Key{ID: "k3", Hash: "h3", Tenant: "other", Created: epoch}, "k1", until, e)
	if kb.KindOf(err) != kb.NotFound {
		t.Errorf("replacing another tenant's key: %v, want not found", err)
	}
	keys, _, err := c.Load(t.Context())
	if err != nil || len(keys) != 3 {
		t.Fatalf("%d keys, %v, want 3", len(keys), err)
	}
	if k := keys[0]; k.ID != "k1" || !k.Expires.Equal(until) {
		t.Errorf("the replaced key: %+v, want it to end at %s", k, until)
	}
	if k := keys[1]; k.ID != "k2" || !k.Expires.IsZero() || k.Name != "shop" {
		t.Errorf("the new key: %+v", k)
	}
	es, next, err := c.Audit(t.Context(), "acme", kb.Page{Limit: 1})
	if err != nil || len(es) != 1 || next == "" || es[0].Actor != "root" {
		t.Errorf("audit: %+v, %q, %v", es, next, err)
	}
	if es, next, err = c.Audit(t.Context(), "acme", kb.Page{Limit: 1, Cursor: next}); err != nil || len(es) != 1 || next != "" {
		t.Errorf("second page: %+v, %q, %v", es, next, err)
	}
}

func TestTheLastRootKeyCannotBeDeleted(t *testing.T) {
	t.Parallel()
	c := openControl(t)
	e := Entry{At: epoch, Action: "key.delete", Outcome: "done"}
	if err := c.DeleteKey(t.Context(), "root", "", false, e); kb.KindOf(err) != kb.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := c.DeleteKey(t.Context(), "root", "acme", false, e); kb.KindOf(err) != kb.NotFound {
		t.Errorf("as a key of another tenant: %v, want not found", err)
	}
	if err := c.DeleteKey(t.Context(), "root", "", true, e); err != nil {
		t.Errorf("with a spare one: %v", err)
	}
	if keys, _, err := c.Load(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("%v, %v", keys, err)
	}
}
