package intent

import (
	"encoding/csv"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, p string) (out []Example) {
	b, err := os.ReadFile("/work/shared/data/intents/" + p)
	if err != nil {
		t.Skip()
	}
	if strings.HasSuffix(p, "csv") {
		rs, _ := csv.NewReader(strings.NewReader(string(b))).ReadAll()
		for _, r := range rs[1:] {
			out = append(out, Example{r[1], r[0]})
		}
		return
	}
	for l := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(l), "\t")
		out = append(out, Example{f[1], f[0]})
	}
	return
}

func TestExp(t *testing.T) {
	b := load(t, "banking77_train.csv")
	c, cv := load(t, "clinc150_train.tsv"), load(t, "clinc150_val.tsv")
	try := func(name string, o Options, f func([]Example) *Linear) {
		s := time.Now()
		bs := 0.0
		for k := range uint64(3) {
			r := rand.New(rand.NewPCG(k, 7))
			x := slices.Clone(b)
			r.Shuffle(len(x), func(i, j int) { x[i], x[j] = x[j], x[i] })
			cut := len(x) * 4 / 5
			m := f(x[:cut])
			bs += m.Accuracy(x[cut:]) / 3
		}
		m := f(c)
		t.Logf("%-20s %+v banking %.4f clinc %.4f %s", name, o, bs, m.Accuracy(cv), time.Since(s).Round(time.Millisecond))
	}
	o := Options{}
	svm := func(x []Example) *Linear { m, _ := TrainUncalibrated(x, o); return m }
	try("final", o, svm)
}
