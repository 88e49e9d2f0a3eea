package commitlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Beside a snapshot stand the checksums of its pages. Who has them need not
// decompress the whole file to know that it is whole: each page is checked when
// it is read, and of a database that is opened for one question few are. They
// are bound to the file by its post-apply checksum, which is the XOR of all of
// them, and so to the chain of commits, and by its header, which nothing else
// verifies where the file is not read whole. Without them, or where they are
// damaged, the file is read and verified whole, as before there were any.

// sumsKey is where the checksums of the snapshot at commit id stand.
func (l *Log) sumsKey(lin Lineage, id ltx.TXID) string {
	return fmt.Sprintf("%s/sums/%016x", l.Root(lin), uint64(id))
}

// encodeSums writes the checksums of the pages of a whole database, in their
// order, and a CRC-64/ISO of the file's header and that.
func encodeSums(header []byte, sums []ltx.Checksum) []byte {
	b := make([]byte, 0, (len(sums)+1)*8)
	for _, s := range sums {
		b = binary.BigEndian.AppendUint64(b, uint64(s))
	}
	var c crc
	c.add(header)
	c.add(b)
	return binary.BigEndian.AppendUint64(b, uint64(c))
}

// decodeSums reads n checksums that must make post together, of the file that
// begins with header.
func decodeSums(b, header []byte, n int, post ltx.Checksum) ([]ltx.Checksum, error) {
	if n < 1 || len(b) != (n+1)*8 {
		return nil, corrupt("checksums: %d bytes for %d pages", len(b), n)
	}
	var c crc
	c.add(header)
	c.add(b[:n*8])
	if got := binary.BigEndian.Uint64(b[n*8:]); got != uint64(c) {
		return nil, corrupt("checksums: that of the header and them is %x, want %x", got, uint64(c))
	}
	sums, all := make([]ltx.Checksum, n), ltx.ChecksumFlag
	for i := range sums {
		s := ltx.Checksum(binary.BigEndian.Uint64(b[i*8:]))
		if s&ltx.ChecksumFlag == 0 { // 0 would mean: unknown
			return nil, corrupt("checksums: %x is none", uint64(s))
		}
		sums[i], all = s, ltx.ChecksumFlag|(all^s)
	}
	if all != post {
		return nil, corrupt("checksums: of a database with %s, want %s", all, post)
	}
	return sums, nil
}

// putSums creates the checksums of the snapshot with header h, unless they are
// there: everybody would write the same.
func (l *Log) putSums(ctx context.Context, lin Lineage, h ltx.Header, sums []ltx.Checksum) error {
	header, err := h.MarshalBinary()
	if err != nil {
		return err
	}
	b := encodeSums(header, sums)
	err = l.retry(ctx, func() error { return l.createStream(ctx, l.sumsKey(lin, h.MaxTXID), bytes.NewReader(b)) })
	if errors.Is(err, objstore.ErrExist) {
		return nil
	}
	return err
}

// getSums returns the checksums of the snapshot f as they are stored.
func (l *Log) getSums(ctx context.Context, lin Lineage, f FileInfo) (b []byte, err error) {
	err = l.retry(ctx, func() error {
		b, _, err = l.get(ctx, l.sumsKey(lin, f.Max))
		return err
	})
	return b, err
}

// sumsOf is getSums for who can do without: nil if they cannot be read.
func (l *Log) sumsOf(ctx context.Context, lin Lineage, f FileInfo) []byte {
	b, err := l.getSums(ctx, lin, f)
	if err != nil {
		return nil
	}
	return b
}

// withSums makes a File of a whole snapshot and the checksums of its pages,
// without looking at the pages.
func withSums(raw, sums []byte) (*File, error) {
	h, err := ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	t, need, err := ParseTail(raw, int64(len(raw)))
	if err == nil && need > 0 {
		err = corrupt("index of %d bytes in a file of %d", need, len(raw))
	}
	if err != nil {
		return nil, err
	}
	f := &File{Header: h, Post: t.Post, Frames: t.Frames, Raw: raw}
	f.Sums, err = decodeSums(sums, raw[:ltx.HeaderSize], len(t.Frames), t.Post)
	return f, err
}
