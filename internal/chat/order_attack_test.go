package chat

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// watched is a shop that writes down what it is asked.
type watched struct {
	*shop
	asked []string
}

func (w *watched) Order(ctx context.Context, key string) (kb.ShopOrder, error) {
	w.asked = append(w.asked, "order "+key)
	return w.shop.Order(ctx, key)
}

func (w *watched) OrdersOf(ctx context.Context, user string, n int) ([]kb.ShopOrder, error) {
	w.asked = append(w.asked, "orders of "+user)
	return w.shop.OrdersOf(ctx, user, n)
}

func (w *watched) ProveOrder(ctx context.Context, c kb.OrderClaim) (kb.ShopOrder, kb.Proof, error) {
	w.asked = append(w.asked, "prove "+c.Key)
	return w.shop.ProveOrder(ctx, c)
}

func watch(t *testing.T) (*talk, *watched) {
	t.Helper()
	w := &watched{shop: lampShop()}
	k := talkTo(t, w.shop)
	k.c.tenant.Orders = w
	return k, w
}

func TestAMessageLooksAtOneOrderAtMost(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"ten ids":        "查询订单 #20251114001 #20251114002 #20251114003 #20251114004 #20251114005 #20251114006 #20251114007 #20251114008 #20251114009 #20251114010",
		"ids and proofs": "订单 20251114001 20251114002 20251114003 手机尾号 1111 2222 3333 5678",
		"a list":         "check orders 20251114001, 20251114002, 20251114003 with phone 1111, 2222, 3333",
	} {
		k, w := watch(t)
		k.say(says)
		orders := slices.DeleteFunc(slices.Clone(w.asked), func(s string) bool { return !strings.HasPrefix(s, "order ") })
		if len(orders) != 1 || len(w.tried) > 1 {
			t.Errorf("%s: the shop was asked %v, and for proof %d times", name, w.asked, len(w.tried))
		}
	}
}

func TestAMessageIsOneGuess(t *testing.T) {
	t.Parallel()
	four := func(answers []string) (n int) {
		for _, a := range answers {
			if len(a) == 4 && strings.Trim(a, "0123456789") == "" {
				n++
			}
		}
		return n
	}
	for _, says := range []string{
		"1111 2222 3333 4444", "1111,2222,5678", "尾号 1111 或者 2222 或者 5678", "my phone ends with 1111 or 2222 or 5678",
		"订单 20251114001 手机 1111 2222 5678", "order 20251114001, code 1111, pin 2222, phone 5678",
	} {
		k, w := watch(t)
		k.say("查询订单 #20251114001")
		k.say(says)
		if len(w.tried) != 1 || four(w.tried[0].Answers) > 1 {
			t.Errorf("%q: tried %+v, want one attempt with one four-digit guess", says, w.tried)
		}
	}
}

func TestAKnownOrderIsAskedForLikeAnUnknownOne(t *testing.T) {
	t.Parallel()
	var transcripts [][]string
	for _, id := range []string{"20251114001", "20259999009"} {
		k, w := watch(t)
		for _, q := range []string{"查询订单 #" + id, "1234", "订单 " + id + "，手机尾号 0000", "订单 " + id} {
			k.say(q)
		}
		for i := range w.asked {
			w.asked[i] = strings.ReplaceAll(w.asked[i], id, "ID")
		}
		transcripts = append(transcripts, w.asked)
	}
	if diff := cmp.Diff(transcripts[0], transcripts[1]); diff != "" {
		t.Errorf("what the shop is asked about a known and an unknown order (-known +unknown):\n%s", diff)
	}
}

func TestProofsOfAllFormsAreUnderstoodAndNotKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says   []string
		secret string
		shown  bool
	}{
		"full-width, with the order":   {[]string{"订单 20251114001 手机尾号５６７８"}, "5678", true},
		"Arabic digits":                {[]string{"订单 ٢٠٢٥١١١٤٠٠١", "٥٦٧٨"}, "5678", true},
		"bold digits":                  {[]string{"order 𝟐𝟎𝟐𝟓𝟏𝟏𝟏𝟒𝟎𝟎𝟏", "𝟓𝟔𝟕𝟖"}, "5678", true},
		"a name, with the order":       {[]string{"订单号 A1，收货人张三，到哪了"}, "张三", true},
		"proves and asks at once":      {[]string{"订单 20251114001", "尾号5678，到哪了？"}, "5678", true},
		"the number of the order, too": {[]string{"订单 20251114001", "5678，订单号 20251114001"}, "5678", true},
		"more than one":                {[]string{"订单 20251114001 手机 1111 2222 3333 7777"}, "7777", false},
		"wrong case":                   {[]string{"order 20251114001, my email is Eve@Example.COM"}, "Example", false},
		"a wrong name":                 {[]string{"order 20251114001, my name is Eve Smith."}, "Eve", false},
	} {
		k := talkTo(t, lampShop())
		text := ""
		for _, q := range tt.says {
			text, _ = k.say(q)
		}
		if shown := strings.Contains(text, "星芒台灯") || strings.Contains(text, "Chair"); shown != tt.shown {
			t.Errorf("%s: %q, want shown: %v", name, text, tt.shown)
		}
		for _, turn := range k.m.turns {
			kept, _ := json.Marshal([]string{turn.Query, turn.Condensed, turn.Answer})
			for _, c := range []string{tt.secret, tt.says[len(tt.says)-1]} {
				if strings.Contains(halfWidth(string(kept)), halfWidth(c)) {
					t.Errorf("%s: %s is kept: %s", name, c, kept)
				}
			}
		}
	}
}

func TestAddressesAreNotOrders(t *testing.T) {
	t.Parallel()
	for _, q := range []string{
		"www.example.com/orders/20251114001 打不开", "what does /api/v1/orders/20251114001 return", "https://shop.example/my-order/88120001?x=1", "mail order77120@shop.example bounced",
	} {
		if in, ok := readInquiry(q, nil); ok && in.key != "" {
			t.Errorf("%q asks for order %s", q, in.key)
		}
	}
	if in, ok := readInquiry("where is order/20251114001", nil); !ok || in.key != "20251114001" {
		t.Errorf("order/ID is %+v, %v", in, ok)
	}
}

// TestAMessageOfNumbersIsReadInTime: each word was compared with all of the
// message around it, which took seconds.
func TestAMessageOfNumbersIsReadInTime(t *testing.T) {
	t.Parallel()
	for words, want := range map[int]string{maxWords - 1: "88120", maxWords: ""} {
		if in, _ := readInquiry(strings.Repeat("1 ", words)+"订单号 88120", nil); in.key != want {
			t.Errorf("after %d numbers the order is %q, want %q", words, in.key, want)
		}
	}
	before, after := near(strings.Repeat("订", 2000), -1), near(strings.Repeat("订", 2000), 1)
	if len(before) > 130 || len(after) > 130 {
		t.Errorf("%d bytes before and %d bytes after a word are read", len(before), len(after))
	}
}

func TestDigitsOfAllScripts(t *testing.T) {
	t.Parallel()
	for _, row := range []rune{'0', '٠', '०', '๐', '０', '𝟎', '𝟘', '𝟶'} {
		for i := range rune(10) {
			if got := halfWidth(string(row + i)); got != string('0'+i) {
				t.Errorf("%c is %s, want %d", row+i, got, i)
			}
		}
	}
	for r := range unicode.MaxRune {
		if s := halfWidth(string(r)); unicode.IsDigit(r) && (len(s) != 1 || s < "0" || s > "9") {
			t.Errorf("%U is %q", r, s)
		}
	}
}
