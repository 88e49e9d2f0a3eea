package telemetry

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// File is a log file that rotates itself: at its largest size app.log becomes
// app.log.1, that becomes app.log.2, and so on. Each Write is one line and is
// never split. What cannot be written goes to the fallback, because a full
// disk must neither stop the server nor silence it. Safe for concurrent use.
type File struct {
	path     string
	most     int64
	keep     int
	fallback io.Writer

	mu     sync.Mutex
	f      *os.File // nil after Close, or while it cannot be opened
	bytes  int64
	closed bool
}

// OpenFile opens path for appending and makes its folder. The file is
// readable by its group: a log collector runs as another user.
func OpenFile(path string, maxBytes int64, maxFiles int, fallback io.Writer) (*File, error) {
	if path == "" {
		return nil, errors.New("log file: no path")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	f := &File{path: path, most: maxBytes, keep: max(maxFiles, 1), fallback: fallback}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return f, nil
}

func (f *File) open() error {
	h, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	info, err := h.Stat()
	if err != nil {
		return errors.Join(err, h.Close())
	}
	f.f, f.bytes = h, info.Size()
	return nil
}

// Write writes one line. It returns an error only if the fallback fails too.
func (f *File) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.most > 0 && f.bytes > 0 && f.bytes+int64(len(line)) > f.most && !f.closed {
		f.rotate()
	}
	if f.f == nil && !f.closed {
		_ = f.open() // the disk or the folder may be back
	}
	if f.f == nil {
		return f.fallback.Write(line)
	}
	n, err := f.f.Write(line)
	f.bytes += int64(n)
	if err != nil {
		return f.fallback.Write(line)
	}
	return n, nil
}

// rotate moves the file away and begins a new one. If that fails it goes on
// with the old one and tries again when as much has been written once more.
func (f *File) rotate() {
	for i := f.keep; i > 1; i-- {
		_ = os.Rename(f.numbered(i-1), f.numbered(i)) // absent until there were so many
	}
	err := os.Rename(f.path, f.numbered(1))
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
	if f.open() == nil && err != nil {
		f.bytes = 0
		fmt.Fprintf(f.fallback, "log file cannot be rotated: %v\n", err)
	}
}

func (f *File) numbered(i int) string { return f.path + "." + strconv.Itoa(i) }

// Reopen closes the file and opens what is at its path now.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
	if err := f.open(); err != nil {
		return fmt.Errorf("reopen log file: %w", err)
	}
	return nil
}

// Close closes the file. Later lines go to the fallback.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}
