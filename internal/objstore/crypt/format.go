package crypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// An object is a sequence of records, one for each 64 KiB of plaintext and one
// for an empty object:
//
//	"EQC1" · number of the data key (uint32, big endian) · object id (32 bytes) · ciphertext · tag (16 bytes)
//
// object id = HMAC-SHA256(MAC key, object key, size, SHA-256 of every chunk).
// Each object has its own AES-256-GCM key, derived from the data key and the
// object id; the nonce is the number of the record. So the same content under
// the same key gives the same bytes, which retries and resolution by reading
// back need, and other content has another object id and with it another
// cipher key: no nonce is ever used for two plaintexts. The id is in every
// record so that a range needs no second request.
//
// Authenticated with every record: data key, object key, the object's size and
// the record's number. An object that was truncated, extended, renamed,
// reordered or mixed from two versions fails at every record read.
const (
	chunkBytes  = 64 << 10 // DESIGN §4
	headBytes   = 4 + 4 + sha256.Size
	tagBytes    = 16
	recordBytes = headBytes + chunkBytes + tagBytes
)

var magic = [4]byte{'E', 'Q', 'C', '1'}

// plainSize returns the size of the plaintext of an object of size bytes.
func plainSize(size int64) (int64, error) {
	records := (size + recordBytes - 1) / recordBytes
	plain := size - records*(headBytes+tagBytes)
	last := plain - (records-1)*chunkBytes
	if size < headBytes+tagBytes || last < 0 || last == 0 && records > 1 {
		return 0, fmt.Errorf("no encrypted object has %d bytes", size)
	}
	return plain, nil
}

// cipherSize is the inverse of plainSize.
func cipherSize(plain int64) int64 {
	return plain + recordsOf(plain)*(headBytes+tagBytes)
}

func recordsOf(plain int64) int64 { return max(1, (plain+chunkBytes-1)/chunkBytes) }

// dataKey encrypts the objects of one scope.
type dataKey struct {
	number uint32
	mac    []byte
	cipher []byte
}

func newDataKey(number uint32, secret []byte) (dataKey, error) {
	mac, err1 := hkdf.Expand(sha256.New, secret, "eino-qa object id", sha256.Size)
	enc, err2 := hkdf.Expand(sha256.New, secret, "eino-qa object cipher", sha256.Size)
	return dataKey{number, mac, enc}, errors.Join(err1, err2)
}

// forObject returns the cipher of one object.
func (k dataKey) forObject(id []byte) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, k.cipher, string(id), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// associated is what a record's tag covers besides its content.
func associated(buf []byte, number uint32, key string, plain, index int64) []byte {
	buf = append(buf[:0], magic[:]...)
	buf = binary.BigEndian.AppendUint32(buf, number)
	buf = binary.BigEndian.AppendUint64(buf, uint64(plain))
	buf = binary.BigEndian.AppendUint64(buf, uint64(index))
	return append(buf, key...)
}

func nonce(index int64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), uint64(index))
}

// sealer is the ciphertext of body, made as it is read and again as it is
// rewound, one record at a time.
type sealer struct {
	body  io.ReadSeeker
	key   string
	dk    dataKey
	plain int64
	id    []byte
	sums  [][sha256.Size]byte // of every chunk: 0.05 % of the object
	aead  cipher.AEAD

	pos    int64
	index  int64  // of the record in buf; −1 for none
	record []byte // sealed
	chunk  []byte
	ad     []byte
}

// newSealer reads body once, for the object id.
func newSealer(key string, body io.ReadSeeker, dk dataKey) (*sealer, error) {
	plain, err := body.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("rewind body: %w", err)
	}
	s := &sealer{body: body, key: key, dk: dk, plain: plain, index: -1, chunk: make([]byte, min(plain, chunkBytes))}
	mac := hmac.New(sha256.New, dk.mac)
	mac.Write(associated(nil, dk.number, key, plain, recordsOf(plain)))
	for i := range recordsOf(plain) {
		if err := s.readChunk(i); err != nil {
			return nil, err
		}
		s.sums = append(s.sums, sha256.Sum256(s.chunk))
		mac.Write(s.sums[i][:])
	}
	s.id = mac.Sum(nil)
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind body: %w", err)
	}
	s.aead, err = dk.forObject(s.id)
	return s, err
}

// readChunk reads chunk i, where body stands.
func (s *sealer) readChunk(i int64) error {
	s.chunk = s.chunk[:min(chunkBytes, s.plain-i*chunkBytes)]
	if _, err := io.ReadFull(s.body, s.chunk); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return nil
}

// seal makes record i.
func (s *sealer) seal(i int64) error {
	if i != s.index+1 || i == 0 {
		if _, err := s.body.Seek(i*chunkBytes, io.SeekStart); err != nil {
			return fmt.Errorf("rewind body: %w", err)
		}
	}
	s.index = -1
	if err := s.readChunk(i); err != nil {
		return err
	}
	// Two contents must never meet under one object id.
	if sha256.Sum256(s.chunk) != s.sums[i] {
		return errors.New("the body changed while it was stored")
	}
	s.ad = associated(s.ad, s.dk.number, s.key, s.plain, i)
	s.record = append(s.record[:0], magic[:]...)
	s.record = binary.BigEndian.AppendUint32(s.record, s.dk.number)
	s.record = append(s.record, s.id...)
	s.record = s.aead.Seal(s.record, nonce(i), s.chunk, s.ad)
	s.index = i
	return nil
}

// Read implements io.Reader.
func (s *sealer) Read(p []byte) (int, error) {
	if s.pos >= cipherSize(s.plain) {
		return 0, io.EOF
	}
	if i := s.pos / recordBytes; i != s.index {
		if err := s.seal(i); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.record[s.pos%recordBytes:])
	s.pos += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (s *sealer) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += s.pos
	case io.SeekEnd:
		off += cipherSize(s.plain)
	}
	if off < 0 {
		return 0, errors.New("seek before the start")
	}
	s.pos = off
	return off, nil
}

// opener decrypts records of one object.
type opener struct {
	key   string
	plain int64
	find  func(number uint32) (dataKey, error)

	number uint32
	id     []byte // of the records so far
	aead   cipher.AEAD
	ad     []byte
}

// open appends the plaintext of record i to dst, which must begin exactly where
// the ciphertext does or share no memory with it.
func (o *opener) open(dst, record []byte, i int64) ([]byte, error) {
	if len(record) < headBytes+tagBytes || !bytes.Equal(record[:4], magic[:]) {
		return nil, o.corrupt(errors.New("it is not encrypted as this service does it; was encryption switched on later?"))
	}
	number, id := binary.BigEndian.Uint32(record[4:]), record[8:headBytes]
	if o.aead == nil || number != o.number || !bytes.Equal(id, o.id) {
		if o.aead != nil {
			return nil, o.corrupt(fmt.Errorf("record %d belongs to another version", i))
		}
		dk, err := o.find(number)
		if err != nil {
			return nil, err
		}
		if o.aead, err = dk.forObject(id); err != nil {
			return nil, err
		}
		o.number, o.id = number, bytes.Clone(id)
	}
	o.ad = associated(o.ad, number, o.key, o.plain, i)
	dst, err := o.aead.Open(dst, nonce(i), record[headBytes:], o.ad)
	if err != nil {
		return nil, o.corrupt(fmt.Errorf("record %d was altered, moved or cut off", i))
	}
	return dst, nil
}

func (o *opener) corrupt(cause error) error {
	return objstore.Trouble(objstore.ErrCorrupt, fmt.Errorf("object %s: %w", o.key, cause))
}
