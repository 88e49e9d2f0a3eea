package store

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// Difference is what changes in one table when the database of now is replaced
// by that of then.
type Difference struct {
	Table     string
	Then, Now int64 // rows
	Back      int64 // rows of then whose key is gone now
	Gone      int64 // rows of now whose key was not there then
	Changed   int64 // rows of both that differ
}

// CompareFiles counts, per table, the rows that differ between two files that
// InspectFile passed. Tables that are equal are left out.
func CompareFiles(ctx context.Context, then, now string) (ds []Difference, err error) {
	c, err := openFile(ctx, then, "ro", true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	st, _, err := c.Prepare(`ATTACH ? AS cur`)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(st.BindText(1, "file:"+escape(now)+"?mode=ro&immutable=1"), st.Exec(), st.Close()); err != nil {
		return nil, damaged(err)
	}
	var names []string
	err = rows(c, `SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		INTERSECT SELECT name FROM cur.sqlite_schema WHERE type = 'table'`, func(s *sqlite3.Stmt) error {
		names = append(names, s.ColumnText(0))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		d, err := compareTable(c, name)
		if err != nil {
			return nil, err
		}
		if d.Back+d.Gone+d.Changed > 0 {
			ds = append(ds, d)
		}
	}
	return ds, nil
}

func compareTable(c *sqlite3.Conn, table string) (Difference, error) {
	d := Difference{Table: table}
	then, err := columns(c, "main", table)
	if err != nil {
		return d, err
	}
	now, err := columns(c, "cur", table)
	if err != nil {
		return d, err
	}
	var key, differ []string
	for _, col := range then {
		q := quote(col.name)
		switch {
		case col.pk > 0:
			key = append(key, "a."+q+" = b."+q)
		case slices.ContainsFunc(now, func(o column) bool { return o.name == col.name }):
			differ = append(differ, "a."+q+" IS NOT b."+q)
		}
	}
	if key == nil {
		key = []string{"a.rowid = b.rowid"}
	}
	if differ == nil {
		differ = []string{"0"}
	}
	t, on := quote(table), strings.Join(key, " AND ")
	for _, q := range []struct {
		sql string
		out *int64
	}{
		{`SELECT count(*) FROM main.` + t, &d.Then},
		{`SELECT count(*) FROM cur.` + t, &d.Now},
		{`SELECT count(*) FROM main.` + t + ` a WHERE NOT EXISTS (SELECT 1 FROM cur.` + t + ` b WHERE ` + on + `)`, &d.Back},
		{`SELECT count(*) FROM cur.` + t + ` a WHERE NOT EXISTS (SELECT 1 FROM main.` + t + ` b WHERE ` + on + `)`, &d.Gone},
		{`SELECT count(*) FROM main.` + t + ` a JOIN cur.` + t + ` b ON ` + on + ` WHERE ` + strings.Join(differ, " OR "), &d.Changed},
	} {
		if err := rows(c, q.sql, func(s *sqlite3.Stmt) error { *q.out = s.ColumnInt64(0); return nil }); err != nil {
			return d, err
		}
	}
	return d, nil
}
