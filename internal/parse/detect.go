package parse

import (
	"archive/zip"
	"bytes"
	"mime"
	"path"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// byExtension maps the extensions that decide between the text formats, and
// those whose content must match; "" is any other.
func byExtension(ext string) string {
	switch ext {
	case ".md", ".markdown", ".mdown", ".mkd":
		return MIMEMarkdown
	case ".mdx":
		return MIMEMDX
	case ".txt", ".text", ".log":
		return MIMEText
	case ".html", ".htm", ".xhtml":
		return MIMEHTML
	case ".csv":
		return MIMECSV
	case ".tsv", ".tab":
		return MIMETSV
	case ".pdf":
		return MIMEPDF
	case ".docx", ".docm":
		return MIMEDOCX
	case ".xlsx", ".xlsm":
		return MIMEXLSX
	}
	return ""
}

// byMIME maps what clients claim; each format goes by several names.
func byMIME(m string) string {
	switch m {
	case MIMEText, MIMEMarkdown, MIMEMDX, MIMEHTML, MIMECSV, MIMETSV, MIMEPDF, MIMEDOCX, MIMEXLSX:
		return m
	case "text/x-markdown":
		return MIMEMarkdown
	case "text/x-mdx":
		return MIMEMDX
	case "application/xhtml+xml":
		return MIMEHTML
	case "application/csv":
		return MIMECSV
	case "application/x-pdf":
		return MIMEPDF
	}
	return ""
}

// detect decides what data is: by content, then the name's extension, then the
// claimed MIME type. The result is one of the MIME constants.
func detect(name, claim string, data []byte) (string, error) {
	if len(data) == 0 {
		return "", kb.E(kb.Invalid, nil, "document has no text: the file is empty")
	}
	ext := strings.ToLower(path.Ext(name))
	head := data[:min(len(data), 1024)]
	switch {
	case bytes.Contains(head, []byte("%PDF-")): // ISO 32000-1 annex H.3: within the first 1024 bytes
		return MIMEPDF, nil
	case bytes.HasPrefix(data, []byte("PK\x03\x04")), bytes.HasPrefix(data, []byte("PK\x05\x06")):
		return detectZip(data)
	case bytes.HasPrefix(data, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return "", oleError(data)
	case bytes.HasPrefix(data, []byte(`{\rtf`)):
		return "", unsupported("Rich Text Format")
	}
	if what := binaryMagic(data); what != "" {
		return "", unsupported(what)
	}
	bom := bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff})
	if !bom && looksBinary(head) {
		return "", unsupported("an unknown binary file")
	}
	// What follows is text of some kind.
	format := byExtension(ext)
	switch format {
	case MIMEPDF, MIMEDOCX, MIMEXLSX:
		return "", kb.E(kb.Unprocessable, nil, "file: is named %s but its content is not; it may be a broken download", ext)
	case "":
		if m, _, err := mime.ParseMediaType(claim); err == nil {
			format = byMIME(m)
		}
		if format == MIMEPDF || format == MIMEDOCX || format == MIMEXLSX {
			return "", kb.E(kb.Unprocessable, nil, "file: is declared as %s but its content is not; it may be a broken download", format)
		}
	}
	if format == "" || format == MIMEText {
		// Reports that call themselves .xls are often HTML tables.
		if t := strings.ToLower(string(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n"))); ext != ".txt" &&
			(strings.HasPrefix(t, "<!doctype html") || strings.HasPrefix(t, "<html")) {
			return MIMEHTML, nil
		}
		format = MIMEText
	}
	return format, nil
}

func unsupported(what string) error {
	return kb.E(kb.Unsupported, nil, "file: is %s, which is not read; use %s", what, Supported)
}

// detectZip tells the Office formats apart by the part that holds the text.
func detectZip(data []byte) (string, error) {
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", kb.E(kb.Unprocessable, err, "file: the archive is broken or cut off; save it again")
	}
	var other string
	for _, f := range zr.File {
		switch n := strings.ToLower(f.Name); {
		case n == "word/document.xml":
			return MIMEDOCX, nil
		case n == "xl/workbook.xml":
			return MIMEXLSX, nil
		case n == "xl/workbook.bin":
			other = "a binary Excel workbook (.xlsb)"
		case strings.HasPrefix(n, "ppt/"):
			other = "a PowerPoint file"
		case n == "meta-inf/manifest.xml" && other == "":
			other = "an OpenDocument file"
		case n == "meta-inf/container.xml":
			other = "an EPUB file"
		case strings.HasPrefix(n, "word/document") && strings.HasSuffix(n, ".xml") && other == "":
			other = "docx" // some writers name the part word/document2.xml
		}
	}
	switch other {
	case "docx":
		return MIMEDOCX, nil
	case "":
		other = "a ZIP archive"
	}
	return "", unsupported(other)
}

// oleError explains a compound file: an encrypted Office file, or one of the
// formats before 2007.
func oleError(data []byte) error {
	if bytes.Contains(data, utf16LE("EncryptedPackage")) {
		return kb.E(kb.Unprocessable, nil, "file: is protected by a password; remove it and upload the file again")
	}
	return unsupported("an Office file of before 2007 (.doc, .xls, .ppt); save it as .docx or .xlsx")
}

func utf16LE(s string) []byte {
	var out []byte
	for i := 0; i < len(s); i++ {
		out = append(out, s[i], 0)
	}
	return out
}

// binaryMagic names the files that people upload by mistake, by signature.
func binaryMagic(data []byte) string {
	head := data[:min(len(data), 1024)]
	is := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case is("\x89PNG\r\n\x1a\n"):
		return "a PNG image"
	case is("\xff\xd8\xff"):
		return "a JPEG image"
	case is("GIF87a"), is("GIF89a"):
		return "a GIF image"
	case is("II*\x00"), is("MM\x00*"):
		return "a TIFF image"
	case is("RIFF") && len(head) > 12 && string(head[8:12]) == "WEBP":
		return "a WebP image"
	case is("\x1f\x8b"):
		return "a gzip archive"
	case is("7z\xbc\xaf\x27\x1c"):
		return "a 7z archive"
	case is("Rar!\x1a\x07"):
		return "a RAR archive"
	case is("SQLite format 3\x00"):
		return "a SQLite database"
	case is("\x7fELF"), is("MZ") && looksBinary(head):
		return "a program"
	}
	return ""
}

// looksBinary reports bytes that no text in a byte encoding contains: NUL, or
// more than a tenth of control characters.
func looksBinary(head []byte) bool {
	controls := 0
	for _, c := range head {
		switch {
		case c == 0:
			return true
		case c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b:
			controls++
		}
	}
	return controls > len(head)/10
}
