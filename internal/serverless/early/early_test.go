package early

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func percent() int {
	p := debug.SetGCPercent(Percent)
	debug.SetGCPercent(p)
	return p
}

// TestCollection runs in processes of its own: the setting is the process's,
// and their first collection must be seen.
func TestCollection(t *testing.T) {
	if os.Getenv("EARLY_TEST") != "" {
		before := percent()
		runtime.GC()
		for end := time.Now().Add(10 * time.Second); percent() == Percent && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		t.Log("percent:", before, percent(), "samples:", runtime.MemProfileRate)
		return
	}
	for _, tt := range []struct{ name, gogc, want string }{
		{"is put off once", "", "percent: 800 100 samples: 0"},
		{"is put off once, then is as often as somebody chose", "50", "percent: 800 50 samples: 0"},
		{"is left as it is where it was off", "off", "percent: -1 -1 samples: 0"},
		{"is left as it is where it was rarer", "900", "percent: 900 900 samples: 0"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCollection$", "-test.v")
		cmd.Env = []string{"EARLY_TEST=yes", "GOGC=" + tt.gogc}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want+"\n") {
			t.Errorf("collection %s: %v, want %s in\n%s", tt.name, err, tt.want, out)
		}
	}
}
