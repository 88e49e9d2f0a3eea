package store

import (
	"context"
	"errors"

	"github.com/ncruces/go-sqlite3"
)

// OriginalsOf lists the SHA-256 of every original that a tenant's database in
// the plain file at path names, in order; of a control database none.
func OriginalsOf(ctx context.Context, path string) (sums []string, err error) {
	c, err := openFile(ctx, path, "ro", true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	tables, err := tablesOf(c)
	if err != nil || tables["versions"] == nil {
		return nil, err
	}
	err = rows(c, `SELECT DISTINCT sha256 FROM versions ORDER BY sha256`, func(s *sqlite3.Stmt) error {
		sums = append(sums, s.ColumnText(0))
		return nil
	})
	return sums, err
}
