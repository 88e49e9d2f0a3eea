package e2e

import (
	"os"
	"strings"
	"testing"
)

func TestFollowUpsAreUnderstoodWithoutAModel(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("testdata/followups.tsv")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "RATE_LIMIT_CHAT_PER_MINUTE=0")
	n := 0
	for line := range strings.Lines(string(table)) {
		row := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(row) != 3 {
			continue
		}
		n++
		a := s.ask(row[1], s.ask(row[0], "").Session)
		best, _, _ := strings.Cut(a.Answer, " [1]")
		switch want := row[2]; {
		case want == "-" && !a.Metadata.Abstained:
			t.Errorf("%s … %s: %q, want no answer", row[0], row[1], a.Answer)
		case want != "-" && (a.Metadata.Abstained || !strings.Contains(best, want)):
			t.Errorf("%s … %s: %q, want %q", row[0], row[1], a.Answer, want)
		}
	}
	if n < 20 {
		t.Errorf("%d conversations were read from the table", n)
	}
}
