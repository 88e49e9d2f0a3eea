package backup

import (
	"context"
	"errors"
	"strings"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// importsRoot has an object SHA-256/lineage for every lineage that ImportOnce
// built: the file was imported if a pointer of the tenant names one of them.
const importsRoot = "control/import/"

// ImportOnce imports a plain file into a tenant that does not exist yet, or
// that nobody has used. again reports that this very file was imported before,
// by a run that was killed afterwards or by another server; nothing is done
// then.
func (s *Service) ImportOnce(ctx context.Context, id kb.TenantID, path string) (im Imported, again bool, err error) {
	dir, done, err := s.scratch()
	if err != nil {
		return im, false, err
	}
	defer done()
	file, facts, err := s.accept(ctx, dir, path, "")
	if err != nil {
		return im, false, err
	}
	if facts.Control {
		return im, false, kb.E(kb.Unprocessable, nil, "the file is a control database, not that of a tenant")
	}
	sum, _, err := hashFile(ctx, file)
	if err != nil {
		return im, false, err
	}
	l, h, err := s.live(ctx, id)
	if err != nil && kb.KindOf(err) != kb.NotFound {
		return im, false, err
	}
	exists := err == nil
	marks := importsRoot + sum + "/"
	if again, err = s.imported(ctx, l, marks); err != nil || again {
		return im, again, classify(id, err)
	}
	if exists {
		if err := untouched(ctx, id, l, h); err != nil {
			return im, false, err
		}
	}
	if err := s.cfg.Create(ctx, id); err != nil {
		return im, false, err
	}
	if h, err = l.Head(ctx); err != nil {
		return im, false, classify(id, err)
	}
	if err := s.cfg.SQL.Advance(ctx, id, file); err != nil {
		return im, false, err
	}
	lin, err := s.build(ctx, id, l, h, file)
	if err != nil {
		return im, false, err
	}
	// Before the swap: whoever is killed after it finds the mark.
	if _, err := s.cfg.Bucket.Create(ctx, marks+string(lin), bytesReader(nil)); err != nil && !errors.Is(err, objstore.ErrExist) {
		return im, false, err
	}
	next, err := l.Swap(ctx, h, lin)
	if err != nil {
		return im, false, classify(id, err)
	}
	return Imported{Tenant: id, Now: pointID(next.Generation, 1), Rows: facts.Rows(), Facts: facts}, false, nil
}

// imported reports whether a pointer of the tenant names a marked lineage.
func (s *Service) imported(ctx context.Context, l *commitlog.Log, marks string) (bool, error) {
	infos, _, err := s.cfg.Bucket.List(ctx, marks, "", 0)
	if err != nil || len(infos) == 0 {
		return false, err
	}
	heads, err := l.Heads(ctx)
	if err != nil {
		return false, err
	}
	for _, i := range infos {
		for _, h := range heads {
			if strings.TrimPrefix(i.Key, marks) == string(h.Lineage) {
				return true, nil
			}
		}
	}
	return false, nil
}

// untouched returns a kb.Conflict unless the tenant has nothing but its
// tables: an import made it, and was killed.
func untouched(ctx context.Context, id kb.TenantID, l *commitlog.Log, h commitlog.Head) error {
	const tables = 2 // the first commit is an empty database, the second its tables
	if h.From == "" && !h.Deleted {
		st, err := l.Tip(ctx, h)
		if err == nil && st.TXID <= tables {
			return nil
		}
		if err != nil && !errors.Is(err, commitlog.ErrSealed) {
			return classify(id, err)
		}
	}
	return kb.E(kb.Conflict, nil, "tenant %q exists already; to put the file in its place: bin/server import -tenant %s -replace FILE", id, id)
}
