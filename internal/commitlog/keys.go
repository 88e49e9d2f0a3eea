package commitlog

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Levels of files. Level 0 is single commits, 1 to 3 are aligned ranges of
// them, 9 whole databases (Litestream's SnapshotLevel).
const (
	LevelCommit   = 0
	LevelSnapshot = 9
)

// levelWidth is how many commits one file of a level holds; each is 32 of the
// level below, so a plan has at most 31+31+127 files after its snapshot.
func (l *Log) levelWidth(level int) ltx.TXID {
	switch level {
	case 1:
		return l.cfg.CompactEvery
	case 2:
		return l.cfg.CompactEvery * 32
	case 3:
		return l.cfg.CompactEvery * 32 * 32
	}
	return 1
}

// compacted lists the levels between single commits and snapshots.
var compacted = [...]int{1, 2, 3}

// Lineage is one unbroken history of a tenant: 32 hex digits, random, never
// used twice. It is a path segment.
type Lineage string

// newLineage draws an id.
func (l *Log) newLineage() Lineage {
	var b [16]byte
	if l.cfg.Has(GuardLineage) {
		l.randBytes(b[:])
	}
	return Lineage(hex.EncodeToString(b[:]))
}

func parseLineage(s string) (Lineage, error) {
	if len(s) != 32 {
		return "", fmt.Errorf("lineage %q: want 32 hex digits", s)
	}
	if _, err := hex.DecodeString(s); err != nil {
		return "", fmt.Errorf("lineage %q: %w", s, err)
	}
	return Lineage(s), nil
}

func (l *Log) headPrefix() string          { return l.prefix + "/head/" }
func (l *Log) headKey(gen uint64) string   { return l.headPrefix() + fmt.Sprintf("%016x", gen) }
func (l *Log) gcPrefix(lin Lineage) string { return l.Root(lin) + "/gc/" }
func (l *Log) gcKey(lin Lineage, gen uint64) string {
	return l.gcPrefix(lin) + fmt.Sprintf("%016x", gen)
}

// Root is the folder of a lineage: the path to give to `litestream restore`.
func (l *Log) Root(lin Lineage) string { return l.prefix + "/" + string(lin) }

func (l *Log) levelPrefix(lin Lineage, level int) string {
	if l.cfg.Layout == Objects {
		return fmt.Sprintf("%s/%04x/", l.Root(lin), level)
	}
	return fmt.Sprintf("%s/ltx/%d/", l.Root(lin), level)
}

// Key is the object key of f in lin.
func (l *Log) Key(lin Lineage, f FileInfo) string {
	return l.levelPrefix(lin, f.Level) + ltx.FormatFilename(f.Min, f.Max)
}

func (l *Log) slotKey(lin Lineage, id ltx.TXID) string {
	return l.Key(lin, FileInfo{Level: LevelCommit, Min: id, Max: id})
}

// FileInfo names one file of a lineage.
type FileInfo struct {
	Level    int
	Min, Max ltx.TXID
	Size     int64     // bytes
	Modified time.Time // by the store's clock
}

func (f FileInfo) String() string {
	return fmt.Sprintf("%d/%s", f.Level, ltx.FormatFilename(f.Min, f.Max))
}

// parseFiles turns a listing of one level into files; foreign names are skipped.
func parseFiles(level int, infos []objstore.Info) []FileInfo {
	files := make([]FileInfo, 0, len(infos))
	for _, i := range infos {
		minID, maxID, err := ltx.ParseFilename(i.Key[strings.LastIndexByte(i.Key, '/')+1:])
		if err != nil || minID == 0 || minID > maxID || level == LevelCommit && minID != maxID || level == LevelSnapshot && minID != 1 {
			continue
		}
		files = append(files, FileInfo{Level: level, Min: minID, Max: maxID, Size: i.Size, Modified: i.Modified})
	}
	return files
}

// lastGeneration returns the highest generation in a listing of head/ or gc/, 0 if there is none.
func lastGeneration(infos []objstore.Info) uint64 {
	for _, info := range slices.Backward(infos) {
		name := info.Key[strings.LastIndexByte(info.Key, '/')+1:]
		if len(name) != 16 {
			continue
		}
		if g, err := strconv.ParseUint(name, 16, 64); err == nil {
			return g
		}
	}
	return 0
}
