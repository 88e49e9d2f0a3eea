//go:build !function

package app

import (
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
)

// bar shows progress: a bar on a terminal, a line now and then elsewhere.
type bar struct {
	out  io.Writer
	name string
	tty  bool
	bar  *progressbar.ProgressBar
	last int // tenth that was printed last, without a terminal
}

func newBar(out io.Writer, name string) *bar {
	f, ok := out.(*os.File)
	b := &bar{out: out, name: name, last: -1}
	if ok {
		info, err := f.Stat()
		b.tty = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

// set shows that done of all are done.
func (b *bar) set(done, of int, _ string) {
	if !b.tty {
		if tenth := 10 * done / max(of, 1); tenth > b.last {
			b.last = tenth
			fmt.Fprintf(b.out, "%s: %d of %d\n", b.name, done, of)
		}
		return
	}
	if b.bar == nil {
		b.bar = progressbar.NewOptions(of, progressbar.OptionSetWriter(b.out), progressbar.OptionSetDescription(b.name),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionOnCompletion(func() { fmt.Fprintln(b.out) }))
	}
	_ = b.bar.Set(done) // only a write to the terminal can fail
}
