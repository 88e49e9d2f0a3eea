package milvus

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func testGate() (*gate, *bytes.Buffer) {
	logged := new(bytes.Buffer)
	return &gate{log: slog.New(slog.NewTextHandler(logged, nil)), address: "m:1", first: firstPause}, logged
}

var errTest = errors.New("refused")

func TestTheGateTellsAnOutageOnceAndLetsOneProbeThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, logged := testGate()
		pass := func(connected bool) (probe, ok bool) {
			probe, wait, why := g.enter(connected, time.Now())
			if (wait == 0) != (why == nil) {
				t.Errorf("enter waits %v because of %v", wait, why)
			}
			return probe, wait == 0
		}
		if _, ok := pass(false); !ok {
			t.Fatal("the first call, which makes the connection, was kept away")
		}
		for range 5 {
			g.leave(t.Context(), false, lost, time.Now(), errTest) // calls that failed together
		}
		if _, ok := pass(true); ok {
			t.Error("a call passed right after the connection was lost")
		}
		time.Sleep(firstPause)
		if _, ok := pass(false); ok {
			t.Error("a call passed without a connection")
		}
		probe, ok := pass(true)
		if !probe || !ok {
			t.Fatal("after the pause, with a connection, nobody may try")
		}
		if _, ok := pass(true); ok {
			t.Error("a second call passed beside the probe")
		}
		g.leave(t.Context(), true, failed, time.Now(), errTest)
		time.Sleep(firstPause - time.Millisecond)
		if _, ok := pass(true); ok {
			t.Error("the pause after a failed probe is not longer than the first")
		}
		time.Sleep(firstPause)
		if probe, _ := pass(true); !probe {
			t.Error("no second probe")
		}
		g.leave(t.Context(), true, silent, time.Now(), errTest)
		if probe, _ := pass(true); !probe {
			t.Error("no probe in the place of one that learned nothing")
		}
		g.leave(t.Context(), true, answered, time.Now(), nil)
		for range 2 {
			if probe, ok := pass(true); probe || !ok {
				t.Error("the gate is not open after an answer")
			}
		}
		if got := strings.Count(logged.String(), `msg="failed to connect to milvus" address=m:1 error=refused`); got != 1 {
			t.Errorf("the outage was logged %d times:\n%s", got, logged)
		}
		if got := strings.Count(logged.String(), "milvus answers again"); got != 1 {
			t.Errorf("the end was logged %d times:\n%s", got, logged)
		}
		g.leave(t.Context(), false, lost, time.Now(), errTest)
		if got := strings.Count(logged.String(), "failed to connect to milvus"); got != 2 {
			t.Errorf("the second outage is not in the log:\n%s", logged)
		}
	})
}

func TestThreeFailuresInARowAreAnOutage(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		verdicts []verdict
		down     bool
	}{
		"two":                            {[]verdict{failed, failed}, false},
		"three":                          {[]verdict{failed, failed, failed}, true},
		"three, with an answer between":  {[]verdict{failed, failed, answered, failed}, false},
		"callers that left do not count": {[]verdict{failed, silent, silent, silent, failed}, false},
		"nor do they make it good":       {[]verdict{failed, failed, silent, failed}, true},
		"one lost connection":            {[]verdict{lost}, true},
	} {
		g, logged := testGate()
		for _, v := range c.verdicts {
			g.leave(t.Context(), false, v, now, errTest)
		}
		if _, wait, _ := g.enter(true, now); (wait > 0) != c.down {
			t.Errorf("%s: a call waits %v, want an outage: %v", name, wait, c.down)
		}
		if logged.Len() > 0 != c.down {
			t.Errorf("%s: the log says %q", name, logged)
		}
	}
}

func TestPausesGrowToALimit(t *testing.T) {
	t.Parallel()
	g, _ := testGate()
	now := time.Now()
	g.leave(t.Context(), false, lost, now, errTest)
	for range 20 {
		now = now.Add(longestPause)
		probe, wait, _ := g.enter(true, now)
		if !probe {
			t.Fatalf("after %v a call still waits %v", longestPause, wait)
		}
		g.leave(t.Context(), true, failed, now, errTest)
	}
	if _, wait, _ := g.enter(true, now); wait < longestPause/2 || wait > longestPause {
		t.Errorf("after many failures the pause is %v, want between %v and %v", wait, longestPause/2, longestPause)
	}
}
