package pdf

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	f := os.Getenv("F")
	if f == "" {
		t.Skip()
	}
	d, _ := os.ReadFile(f)
	tx, err := Read(context.Background(), d, Limits{5000, 200 << 20, 20_000_000})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range tx.Pages {
		for _, l := range p {
			if g := os.Getenv("G"); g == "" || strings.Contains(l.Text, g) {
				t.Logf("p%d x%.1f-%.1f y%.1f s%.1f b%v t%d %q", i+1, l.X0, l.X1, l.Y, l.Size, l.Bold, l.turned, l.Text)
			}
		}
	}
}
