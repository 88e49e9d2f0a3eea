package chat

import (
	"runtime"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// A token costs as much at the end of a long sentence of a long answer as at its
// beginning: nothing that grows is copied for each. Copying what was said so far
// would allocate 40 MB here.
func TestATokenCostsTheSameWhereverItStands(t *testing.T) {
	text := strings.Repeat("保修期内的维修免费，往返运费由我们承担", maxAnswerBytes/len("保修期内的维修免费，往返运费由我们承担"))
	a := &answer{emit: func(kb.Event) error { return nil }}
	c := &checker{known: func() *values { return newValues(text) }, deliver: a.deliver}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.write("ANSWER\n")
	for _, r := range text {
		c.write(string(r))
	}
	c.close()
	runtime.ReadMemStats(&after)
	if a.turn.Answer != text {
		t.Fatalf("%d bytes of %d came through", len(a.turn.Answer), len(text))
	}
	if per := (after.TotalAlloc - before.TotalAlloc) / uint64(len(text)); per > 100 {
		t.Errorf("%d bytes allocated for each that was said", per)
	}
}
