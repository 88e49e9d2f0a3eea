package pdf

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Text is the text of a file.
type Text struct {
	Title string // from the document's properties; may be empty or nonsense
	Pages [][]Line
}

// Read returns the lines of all pages in reading order. Errors wrap one of
// this package's, or are ctx's. It never panics and starts no goroutine.
func Read(ctx context.Context, data []byte, lim Limits) (*Text, error) {
	d, err := open(ctx, data, lim)
	if err != nil {
		return nil, err
	}
	pages, err := d.pages()
	if err != nil {
		return nil, err
	}
	out := &Text{}
	if s, ok := d.resolve(d.dict(d.trailer["Info"])["Title"]).(text); ok {
		out.Title = pdfString(s)
	}
	mapped, unmapped, images := 0, 0, 0
	for _, p := range pages {
		t := d.page(p)
		if err := d.exhausted(); err != nil {
			return nil, err
		}
		mapped, unmapped, images = mapped+t.mapped, unmapped+t.unmapped, images+t.images
		out.Pages = append(out.Pages, ordered(t.lines))
	}
	switch {
	// Some unmapped glyphs are ornaments; when it is a third, sentences break.
	case unmapped > 0 && unmapped*2 > mapped:
		return nil, fmt.Errorf("%w: %d of %d glyphs", ErrNoMap, unmapped, mapped+unmapped)
	case mapped == 0:
		return nil, fmt.Errorf("%w: %d pages, %d images", ErrNoText, len(pages), images)
	}
	return out, nil
}

func (d *document) exhausted() error {
	switch {
	case d.ctx.Err() != nil:
		return d.ctx.Err()
	case d.ops > d.lim.Ops:
		return fmt.Errorf("%w: more than %d operators", ErrTooLarge, d.lim.Ops)
	case d.left <= 0:
		return fmt.Errorf("%w: unpacks to more than %d bytes", ErrTooLarge, d.lim.Decoded)
	}
	return nil
}

// page is a page's dictionary with the resources it may inherit.
type page struct {
	dict dict
	res  dict
}

// pages walks the page tree.
func (d *document) pages() ([]page, error) {
	type node struct {
		o     any
		res   dict
		depth int
	}
	var out []page
	seen := map[ref]bool{}
	stack := []node{{o: d.dict(d.trailer["Root"])["Pages"]}}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if r, ok := n.o.(ref); ok {
			if seen[r] {
				continue
			}
			seen[r] = true
		}
		if err := d.exhausted(); err != nil {
			return nil, err
		}
		x := d.dict(n.o)
		if x == nil || n.depth > maxDepth {
			continue
		}
		if r := d.dict(x["Resources"]); r != nil {
			n.res = r
		}
		kids := d.array(x["Kids"])
		if kids == nil && d.name(x["Type"]) != "Pages" || d.name(x["Type"]) == "Page" {
			if len(out) >= d.lim.Pages {
				return nil, fmt.Errorf("%w: more than %d pages", ErrTooLarge, d.lim.Pages)
			}
			out = append(out, page{x, n.res})
			continue
		}
		for _, kid := range slices.Backward(kids) { // the first kid comes off first
			stack = append(stack, node{kid, n.res, n.depth + 1})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no pages", ErrBroken)
	}
	return out, nil
}

// page runs a page's content streams, which are one program in pieces.
func (d *document) page(p page) *pageText {
	var content []byte
	for _, o := range d.list(p.dict["Contents"]) {
		s, ok := d.resolve(o).(*stream)
		if !ok {
			continue
		}
		data, err := d.decode(s)
		if err != nil {
			continue // the other pieces may still be read
		}
		content = append(append(content, data...), '\n')
	}
	t := &pageText{}
	in := &interpreter{d: d, out: t, s: state{ctm: identity, scale: 1}, tm: identity, tlm: identity}
	in.run(content, p.res)
	t.flush()
	return t
}

// LooksGenerated reports titles that a program made up from a file's name.
func LooksGenerated(title string) bool {
	low := strings.ToLower(strings.TrimSpace(title))
	for _, p := range []string{"microsoft word - ", "microsoft powerpoint - ", "untitled", "无标题", "(anonymous)", "powerpoint 演示文稿", "(unspecified)"} {
		if strings.HasPrefix(low, p) {
			return true
		}
	}
	for _, s := range []string{".doc", ".docx", ".wps", ".pdf", ".indd", ".tex", ".dvi", ".xls", ".xlsx", ".ppt", ".pptx"} {
		if strings.HasSuffix(low, s) {
			return true
		}
	}
	return low == "" || strings.Contains(low, `:\`)
}
