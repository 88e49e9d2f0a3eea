package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// List implements objstore.Bucket. It reads only folders that can hold a key
// with prefix after after, each of them whole.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if err := b.broken.Load(); err != nil {
		return nil, false, *err
	}
	if err := objstore.ValidatePrefix(prefix); err != nil {
		return nil, false, err
	}
	if limit < 1 {
		limit = objstore.ListPage
	}
	l := lister{b: b, ctx: ctx, prefix: prefix, after: after, limit: limit}
	folder, _ := split(prefix)
	if err := l.walk(folder); err != nil && !errors.Is(err, errFull) {
		return nil, false, fmt.Errorf("list %s: %w", prefix, err)
	}
	return l.infos, l.more, nil
}

var errFull = errors.New("enough")

type lister struct {
	b             *Bucket
	ctx           context.Context // of List
	prefix, after string
	limit         int
	infos         []objstore.Info
	more          bool
}

// entry of a folder. sort is its key, for a folder the start that its keys
// share, '/' included: that puts "a-b" before what is in "a", as the order of
// whole keys wants.
type entry struct {
	sort string
	info fs.FileInfo // of a symbolic link's target, else nil
	fs.DirEntry
}

func (e entry) Type() fs.FileMode {
	if e.info != nil {
		return e.info.Mode().Type()
	}
	return e.DirEntry.Type()
}

func (e entry) Info() (fs.FileInfo, error) {
	if e.info != nil {
		return e.info, nil
	}
	return e.DirEntry.Info()
}

func (l *lister) walk(folder string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(l.b.path(folder))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // none, or pruned meanwhile
	}
	if err != nil {
		return trouble(err)
	}
	for _, e := range l.wanted(folder, entries) {
		if e.Type().IsDir() {
			if err := l.walk(e.sort[:len(e.sort)-1]); err != nil {
				return err
			}
			continue
		}
		if err := l.add(e); err != nil {
			return err
		}
	}
	return nil
}

// wanted are the entries that are, or may hold, a key of the answer, in order.
func (l *lister) wanted(folder string, entries []fs.DirEntry) []entry {
	var out []entry
	for _, d := range entries {
		key := join(folder, d.Name())
		e := entry{DirEntry: d}
		if d.Type()&fs.ModeSymlink != 0 { // an operator's: a tenant on another disk
			e.info, _ = os.Stat(l.b.path(key)) // one that leads nowhere stays a link, which is no object
		}
		switch {
		case isTemp(d.Name()):
			l.b.sweepOne(folder, d)
			continue
		case objstore.ValidateKey(key) != nil:
			continue // someone else's: lost+found, editors' files
		case e.Type().IsDir():
			key += "/"
			if !strings.HasPrefix(key, l.prefix) && !strings.HasPrefix(l.prefix, key) {
				continue
			}
			if key < l.after && !strings.HasPrefix(l.after, key) {
				continue // every key in it is before after, too
			}
		case !e.Type().IsRegular(), !strings.HasPrefix(key, l.prefix), key <= l.after:
			continue
		}
		e.sort = key
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.sort, b.sort) })
	return out
}

func (l *lister) add(e entry) error {
	fi, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return trouble(err)
	}
	if len(l.infos) == l.limit {
		l.more = true
		return errFull
	}
	l.infos = append(l.infos, info(e.sort, fi))
	return nil
}
