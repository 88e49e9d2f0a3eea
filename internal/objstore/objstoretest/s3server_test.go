package objstoretest

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestAnotherServersAnswerIsNotOurs: who took the port answers, with other
// keys and other buckets.
func TestAnotherServersAnswerIsNotOurs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs an S3 server")
	}
	first := S3Server(t)
	second := &S3{Endpoint: first.Endpoint, Key: "k", Secret: "s", Dir: first.Dir, t: t, health: "/health-of-the-second", log: filepath.Join(t.TempDir(), "log")}
	second.args = slices.Clone(first.args)
	second.args[slices.Index(second.args, first.health)] = second.health
	t.Cleanup(second.Kill)
	if err := second.start(); err == nil {
		t.Error("a server that could not listen was taken for one that answers")
	}
}
