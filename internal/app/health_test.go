package app

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/health"
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
	a, err := openOn(t.Context(), cfg, slog.New(slog.DiscardHandler), metrics.New("v1"), f, false, true, "")
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

func TestHealthAsksModelsAndMilvus(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	models := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	milvus, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(milvus.Addr().String())
	cfg, err := config.Load(config.Source{Environ: []string{
		"DATABASE_DATA_DIR=" + t.TempDir(), "DASHSCOPE_BASE_URL=" + models.URL, "DASHSCOPE_API_KEY=sk-3f9a7c1e5b2d8406", "MILVUS_HOST=127.0.0.1", "MILVUS_PORT=" + port,
	}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	a, err := openOn(t.Context(), cfg, slog.New(slog.DiscardHandler), metrics.New("v1"), new(mem.Bucket), false, true, "")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if !(backend{a}).Ready(t.Context()) || asked.Load() > 0 {
		t.Errorf("whether it is ready was asked of %d models", asked.Load())
	}
	look := func() (milvus, chat string) {
		parts, ready := backend{a}.Health(t.Context())
		if !ready || parts["store"].Status != "up" || parts["rerank model"].Status != "off" {
			t.Errorf("%+v, ready %t; want what the others do not touch to be well", parts, ready)
		}
		return parts["milvus"].Status, parts["chat model"].Status
	}
	if m, c := look(); m != "up" || c != "up" {
		t.Errorf("milvus %s, chat model %s; want both up", m, c)
	}
	models.Close()
	_ = milvus.Close()
	if m, c := look(); m != "up" || c != "up" {
		t.Errorf("milvus %s, chat model %s; asked again at once", m, c)
	}
	a.probes = health.NewProbes(cfg, healthEvery, a.log) // as if healthEvery had passed
	if m, c := look(); m != "down" || c != "down" {
		t.Errorf("milvus %s, chat model %s; want both down", m, c)
	}
}
