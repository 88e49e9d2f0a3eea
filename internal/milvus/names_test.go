package milvus

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func newClient(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCollectionsHaveNamesThatMilvusTakesAndNeverShare(t *testing.T) {
	t.Parallel()
	legal := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,254}$`)
	seen := map[string]string{}
	for _, metric := range []string{"COSINE", "IP", "L2"} {
		c := newClient(t, Config{Address: "127.0.0.1:1", Metric: metric})
		for _, space := range []string{
			"text-embedding-v2/1536", "text_embedding_v2/1536", "text-embedding-v2/1024", "", "/", "_",
			"通义千问/1024", "通义万象/1024", strings.Repeat("m", 1000) + "/1", strings.Repeat("m", 1001) + "/1", "a\"b", "a\x00b", "a b", "A/1", "a/1",
		} {
			for _, dims := range []int{8, 16} {
				x := c.Index("t", space, dims)
				if got := x.Collection(); !legal.MatchString(got) {
					t.Errorf("the space %.20q is kept in %q, which Milvus refuses", space, got)
				}
				key := metric + space + string(rune(dims))
				if other, taken := seen[x.Collection()]; taken && other != key {
					t.Errorf("%.20q and %.20q share the collection %s", key, other, x.Collection())
				}
				seen[x.Collection()] = key
				if again := c.Index("u", space, dims).Collection(); again != x.Collection() {
					t.Errorf("another tenant of %.20q is kept in %s, not in %s", space, again, x.Collection())
				}
			}
		}
	}
	// A golden name: if it changes, every installation builds its index anew.
	if got, want := newClient(t, Config{Address: "a:1"}).Index("t", "text-embedding-v2/1536", 1536).Collection(), "eino_qa_text_embedding_v2_1536_cosine_"; !strings.HasPrefix(got, want) || len(got) != len(want)+16 {
		t.Errorf("the collection is %s, want %s and a hash", got, want)
	}
}

func TestKeysAreReadBackAndOthersRefused(t *testing.T) {
	t.Parallel()
	x := newClient(t, Config{Address: "127.0.0.1:1"}).Index("acme", "m/2", 2)
	for _, want := range []kb.VectorHit{{Batch: "b", Chunk: 1}, {Batch: "vb_0-Z", Chunk: math.MaxInt64}, {Batch: "b", Chunk: 0}} {
		if got, ok := x.hit(x.key(want.Batch, want.Chunk)); !ok || got != want {
			t.Errorf("hit(key(%v)) = %v, %v", want, got, ok)
		}
	}
	for _, key := range []string{"", "/", "acme", "acme/", "acme/b", "acme/b/", "acme/b/x", "acme/b/01", "acme/b/1/", "acme/b/1 ", "acme//1", "acme2/b/1", "b/1", "/b/1", "ACME/b/1", "acme/b c/1", "acme/b/99999999999999999999"} {
		if got, ok := x.hit(key); ok {
			t.Errorf("the key %q was read as %v", key, got)
		}
	}
}

// TestBadArgumentsReachNoServer: the address leads nowhere, so whatever is
// sent is another error.
func TestBadArgumentsReachNoServer(t *testing.T) {
	t.Parallel()
	c := newClient(t, Config{Address: "127.0.0.1:1"})
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	good := c.Index("acme", "m/2", 2)
	row := func(v ...float32) []kb.VectorRow { return []kb.VectorRow{{Chunk: 1, Vector: v}} }
	for name, do := range map[string]func() error{
		"a tenant that is an expression": func() error { _, err := c.Index(`a" or tenant_id != "`, "m/2", 2).Rows(t.Context()); return err },
		"no tenant":                      func() error { return c.Index("", "m/2", 2).Drop(t.Context(), []string{"b"}) },
		"a tenant with a slash":          func() error { _, err := c.Index("a/b", "m/2", 2).Batches(t.Context()); return err },
		"no dimensions":                  func() error { return c.Index("a", "m/0", 0).Upsert(t.Context(), "b", nil) },
		"too many dimensions":            func() error { return c.Rebuild(t.Context(), "m", maxDims+1) },
		"a batch that is an expression":  func() error { _, err := good.Count(t.Context(), `b" or batch != "`); return err },
		"no batch":                       func() error { return good.Upsert(t.Context(), "", row(1, 0)) },
		"a batch with a slash":           func() error { return good.Drop(t.Context(), []string{"fine", "a/b"}) },
		"a batch too long":               func() error { return good.Upsert(t.Context(), strings.Repeat("b", 65), row(1, 0)) },
		"a vector too short":             func() error { return good.Upsert(t.Context(), "b", row(1)) },
		"a vector too long":              func() error { _, err := good.Search(t.Context(), []float32{1, 0, 0}, 1); return err },
		"a vector of zeros":              func() error { return good.Upsert(t.Context(), "b", row(0, 0)) },
		"a vector with NaN":              func() error { return good.Upsert(t.Context(), "b", row(1, nan)) },
		"a vector with infinity":         func() error { _, err := good.Search(t.Context(), []float32{inf, 0}, 1); return err },
		"a chunk twice":                  func() error { return good.Upsert(t.Context(), "b", append(row(1, 0), row(0, 1)...)) },
	} {
		if err := do(); kb.KindOf(err) != kb.Invalid {
			t.Errorf("%s: %v, want an Invalid error", name, err)
		}
	}
	if hits, err := good.Search(t.Context(), []float32{1, 0}, 0); hits != nil || err != nil {
		t.Errorf("a search for no rows = %v, %v", hits, err)
	}
	if err := good.Drop(t.Context(), nil); err != nil {
		t.Errorf("dropping nothing: %v", err)
	}
	if err := good.Upsert(t.Context(), "b", nil); err != nil {
		t.Errorf("writing nothing: %v", err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"no address":             {Config{}, "milvus.host"},
		"an unknown metric":      {Config{Address: "a:1", Metric: "cosine"}, "milvus.metric"},
		"a prefix with a dash":   {Config{Address: "a:1", Prefix: "eino-qa"}, "eino-qa"},
		"a CA file not there":    {Config{Address: "a:1", TLS: true, CAFile: "absent.pem"}, "milvus.tls.ca_file"},
		"a CA file without a CA": {Config{Address: "a:1", TLS: true, CAFile: empty}, "no PEM certificate"},
		"an ef beyond Milvus's":  {Config{Address: "a:1", Ef: 32769}, "milvus.hnsw.ef"},
	} {
		if _, err := New(c.cfg); kb.KindOf(err) != kb.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an Invalid error that names %s", name, err, c.want)
		}
	}
}
