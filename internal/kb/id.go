package kb

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"
)

var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// NewID returns prefix, '_' and 26 characters: 48 bits of now in milliseconds,
// so that ids sort by creation, then 80 random bits.
func NewID(prefix string, now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails: crypto/rand aborts the program instead
	return prefix + "_" + strings.ToLower(idEncoding.EncodeToString(b[:]))
}

// NewSessionID returns a session id of 130 random bits: nobody can guess one,
// and it tells nothing.
func NewSessionID() SessionID { return SessionID("ses_" + strings.ToLower(rand.Text())) }
