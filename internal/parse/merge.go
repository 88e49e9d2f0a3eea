package parse

import "slices"

// sheetRow is a row of a sheet with its merged cells resolved.
type sheetRow struct {
	cells []string // values; a cell merged downwards repeats in each row
	names []string // the same, merged cells repeated to the right as well: for a header
	span  int      // rows of the tallest merged cell that begins here, at least 1
}

// merger resolves merged cells, row by row: a category that spans ten rows
// belongs to each of the ten records.
type merger struct {
	ranges []mergedRange // unsorted until the first row
	sorted bool
	next   int // ranges[:next] have begun
	open   []openRange
}

type openRange struct {
	mergedRange
	value string
}

// maxOpen bounds the work per row; a sheet that a person made has a few merged
// ranges side by side.
const maxOpen = 256

func (m *merger) fill(row int, cells []string) sheetRow {
	out := sheetRow{cells: cells, names: cells, span: 1}
	if len(m.ranges) == 0 {
		return out
	}
	if !m.sorted {
		slices.SortFunc(m.ranges, func(a, b mergedRange) int { return a.top - b.top })
		m.sorted = true
	}
	m.open = slices.DeleteFunc(m.open, func(o openRange) bool { return o.bottom < row })
	for ; m.next < len(m.ranges) && m.ranges[m.next].top <= row; m.next++ {
		r := m.ranges[m.next]
		if r.top < row || len(m.open) >= maxOpen || r.left > len(cells) || cells[r.left-1] == "" {
			continue
		}
		m.open = append(m.open, openRange{r, cells[r.left-1]})
		out.span = max(out.span, r.bottom-r.top+1)
	}
	if len(m.open) == 0 {
		return out
	}
	for _, o := range m.open {
		for len(out.cells) < o.left {
			out.cells = append(out.cells, "")
		}
		if out.cells[o.left-1] == "" {
			out.cells[o.left-1] = o.value
		}
	}
	out.names = slices.Clone(out.cells)
	for _, o := range m.open {
		right := min(o.right, o.left+maxOpen)
		for len(out.names) < right {
			out.names = append(out.names, "")
		}
		for c := o.left; c < right; c++ {
			if out.names[c] == "" {
				out.names[c] = o.value
			}
		}
	}
	return out
}
