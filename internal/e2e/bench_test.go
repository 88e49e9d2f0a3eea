package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The rivals' figures are those issue 2 names: the lightest of them is ready
// after 1.7 to 2.2 s, takes 276 MB idle and 264 MB on disk; the origin of this
// product answers 235 to 344 requests a second with a model that answers at
// once. They were measured elsewhere; the ratios to a bare server are measured
// here, in the same run.

// BenchmarkServer reports what the server costs: time until it is ready on
// existing data, memory when idle, size of the program, and keyless answers a
// second over 16 connections, beside a bare handler behind the same client.
func BenchmarkServer(b *testing.B) {
	dir := b.TempDir()
	env := []string{"RATE_LIMIT_CHAT_PER_MINUTE=0", "RATE_LIMIT_PUBLIC_PER_MINUTE=0"}
	startB(b, dir, env).kill() // makes the data
	b.Run("ready", func(b *testing.B) {
		var took []time.Duration
		for range 11 {
			began := time.Now()
			s := startB(b, dir, env)
			took = append(took, time.Since(began))
			s.kill()
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/ready")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("idle", func(b *testing.B) {
		s := startB(b, dir, env)
		defer s.kill()
		time.Sleep(time.Second)
		b.ReportMetric(float64(resident(b, s))/1e6, "MB/resident")
		info, err := os.Stat(binary)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB/binary")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("chat", func(b *testing.B) {
		bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(bytes.Repeat([]byte(`{"answer":""}`), 60)) // as many bytes as an answer
		}))
		defer bare.Close()
		base := rate(b, bare.URL)
		s := startB(b, dir, env)
		defer s.kill()
		ours := rate(b, s.url)
		b.ReportMetric(ours, "chat/s")
		b.ReportMetric(base/ours, "×bare")
		b.ReportMetric(0, "ns/op")
	})
}

// rate is how many questions a second 16 connections get answered.
func rate(b *testing.B, url string) float64 {
	b.Helper()
	const connections, warm, run = 16, time.Second, 4 * time.Second
	questions := []string{"台灯保修多久？", "How long is the warranty?", "退款到支付宝要多久？", "E05 是什么故障？", "What does error code E02 mean?", "寄到新疆的运费是多少？", "天上有几颗星？"}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	ctx, cancel := context.WithTimeout(b.Context(), warm+run)
	defer cancel()
	var n atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			for i := c; ctx.Err() == nil; i++ {
				body := fmt.Sprintf(`{"query":%q}`, questions[i%len(questions)])
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/chat", bytes.NewReader([]byte(body)))
				if err != nil {
					b.Error(err)
					return
				}
				res, err := client.Do(req)
				if err != nil {
					if ctx.Err() == nil {
						b.Error(err)
					}
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					b.Errorf("status %d", res.StatusCode)
					return
				}
				if time.Since(began) > warm {
					n.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / run.Seconds()
}
