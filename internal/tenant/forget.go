package tenant

import "github.com/eino-qa/eino-qa/internal/kb"

// Forget closes the database of a tenant once nobody uses it, so that the next
// use opens it anew: a database that was open before its tenant was deleted
// does not make it again. Who still uses it may commit beside the new one, which
// sees that after Refresh, like the commits of another process.
func (r *Registry) Forget(id kb.TenantID) {
	r.mu.Lock()
	e := r.entries[id]
	unused := false
	if e != nil {
		r.drop(e)
		e.gone = true
		unused = e.refs == 0
	}
	r.mu.Unlock()
	if unused {
		e.db.Close()
	}
}
