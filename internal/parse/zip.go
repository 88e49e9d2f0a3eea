package parse

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// ratioFloor is the unpacked size up to which the ratio of an entry does not
// matter: a bomb below it is a firecracker.
const ratioFloor = 1 << 20

// archive is a ZIP file whose parts have all been unpacked once, so that the
// sizes in its directory are known to be true and within the limits. Pictures
// and other files that are no parts of the text are never unpacked.
type archive struct {
	files map[string]*zip.File // by lower-case name with forward slashes
	unzip int64                // sum of the unpacked sizes
}

// isPart reports whether an entry is XML, the only kind that is read.
func isPart(name string) bool {
	return strings.HasSuffix(name, ".xml") || strings.HasSuffix(name, ".rels")
}

// openArchive checks the archive against l. It reads every part to its end:
// the sizes in a directory are the author's claim, only unpacking proves them.
func openArchive(data []byte, l Limits) (*archive, error) {
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, kb.E(kb.Unprocessable, err, "file: the archive is broken or cut off; save it again")
	}
	if len(zr.File) > l.ZipEntries {
		return nil, kb.E(kb.Unprocessable, nil, "file: the archive has %d entries, more than the limit of %d", len(zr.File), l.ZipEntries)
	}
	a := &archive{files: make(map[string]*zip.File, len(zr.File))}
	for _, f := range zr.File {
		name := partName(f.Name)
		if !isPart(name) {
			continue
		}
		if f.Flags&1 != 0 {
			return nil, kb.E(kb.Unprocessable, nil, "file: is protected by a password; remove it and upload the file again")
		}
		n, err := unpackedSize(f, l, l.ZipBytes-a.unzip)
		if err != nil {
			return nil, err
		}
		a.unzip += n
		if a.files[name] != nil {
			return nil, kb.E(kb.Unprocessable, nil, "file: the archive holds %q twice; save it again", f.Name)
		}
		a.files[name] = f
	}
	return a, nil
}

// slim returns the archive with its parts only, packed as they are.
func (a *archive) slim() ([]byte, error) {
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(a.files)) {
		f := a.files[name]
		r, err := f.OpenRaw()
		if err != nil {
			return nil, err
		}
		h := f.FileHeader
		w, err := zw.CreateRaw(&h)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, r); err != nil {
			return nil, err
		}
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// unpackedSize unpacks f into nothing and stops as soon as left is passed or
// the packed bytes that exist could not honestly yield so much.
func unpackedSize(f *zip.File, l Limits, left int64) (int64, error) {
	r, err := f.Open()
	if err != nil {
		return 0, kb.E(kb.Unprocessable, err, "file: %q in the archive cannot be unpacked; save it again", f.Name)
	}
	defer func() { _ = r.Close() }()
	// The packed size is the directory's claim too, but an entry cannot be
	// larger than the file it is in, which bounds the lie.
	most := max(int64(f.CompressedSize64)*l.ZipRatio, ratioFloor)
	// At the end of an entry archive/zip compares its size and checksum with
	// the directory's, so what gets through has told the truth.
	n, err := io.Copy(io.Discard, io.LimitReader(r, min(most, left)+1))
	switch {
	case n > left:
		return 0, kb.E(kb.TooLarge, nil, "file: unpacks to more than %d bytes; split the document", l.ZipBytes)
	case n > most:
		return 0, kb.E(kb.Unprocessable, nil, "file: %q in the archive unpacks to more than %d times its size", f.Name, l.ZipRatio)
	case err != nil:
		return 0, kb.E(kb.Unprocessable, err, "file: %q in the archive is broken; save it again", f.Name)
	}
	return n, nil
}

func partName(s string) string {
	return strings.ToLower(strings.TrimPrefix(strings.ReplaceAll(s, `\`, "/"), "/"))
}

func (a *archive) has(name string) bool { return a.files[partName(name)] != nil }

// read returns a part, or nil if there is none.
func (a *archive) read(name string) ([]byte, error) {
	f := a.files[partName(name)]
	if f == nil {
		return nil, nil
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

// relation is an OPC relationship (ECMA-376 part 2 §9.3).
type relation struct {
	ID     string `xml:"Id,attr"`
	Type   string `xml:"Type,attr"`
	Target string `xml:"Target,attr"`
	Mode   string `xml:"TargetMode,attr"`
}

// relations returns the relationships of a part with targets as part names.
func (a *archive) relations(part string) ([]relation, error) {
	dir, file := path.Split(part)
	data, err := a.read(dir + "_rels/" + file + ".rels")
	if err != nil || data == nil {
		return nil, err
	}
	var x struct {
		Rels []relation `xml:"Relationship"`
	}
	if err := decodeXML(data, &x); err != nil {
		return nil, err
	}
	out := x.Rels[:0]
	for _, r := range x.Rels {
		if strings.EqualFold(r.Mode, "External") {
			continue
		}
		if strings.HasPrefix(r.Target, "/") {
			r.Target = partName(r.Target)
		} else {
			r.Target = partName(path.Join(dir, r.Target))
		}
		out = append(out, r)
	}
	return out, nil
}

// related returns the target of the first relationship whose type ends in kind.
func related(rels []relation, kind string) string {
	for _, r := range rels {
		if strings.HasSuffix(r.Type, "/"+kind) {
			return r.Target
		}
	}
	return ""
}

func newXML(data []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(data))
	// Strict mode knows no entities but the five of XML and refuses others, so
	// a document type declaration cannot expand anything.
	d.Strict = true
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	return d
}

func decodeXML(data []byte, v any) error {
	if err := newXML(data).Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return kb.E(kb.Unprocessable, err, "file: contains broken XML; save it again")
	}
	return nil
}
