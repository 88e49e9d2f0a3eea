// Package chunk cuts the text of a document into the pieces that are found,
// and passages into the sentences that are quoted. It follows the structure
// that package parse found: chunks never cross headings, lists and code stay
// whole, tables repeat their header (DESIGN §5.2). It is pure: the same text
// gives the same chunks.
package chunk

import (
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Options say how long chunks are. The unit is a Chinese character; a word of
// other scripts counts two. A zero field means its default.
type Options struct {
	Target int // length aimed at; default 400
	Whole  int // a list or a block of code up to this length stays whole; default 1200
	Record int // a record up to this length stays whole; default 4000
}

// Defaults of Options.
const (
	defaultTarget = 400  // DESIGN §5.2
	defaultWhole  = 1200 // three chunks; longer lists are inventories, not lists
	// The embedding models of DashScope take 8192 tokens; 4000 characters
	// stay below in every script.
	defaultRecord = 4000
)

// Separator joins the parts of Chunk.Heading.
const Separator = " › "

// Split cuts t into chunks: Ordinal, Title, Heading, Prefix, Text, Start and
// End are set, the ids are left to the store. Each non-blank byte of t.Body
// outside headings is in exactly one chunk; a heading is text only where
// nothing stands under it, else it is in the Heading of the chunks below.
// Text is t.Body[Start:End] and never blank. Blocks that are out of order, or
// out of the body, are skipped; text outside blocks counts as paragraphs.
func Split(t kb.Text, o Options) []kb.Chunk {
	if o.Target <= 0 {
		o.Target = defaultTarget
	}
	if o.Whole <= 0 {
		o.Whole = max(defaultWhole, o.Target)
	}
	if o.Record <= 0 {
		o.Record = max(defaultRecord, o.Whole)
	}
	var out []kb.Chunk
	for _, s := range sections(t) {
		a := coalesce(atomise(t.Body, s.blocks, o), o)
		for _, p := range plan(a, o) {
			first, last := a[p.from], a[p.to-1]
			out = append(out, kb.Chunk{
				Ordinal: len(out),
				Title:   t.Title,
				Heading: s.path,
				Prefix:  first.prefix,
				Text:    t.Body[first.start:last.end],
				Start:   first.start,
				End:     last.end,
			})
		}
	}
	return out
}

// section is the blocks under one heading, without those under its
// subheadings.
type section struct {
	path   string
	blocks []kb.Block
}

// sections groups the blocks by heading.
func sections(t kb.Text) []section {
	var out []section
	var stack []kb.Block // open headings
	blocks := normalise(t)
	add := func(b kb.Block) {
		path := headingPath(t, stack)
		if n := len(out); n == 0 || out[n-1].path != path {
			out = append(out, section{path: path})
		}
		s := &out[len(out)-1]
		s.blocks = append(s.blocks, b)
	}
	fresh := false // a heading was opened: its section is new even if its path is not
	for i, b := range blocks {
		if b.Kind != kb.Heading {
			if fresh {
				out = append(out, section{path: headingPath(t, stack)})
				fresh = false
			}
			add(b)
			continue
		}
		for len(stack) > 0 && stack[len(stack)-1].Level >= b.Level {
			stack = stack[:len(stack)-1]
		}
		if bare(blocks, i) && (len(blocks) == 1 || t.Body[b.Start:b.End] != t.Title) {
			b.Kind = kb.Paragraph // nothing stands under it, so it is all there is
			add(b)
			continue
		}
		stack = append(stack, b)
		fresh = true
	}
	return out
}

// bare reports whether nothing stands under the heading blocks[i].
func bare(blocks []kb.Block, i int) bool {
	return i+1 == len(blocks) || blocks[i+1].Kind == kb.Heading && blocks[i+1].Level <= blocks[i].Level
}

func headingPath(t kb.Text, stack []kb.Block) string {
	var parts []string
	for i, b := range stack {
		s := strings.Join(strings.Fields(t.Body[b.Start:b.End]), " ")
		if i == 0 && s == t.Title {
			continue
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, Separator)
}

// normalise returns valid blocks that cover all of the body that is not blank.
func normalise(t kb.Text) []kb.Block {
	var out []kb.Block
	at := 0
	put := func(b kb.Block, start, end int) {
		if b.Start, b.End = trim(t.Body, start, end); b.Start < b.End {
			out = append(out, b)
		}
	}
	for _, b := range t.Blocks {
		if b.Start < at || b.End > len(t.Body) || b.Start >= b.End || !boundaryAt(t.Body, b.Start) || !boundaryAt(t.Body, b.End) {
			continue
		}
		put(kb.Block{Kind: kb.Paragraph}, at, b.Start)
		put(b, b.Start, b.End)
		at = b.End
	}
	put(kb.Block{Kind: kb.Paragraph}, at, len(t.Body))
	return out
}

func boundaryAt(s string, i int) bool { return i == len(s) || utf8.RuneStart(s[i]) }
