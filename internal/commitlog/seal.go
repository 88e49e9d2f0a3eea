package commitlog

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/superfly/ltx"
)

// sealMagic in the header's WAL offset marks a seal: "LSEAL". No tool reads
// the WAL fields of a file that it restores (facts/storage.md §1).
const sealMagic = 0x4c5345414c

// Seal is the last commit of a lineage. It has no pages.
type Seal struct {
	Deleted   bool
	Successor Lineage // random and unused if Deleted
}

func (s Seal) String() string {
	if s.Deleted {
		return "deletion"
	}
	return "successor " + string(s.Successor)
}

// header writes s into h: the 128 bits of the successor are salt 1, salt 2 and node.
func (s Seal) header(h ltx.Header) (ltx.Header, error) {
	id, err := hex.DecodeString(string(s.Successor))
	if err != nil || len(id) != 16 {
		return h, fmt.Errorf("seal: successor %q: want 32 hex digits", s.Successor)
	}
	h.WALOffset, h.WALSize = sealMagic, 1
	if s.Deleted {
		h.WALSize = 2
	}
	h.WALSalt1, h.WALSalt2 = binary.BigEndian.Uint32(id), binary.BigEndian.Uint32(id[4:])
	h.NodeID = binary.BigEndian.Uint64(id[8:])
	return h, nil
}

// sealOf reports whether h is a seal.
func sealOf(h ltx.Header) (Seal, bool) {
	if h.WALOffset != sealMagic {
		return Seal{}, false
	}
	var id [16]byte
	binary.BigEndian.PutUint32(id[:], h.WALSalt1)
	binary.BigEndian.PutUint32(id[4:], h.WALSalt2)
	binary.BigEndian.PutUint64(id[8:], h.NodeID)
	return Seal{Deleted: h.WALSize == 2, Successor: Lineage(hex.EncodeToString(id[:]))}, true
}
