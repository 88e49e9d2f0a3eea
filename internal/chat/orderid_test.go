package chat

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// TestMarksAreTheirPatterns: what stands before and after a number is told by
// comparing words, without compiling these patterns.
func TestMarksAreTheirPatterns(t *testing.T) {
	patterns := []struct {
		name string
		is   func(string) bool
		want *regexp.Regexp
	}{
		{"near before", func(s string) bool { return calls(s, nearMarks) }, regexp.MustCompile(`(?i)(订单|訂單|运单|\border)\s*(是|为|is|:|：|=)?\s*$`)},
		{"proof before", func(s string) bool { return calls(s, proofMarks) }, regexp.MustCompile(`(?i)(手机号?码?|电话号?码?|尾号|后四位|末四位|验证码?|密码|邮编|phone( number)?|mobile( number)?|ending( in| with)?|ends( in| with)?|code|pin|zip( code)?)\s*(是|为|is|:|：|=)?\s*$`)},
		{"unit after", counts, regexp.MustCompile(`(?i)^\s*(个|件|元|块|条|笔|份|台|套|箱|天|年|月|日|号|人|次|%|分钟|小时|万|千|pieces?|units?|pcs|items?|times|copies|dollars|usd|rmb|cny|yuan|days?|hours?|people|orders|requests)`)},
		{"near after", belongs, regexp.MustCompile(`^\s*(号|这个|这笔|这单|这|的|那个)*(订单|訂單)`)},
		{"word of orders", aboutOrders, regexp.MustCompile(`订单|單號|訂單|单号|运单|包裹|快递|物流|\b(orders?|parcels?|packages?|shipments?|purchases?|tracking)\b`)},
		{"marked before", func(s string) bool { return hasAny(strings.ToLower(s), strongMarkHas) && strongMark.MatchString(s) }, regexp.MustCompile(strongMark.get().String())},
	}
	words := strings.Split(nearMarks+"|"+nearFillers+"|"+proofMarks+"|"+units+"|"+orderWordHas+"| |  |\t|是|为|is|IS|:|：|=|#|№|_|s|Order|CODE|number|no.|id|号码|編號|我的|it", "|")
	r := rand.New(rand.NewPCG(1, 2))
	matched := map[string]int{}
	for range 200_000 {
		var b strings.Builder
		for range 1 + r.IntN(6) {
			b.WriteString(words[r.IntN(len(words))])
		}
		s := b.String()
		for _, p := range patterns {
			lower := s
			if p.name == "word of orders" {
				lower = strings.ToLower(s)
			}
			want := p.want.MatchString(lower)
			if got := p.is(lower); got != want {
				t.Fatalf("%s of %q: %v, the pattern says %v", p.name, lower, got, want)
			}
			if want {
				matched[p.name]++
			}
		}
	}
	for _, p := range patterns {
		if matched[p.name] < 1000 {
			t.Errorf("%s: only %d texts of those tried match", p.name, matched[p.name])
		}
	}
}
