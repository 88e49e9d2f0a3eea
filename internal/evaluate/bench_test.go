package evaluate_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/evaluate"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
	"github.com/eino-qa/eino-qa/internal/retrieve"
)

// The fixture of the benchmarks is recombined from the sentences of -data: its
// frequencies of words are those of real Chinese text, its passages make no
// sense. Without -data it is made from testdata, whose vocabulary is too small
// for figures worth quoting.
var data = flag.String("data", "testdata", "folder of sets that the benchmarks take sentences and questions from")

// fixture returns n chunks of about 400 characters and questions about them.
func fixture(tb testing.TB, n int) (chunks []kb.Chunk, questions []string) {
	tb.Helper()
	dirs, err := evaluate.Find(*data)
	if err != nil {
		tb.Fatal(err)
	}
	var sentences, titles []string
	for _, dir := range dirs {
		set, err := evaluate.Load(dir)
		if err != nil {
			tb.Fatal(err)
		}
		if !strings.ContainsFunc(set.Docs[0].Text, func(r rune) bool { return r >= 0x4E00 && r <= 0x9FFF }) {
			continue
		}
		for _, d := range set.Docs {
			titles = append(titles, d.Title)
			for _, s := range chunk.Sentences(d.Text) {
				sentences = append(sentences, d.Text[s.Start:s.End])
			}
		}
		for _, q := range set.Queries {
			questions = append(questions, q.Text)
		}
	}
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	chunks = make([]kb.Chunk, n)
	for i := range chunks {
		var b strings.Builder
		for b.Len() < 1100 {
			b.WriteString(sentences[rng.IntN(len(sentences))])
		}
		doc := kb.DocumentID("d" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)))
		chunks[i] = kb.Chunk{ID: kb.ChunkID(i + 1), Document: doc, Title: titles[rng.IntN(len(titles))], Text: b.String(), End: b.Len()}
	}
	rng.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
	return chunks, questions
}

func textBytes(chunks []kb.Chunk) (n int64) {
	for _, c := range chunks {
		n += int64(len(c.Text))
	}
	return n
}

// cpu returns the processor time of this process.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// segments is a retrieve.Store of one segment and its chunks.
type segments struct {
	blob   []byte
	chunks []kb.Chunk
}

func (s segments) IndexVersion(context.Context) (int64, error) { return 1, nil }
func (s segments) Index(context.Context) (kb.Index, error) {
	seg := kb.Segment{ID: 1, Docs: len(s.chunks), Bytes: int64(len(s.blob)), First: 1, Last: kb.ChunkID(len(s.chunks))}
	return kb.Index{Version: 1, Segments: []kb.Segment{seg}}, nil
}

func (s segments) ReadSegment(_ context.Context, _, off, n int64) ([]byte, error) {
	return s.blob[off : off+n], nil
}

func (s segments) LiveChunks(_ context.Context, ids []kb.ChunkID) ([]kb.Chunk, error) {
	var out []kb.Chunk
	for _, id := range ids {
		out = append(out, s.chunks[id-1])
	}
	return out, nil
}

func BenchmarkBuild(b *testing.B) {
	chunks, _ := fixture(b, 10000)
	var size int
	begin := cpu()
	for b.Loop() {
		blob, err := lexical.Build(slices.Values(chunks))
		if err != nil {
			b.Fatal(err)
		}
		size = len(blob)
	}
	text := float64(textBytes(chunks))
	b.ReportMetric(text*float64(b.N)/1e6/(cpu()-begin).Seconds(), "MB/cpu-s")
	b.ReportMetric(float64(size)/text, "index/text")
}

func BenchmarkSearch(b *testing.B) {
	for name, n := range map[string]int{"5k": 5000, "70k": 70000} {
		b.Run(name, func(b *testing.B) {
			chunks, questions := fixture(b, n)
			blob, err := lexical.Build(slices.Values(chunks))
			if err != nil {
				b.Fatal(err)
			}
			seg, err := lexical.OpenBytes(blob)
			if err != nil {
				b.Fatal(err)
			}
			ix := lexical.Index{Segments: []*lexical.Segment{seg}}
			b.ReportMetric(float64(len(blob))/float64(textBytes(chunks)), "index/text")
			measure(b, questions, func(q string) error {
				_, err := ix.Search(b.Context(), lexical.Parse(q, nil), 50)
				return err
			})
		})
	}
}

func BenchmarkRetrieve(b *testing.B) {
	for name, n := range map[string]int{"5k": 5000, "70k": 70000} {
		b.Run(name, func(b *testing.B) {
			chunks, questions := fixture(b, n)
			blob, err := lexical.Build(slices.Values(chunks))
			if err != nil {
				b.Fatal(err)
			}
			r := retrieve.New(segments{blob, chunks}, retrieve.Config{CacheBytes: 512 << 20})
			measure(b, questions, func(q string) error {
				_, err := r.Retrieve(b.Context(), q, 8)
				return err
			})
		})
	}
}

// measure reports CPU time and the spread of wall time of a question.
func measure(b *testing.B, questions []string, ask func(string) error) {
	b.Helper()
	for _, q := range questions[:min(50, len(questions))] { // warm
		if err := ask(q); err != nil {
			b.Fatal(err)
		}
	}
	var walls []time.Duration
	begin, i := cpu(), 0
	b.ReportAllocs()
	for b.Loop() {
		at := time.Now()
		if err := ask(questions[i%len(questions)]); err != nil {
			b.Fatal(err)
		}
		walls = append(walls, time.Since(at))
		i++
	}
	spent := cpu() - begin
	slices.Sort(walls)
	b.ReportMetric(float64(spent.Microseconds())/float64(i), "cpu-µs/op")
	b.ReportMetric(float64(walls[len(walls)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(walls[len(walls)*99/100].Microseconds()), "p99-µs")
}
