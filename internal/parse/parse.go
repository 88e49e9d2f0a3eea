// Package parse turns foreign files into kb.Text: the canonical text of a
// document and the structure over it. It reads Markdown and MDX, plain text,
// HTML, PDF, DOCX, XLSX and CSV, decides by content first and name second, and
// treats every byte as hostile: sizes, nesting and time are bounded, and what
// cannot be read is refused with a kb.Error that says what to do.
package parse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// MIME types that Parse reads and reports.
const (
	MIMEText     = "text/plain"
	MIMEMarkdown = "text/markdown"
	MIMEMDX      = "text/mdx"
	MIMEHTML     = "text/html"
	MIMECSV      = "text/csv"
	MIMETSV      = "text/tab-separated-values"
	MIMEPDF      = "application/pdf"
	MIMEDOCX     = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	MIMEXLSX     = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
)

// Supported is the list of formats as an error message shows it.
const Supported = "Markdown (.md, .mdx), text (.txt), HTML (.html), PDF (.pdf), Word (.docx), Excel (.xlsx), CSV (.csv, .tsv)"

// Limits bound what one document may cost. A zero field means its default, so
// Limits{} is ready to use; negative values are not allowed.
type Limits struct {
	Bytes      int64         // of the file; default 64 MiB
	TextBytes  int64         // of the canonical text; default 16 MiB
	ZipEntries int           // in a DOCX or XLSX; default 4096
	ZipBytes   int64         // a DOCX or XLSX unpacked; default 128 MiB
	ZipRatio   int64         // unpacked to packed, of one entry; default 200
	Pages      int           // of a PDF; default 5000
	Rows       int           // records of a sheet or CSV file; default 200,000
	Duration   time.Duration // wall clock for one document; default 60 s
}

// Defaults of Limits. They are sized for a function with 1 GiB of memory that
// handles one document at a time: a DOCX or XLSX costs about five times its
// unpacked XML while it is read.
const (
	defaultBytes      = 64 << 20
	defaultTextBytes  = 16 << 20
	defaultZipEntries = 4096
	defaultZipBytes   = 128 << 20
	// Sheets of repeated cells pack 50:1 to 120:1 with Excel's deflate; a
	// bomb of zeros packs 1030:1, the most that deflate can do.
	defaultZipRatio = 200
	defaultPages    = 5000
	defaultRows     = 200_000
	defaultDuration = 60 * time.Second
)

func (l Limits) withDefaults() Limits {
	l.Bytes = cmp.Or(l.Bytes, defaultBytes)
	l.TextBytes = cmp.Or(l.TextBytes, defaultTextBytes)
	l.ZipEntries = cmp.Or(l.ZipEntries, defaultZipEntries)
	l.ZipBytes = cmp.Or(l.ZipBytes, defaultZipBytes)
	l.ZipRatio = cmp.Or(l.ZipRatio, defaultZipRatio)
	l.Pages = cmp.Or(l.Pages, defaultPages)
	l.Rows = cmp.Or(l.Rows, defaultRows)
	l.Duration = cmp.Or(l.Duration, defaultDuration)
	return l
}

// Parse is Limits{}.Parse.
func Parse(ctx context.Context, name, mime string, data []byte) (kb.Text, string, error) {
	return Limits{}.Parse(ctx, name, mime, data)
}

// Parse reads one file and returns its text and the MIME type it was read as,
// without parameters. name is the caller's file name (only its extension and,
// when the document has no title, its base are used) and mime the caller's
// claim; both may be empty, and the content outranks both.
//
// Errors: kb.Invalid when the document holds no text, kb.TooLarge when a limit
// on size is passed, kb.Unsupported for types that are not read,
// kb.Unprocessable for a broken, encrypted or image-only file, an archive bomb
// or bytes in no known encoding, kb.Canceled when ctx ends first. A panic in a
// third-party decoder becomes kb.Unprocessable. Parse starts no goroutine and
// is safe for concurrent use.
func (l Limits) Parse(ctx context.Context, name, mime string, data []byte) (t kb.Text, detected string, err error) {
	l = l.withDefaults()
	if int64(len(data)) > l.Bytes {
		return t, "", kb.E(kb.TooLarge, nil, "file: %d bytes are more than the limit of %d; split the document", len(data), l.Bytes)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.Duration, errSlow)
	defer cancel()
	// excelize and goldmark are not written for hostile input; a crash of
	// theirs must stay this document's problem.
	defer func() {
		if r := recover(); r != nil {
			t, err = kb.Text{}, kb.E(kb.Unprocessable, fmt.Errorf("panic: %v", r), "file: broken, it cannot be read; save it again or convert it")
		}
		err = classify(ctx, err)
	}()
	f, err := detect(name, mime, data)
	if err != nil {
		return t, "", err
	}
	b := newBuilder(l.TextBytes)
	if err := l.read(ctx, f, data, b); err != nil {
		return kb.Text{}, f, err
	}
	if err := ctx.Err(); err != nil {
		return kb.Text{}, f, err
	}
	t, err = b.text(baseTitle(name))
	return t, f, err
}

func (l Limits) read(ctx context.Context, format string, data []byte, b *builder) error {
	switch format {
	case MIMEPDF:
		return l.readPDF(ctx, data, b)
	case MIMEDOCX:
		return l.readDOCX(ctx, data, b)
	case MIMEXLSX:
		return l.readXLSX(ctx, data, b)
	}
	// Text holds no more than its file: the largest is refused unread, HTML
	// with the share of markup that pages have.
	if most := l.TextBytes * 2; int64(len(data)) > most && format != MIMEHTML || int64(len(data))/2 > most {
		return kb.E(kb.TooLarge, nil, "file: %d bytes of text are more than the limit of %d; split the document", len(data), l.TextBytes)
	}
	s, err := decodeText(data, format)
	if err != nil {
		return err
	}
	switch format {
	case MIMEMarkdown, MIMEMDX:
		return readMarkdown(ctx, s, format == MIMEMDX, b)
	case MIMEHTML:
		return readHTML(ctx, s, b)
	case MIMECSV, MIMETSV:
		return l.readCSV(ctx, s, format == MIMETSV, b)
	default:
		return readPlain(ctx, s, b)
	}
}

// errSlow is the cause of a context that ended by Limits.Duration, which is
// the document's fault and not the client's.
var errSlow = errors.New("parse: document takes too long")

func classify(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errSlow) && errors.Is(err, context.DeadlineExceeded):
		return kb.E(kb.Unprocessable, errSlow, "file: takes too long to read; split the document or convert it")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return kb.E(kb.Canceled, err, "reading was canceled")
	case kb.KindOf(err) == kb.Internal:
		return kb.E(kb.Unprocessable, err, "file: broken, it cannot be read; save it again or convert it")
	}
	return err
}
