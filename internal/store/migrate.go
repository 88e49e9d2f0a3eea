package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// Databases carry three numbers in table meta: schema, the newest expansion
// they have; min_reader and min_writer, the oldest programs that still
// understand them. A release N
//
//   - expands: it may add tables, columns with a default, and indexes. Program
//     N-1 neither sees nor breaks them, so it goes on reading and writing;
//   - contracts what N-1 expanded away: only when asked to, and then raises
//     min_reader and min_writer to N-1, so that anything older is refused.
//
// Opening never migrates (DESIGN §4). Several programs have a database open at
// once, and a roll-out may be rolled back: an expansion that the first start
// of a new program ran would be decided by accident, and would take its
// commit at the moment when everything else starts, too. `bin/server migrate`
// does it, database after database, and can be repeated; program N therefore
// also works on a database of N-1 that was not migrated yet, and says what to
// do about an older one.

// step is what one release changed, in SQL.
type step struct {
	schema                          int // the release's number
	tenantExpand, controlExpand     string
	tenantContract, controlContract string
}

// steps are the releases after the first, in order. There is none yet.
func steps() []step { return nil }

func (s step) expandSQL(control bool) string {
	sql := s.tenantExpand
	if control {
		sql = s.controlExpand
	}
	return fmt.Sprintf("%s;\nUPDATE meta SET value = %d WHERE key = 'schema'", orNothing(sql), s.schema)
}

func (s step) contractSQL(control bool) string {
	sql := s.tenantContract
	if control {
		sql = s.controlContract
	}
	return fmt.Sprintf("%s;\nUPDATE meta SET value = %d WHERE key IN ('min_reader', 'min_writer')", orNothing(sql), s.schema)
}

func orNothing(sql string) string {
	if strings.TrimSpace(sql) == "" {
		return "SELECT 1"
	}
	return strings.TrimRight(strings.TrimSpace(sql), ";")
}

// baseSchema is the schema that a database has at least: that of the release
// before this one, or of the first.
func baseSchema(control bool) string {
	if control {
		return controlSQL
	}
	return schemaSQL
}

// versions are the three numbers.
type versions struct{ schema, minReader, minWriter int }

func readVersions(c *tenant.Conn) (v versions, err error) {
	err = c.Query(func(r *tenant.Row) error {
		switch r.Text(0) {
		case "schema":
			v.schema = r.Int(1)
		case "min_reader":
			v.minReader = r.Int(1)
		case "min_writer":
			v.minWriter = r.Int(1)
		}
		return nil
	}, `SELECT key, value FROM meta WHERE key IN ('schema', 'min_reader', 'min_writer')`)
	return v, err
}

// guarded checks the numbers inside every transaction: another program may
// contract a database that this one has had open for days.
type guarded struct {
	handle
	knows int // the newest schema this program knows
}

func (g guarded) Read(ctx context.Context, fn func(*tenant.Conn) error) error {
	return g.handle.Read(ctx, func(c *tenant.Conn) error {
		if err := g.allow(c, false); err != nil {
			return err
		}
		return fn(c)
	})
}

func (g guarded) Commit(ctx context.Context, key string, fn func(*tenant.Conn) error) error {
	return g.handle.Commit(ctx, key, func(c *tenant.Conn) error {
		if err := g.allow(c, true); err != nil {
			return err
		}
		return fn(c)
	})
}

func (g guarded) allow(c *tenant.Conn, write bool) error {
	v, err := readVersions(c)
	if err != nil {
		return err
	}
	refuse := func(what string, n int) error {
		return kb.E(kb.Unavailable, nil, "tenant %s needs a newer program: its %s is %d, this program knows %d; update the program", g.ID(), what, n, g.knows)
	}
	switch {
	case v.minReader > g.knows:
		return refuse("min_reader", v.minReader)
	case write && v.minWriter > g.knows:
		return refuse("min_writer", v.minWriter)
	case v.schema < g.knows-1:
		return kb.E(kb.Unavailable, nil, "tenant %s has schema %d, this program needs %d at least; run: bin/server migrate", g.ID(), v.schema, g.knows-1)
	}
	return nil
}

// Migrated is what Migrate did to one database.
type Migrated struct {
	From, To   int // schema
	Contracted int // min_reader and min_writer now, if they were raised
}

// Migrate expands the database of h to the schema of this program, in one
// commit. With contract it also takes away what the release before expanded
// away; do that when no program older than that one runs any more. On a
// database that is there already it changes nothing.
func Migrate(ctx context.Context, h handle, contract bool) (Migrated, error) {
	return migrate(ctx, h, contract, schemaVersion, steps())
}

func migrate(ctx context.Context, h handle, contract bool, knows int, all []step) (m Migrated, err error) {
	control := h.ID() == ControlID
	err = h.Commit(ctx, "", func(c *tenant.Conn) error {
		m = Migrated{}
		v, err := readVersions(c)
		if err != nil {
			return err
		}
		if v.minWriter > knows {
			return kb.E(kb.Conflict, nil, "tenant %s was migrated by a newer program (min_writer %d, this program knows %d)", h.ID(), v.minWriter, knows)
		}
		m.From, m.To = v.schema, v.schema
		for _, s := range all {
			if s.schema > v.schema {
				if err := c.Script(s.expandSQL(control)); err != nil {
					return fmt.Errorf("expand to schema %d: %w", s.schema, err)
				}
				m.To = s.schema
			}
			if contract && s.schema < knows && s.schema > v.minWriter {
				if err := c.Script(s.contractSQL(control)); err != nil {
					return fmt.Errorf("contract to schema %d: %w", s.schema, err)
				}
				m.Contracted = s.schema
			}
		}
		return nil
	})
	if err != nil {
		return m, fmt.Errorf("migrate %s: %w", h.ID(), err)
	}
	return m, nil
}
