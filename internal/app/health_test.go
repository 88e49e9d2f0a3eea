package app

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
	"github.com/eino-qa/eino-qa/internal/telemetry/metrics"
)

func TestHealthSaysWhatTheStoreComplainsAbout(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.Source{Environ: []string{"DATABASE_DATA_DIR=" + t.TempDir()}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var ill error
	writes := true // only they fail
	f := objstoretest.NewFault(new(mem.Bucket), func(c objstoretest.Call) objstoretest.Effect {
		if ill == nil || writes && !c.Op.Writes() {
			return objstoretest.Effect{}
		}
		return objstoretest.Effect{Action: objstoretest.Fail, Err: ill}
	})
	a, err := openOn(t.Context(), cfg, slog.New(slog.DiscardHandler), metrics.New("v1"), f, false, true)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, c := range []struct {
		name    string
		ill     error
		writes  bool
		message string
	}{
		{"all is well", nil, true, ""},
		{"full", objstore.Trouble(objstore.ErrFull, nil), true, "the store is full"},
		{"read-only", objstore.Trouble(objstore.ErrReadOnly, nil), true, "the store is read-only"},
		{"expired", objstore.Trouble(objstore.ErrDenied, nil), false, "the store refuses the credentials"},
		{"down", objstore.Trouble(objstore.ErrDown, nil), false, "the store does not answer"},
		{"well again", nil, true, ""},
	} {
		ill, writes = c.ill, c.writes
		_, _ = a.bucket.Put(t.Context(), "inbox/x", bytes.NewReader(nil)) // somebody uploads
		parts, ready := backend{a}.Health(t.Context())
		if got := parts["store"]; got.Message != c.message || (got.Status == "up") != (c.message == "") || c.writes && !ready {
			t.Errorf("%s: %+v, ready %t; want %q, and ready while it reads", c.name, got, ready, c.message)
		}
	}
}
