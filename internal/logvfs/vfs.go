package logvfs

import (
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// fileSystem is the VFS of one DB: it opens the files that newConn announced,
// and scratch files in memory. It knows no other name, so that ATTACH finds
// nothing here.
type fileSystem struct {
	mu      sync.Mutex
	waiting map[string]*file
}

var _ vfs.VFS = (*fileSystem)(nil)

func (s *fileSystem) announce(name string, f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting[name] = f
}

// Open returns an announced file, once, or a scratch file.
func (s *fileSystem) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	const scratch = vfs.OPEN_TEMP_DB | vfs.OPEN_TRANSIENT_DB | vfs.OPEN_TEMP_JOURNAL | vfs.OPEN_SUBJOURNAL
	switch {
	case flags&scratch != 0:
		return &vfsutil.SliceFile{}, flags | vfs.OPEN_MEMORY, nil
	case flags&vfs.OPEN_MAIN_DB == 0: // WAL and journals: the log is both
		return nil, flags, sqlite3.CANTOPEN
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.waiting[name]
	if f == nil {
		return nil, flags, sqlite3.CANTOPEN
	}
	delete(s.waiting, name)
	// OPEN_MEMORY makes SQLite keep its rollback journal in memory.
	return f, flags | vfs.OPEN_MEMORY, nil
}

// Delete refuses: SQLite would only delete journals, and there are none.
func (s *fileSystem) Delete(string, bool) error { return sqlite3.IOERR_DELETE_NOENT }

// Access says that there is no journal.
func (s *fileSystem) Access(string, vfs.AccessFlag) (bool, error) { return false, nil }

// FullPathname returns name as it is.
func (s *fileSystem) FullPathname(name string) (string, error) { return name, nil }
