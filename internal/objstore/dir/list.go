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
	if start := join(folder, ""); folder != "" && start < after && !strings.HasPrefix(after, start) {
		return nil, false, nil // every key in it is before after
	}
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

// entry of a folder. sort is its name, with '/' if it is a folder itself: that
// puts "a-b" before what is in "a", as the order of whole keys wants.
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
	l.b.note("list folder", folder)
	d, err := os.Open(l.b.path(folder))
	var entries []fs.DirEntry
	if err == nil {
		entries, err = d.ReadDir(-1) // in no order: most of them are left out
		d.Close()
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // none, or pruned meanwhile
	}
	if err != nil {
		return trouble(err)
	}
	for _, e := range l.wanted(folder, entries) {
		if e.Type().IsDir() {
			if err := l.walk(join(folder, e.Name())); err != nil {
				return err
			}
			continue
		}
		if err := l.add(join(folder, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

// within cuts folder off a prefix or an after. What does not lie in it bounds
// nothing there: walk goes only where that holds.
func within(folder, key string) string {
	if folder == "" {
		return key
	}
	rest, ok := strings.CutPrefix(key, folder+"/")
	if !ok {
		return ""
	}
	return rest
}

// wanted are the entries that are, or may hold, a key of the answer, in order.
func (l *lister) wanted(folder string, entries []fs.DirEntry) []entry {
	prefix, after := within(folder, l.prefix), within(folder, l.after)
	room := len(join(folder, ""))
	var out []entry
	for _, d := range entries {
		e := entry{DirEntry: d, sort: d.Name()}
		if isTemp(e.sort) {
			l.b.sweepOne(folder, d)
			continue
		}
		if d.Type()&fs.ModeSymlink != 0 { // an operator's: a tenant on another disk
			e.info, _ = os.Stat(l.b.path(join(folder, e.sort))) // one that leads nowhere stays a link, which is no object
		}
		switch {
		case e.Type().IsDir():
			e.sort += "/"
			if !strings.HasPrefix(e.sort, prefix) && !strings.HasPrefix(prefix, e.sort) {
				continue
			}
			if e.sort < after && !strings.HasPrefix(after, e.sort) {
				continue // every key in it is before after, too
			}
		case !e.Type().IsRegular(), !strings.HasPrefix(e.sort, prefix), e.sort <= after:
			continue
		}
		if objstore.ValidateKey(d.Name()) != nil || room+len(d.Name()) > objstore.MaxKey {
			continue // someone else's: lost+found, editors' files
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.sort, b.sort) })
	return out
}

func (l *lister) add(key string, e entry) error {
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
	l.infos = append(l.infos, info(key, fi))
	return nil
}
