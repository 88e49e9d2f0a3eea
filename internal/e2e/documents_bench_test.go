package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var dataDir = flag.String("data", "", "folder with dify-docs; without it the sample knowledge base is asked")

// asked are questions of ours with the words that the right passage holds.
type asked struct{ query, want string }

// BenchmarkDocuments ingests real documents by the command line, asks ten
// questions of our own, five in each language, and reports how many have the
// right passage among their sources, and the 95th percentile of the answers'
// times, over HTTP and with nothing else running.
func BenchmarkDocuments(b *testing.B) {
	dir := b.TempDir()
	env := []string{"RATE_LIMIT_CHAT_PER_MINUTE=0", "RATE_LIMIT_PUBLIC_PER_MINUTE=0"}
	questions := []asked{
		{"台灯保修多久？", "24 个月"},
		{"退款到支付宝要多久？", "支付宝"},
		{"E05 是什么故障？", "灯板故障"},
		{"寄到新疆的运费是多少？", "25 元"},
		{"怎样恢复出厂设置？", "10 秒"},
		{"How long is the warranty?", "24-month"},
		{"What does error code E02 mean?", "adapter voltage"},
		{"How do I close my account?", "Close account"},
		{"Do you ship abroad?", "abroad"},
		{"How do I pair the lamp with Bluetooth?", "touch key"},
	}
	if *dataDir != "" {
		questions = []asked{
			{"部署 Dify 最低需要多少内存？", "4 GiB"},
			{"HTTP 请求节点最多可以重试几次？", "10 次"},
			{"循环节点什么时候会终止？", "终止条件"},
			{"如何重置管理员密码？", "flask reset-password"},
			{"怎样把应用嵌入到网站里？", "嵌入"},
			{"What is the minimum RAM to deploy Dify?", "4 GiB"},
			{"How many times can the HTTP request node retry?", "up to 10 times"},
			{"When does a loop node terminate?", "termination condition"},
			{"What is the default value of UPLOAD_FILE_SIZE_LIMIT?", "15 MB"},
			{"How do I reset the admin password?", "flask reset-password"},
		}
		env = append(env, "TENANTS_SAMPLE=off")
		began := time.Now()
		docs := filepath.Join(*dataDir, "dify-docs")
		if out, err := run(b, dir, nil, "ingest", filepath.Join(docs, "zh"), filepath.Join(docs, "en")); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/ingest")
	}
	s := startB(b, dir, env)
	defer s.kill()
	right := 0
	var took []time.Duration
	for range 30 {
		for _, q := range questions {
			began := time.Now()
			s.ask(q.query, "")
			took = append(took, time.Since(began))
		}
	}
	for _, q := range questions {
		a := s.ask(q.query, "")
		if holds(s, a, q.want) {
			right++
		} else {
			b.Logf("%s: %q", q.query, a.Answer)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(right), "right/10")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms/p95")
	b.ReportMetric(0, "ns/op")
}

// holds reports whether a source of the answer, or the passage around it, has
// the words.
func holds(s *server, a answer, want string) bool {
	for _, src := range a.Sources {
		var doc struct {
			Text       string
			Start, End int
		}
		s.do("GET", src.URL, nil).into(s.t, &doc)
		const around = 600 // bytes: about a chunk
		if strings.Contains(doc.Text[max(0, doc.Start-around):min(len(doc.Text), doc.End+around)], want) {
			return true
		}
	}
	return false
}

func TestMain(m *testing.M) {
	if model := os.Getenv(relayTo); model != "" {
		relay(model)
	}
	flag.Parse()
	os.Exit(build(m))
}
