package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Orders are the orders of one tenant's customers.
type Orders interface {
	// Order returns an order by its key, or kb.NotFound. It asks for no proof.
	Order(ctx context.Context, key string) (kb.ShopOrder, error)
	// OrdersOf returns the n youngest orders of a user.
	OrdersOf(ctx context.Context, user string, n int) ([]kb.ShopOrder, error)
	// ProveOrder compares answers with an order's verifier. Failures are
	// counted, durably, before it returns; unknown orders are refused like
	// wrong answers.
	ProveOrder(ctx context.Context, c kb.OrderClaim) (kb.ShopOrder, kb.Proof, error)
}

// lastOrder is the order that the turn before this one was about, if it was.
func (a *answer) lastOrder() *kb.OrderRef {
	if len(a.history) == 0 {
		return nil
	}
	return a.history[len(a.history)-1].Metadata.Order
}

// inquire makes the message one about an order if it is: by what it says, or
// because the turn before asked for something.
func (a *answer) inquire() {
	if a.intent.confidence == 1 && a.intent.route != kb.Order {
		return // said plainly: a greeting, a human, a cancellation
	}
	in, ok := readInquiry(a.asks, a.lastOrder())
	if !ok {
		return
	}
	a.inquiry = &in
	a.intent = intent{route: kb.Order, confidence: 1}
	if in.dropped {
		a.intent = intent{route: kb.Direct, act: actCancel, confidence: 1}
	}
	if len(in.hide) > 0 { // proofs are kept by nobody
		a.turn.Query = hide(halfWidth(a.turn.Query), in.hide)
		a.asks = hide(halfWidth(a.asks), in.hide)
		a.turn.Condensed = a.asks
	}
}

// inquireByModel is for messages that a model takes for one about an order. A
// particular order has to be meant; what is asked about orders in general is a
// question to the knowledge base.
func (a *answer) inquireByModel() bool {
	if key := orderID(a.turn.Condensed, true); key != "" {
		a.inquiry = &inquiry{key: kb.OrderKey(key)}
		return true
	}
	if last := a.lastOrder(); last != nil && last.Proven {
		a.inquiry = &inquiry{key: last.ID}
		return true
	}
	return !howTo.MatchString(strings.ToLower(a.turn.Query))
}

// hidden stands for words that are not kept.
const hidden = "••••"

// hide replaces words, whatever their case, longest first: one may be in
// another.
func hide(query string, words []string) string {
	words = slices.SortedFunc(slices.Values(words), func(a, b string) int { return len(b) - len(a) })
	for _, w := range words {
		for from := 0; w != ""; {
			i := indexFold(query[from:], w)
			if i < 0 {
				break
			}
			query = query[:from+i] + hidden + query[from+i+len(w):]
			from += i + len(hidden)
		}
	}
	return query
}

// indexFold is strings.Index that takes no notice of the case of ASCII.
func indexFold(s, w string) int {
	for i := 0; i+len(w) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(w)], w) {
			return i
		}
	}
	return -1
}

// ordersShown is how many of their orders a user sees at once.
const ordersShown = 5

// order answers questions about an order: it asks which one, then for proof,
// and shows it only then. What it says of an order that does not exist is what
// it says of one that is not proven.
func (a *answer) order(ctx context.Context) error {
	a.turn.Route = kb.Order
	t := textsOf(a.turn.Lang)
	if a.tenant.Orders == nil {
		a.turn.Metadata.Offer = kb.Handoff
		return a.say(t.noOrders)
	}
	in := a.inquiry
	if in == nil || in.key == "" {
		return a.someOrder(ctx)
	}
	o, err := a.tenant.Orders.Order(ctx, in.key)
	if err != nil && kb.KindOf(err) != kb.NotFound {
		return fmt.Errorf("look up order: %w", err)
	}
	last := a.lastOrder()
	known := err == nil && (a.user != "" && o.User == a.user || last != nil && last.Proven && last.ID == in.key)
	if known {
		return a.showOrder(in.key, o)
	}
	if len(in.answers) == 0 {
		a.turn.Metadata.Order = &kb.OrderRef{ID: in.key}
		return a.say(fmt.Sprintf(t.askProof, in.key))
	}
	o, proof, err := a.tenant.Orders.ProveOrder(ctx, kb.OrderClaim{Key: in.key, Answers: in.answers, Addr: a.addr, Now: time.Now()})
	if err != nil {
		return fmt.Errorf("prove order: %w", err)
	}
	switch proof {
	case kb.Proven:
		return a.showOrder(in.key, o)
	case kb.Locked:
		a.turn.Metadata.Offer = kb.Handoff
		return a.say(t.locked)
	}
	a.turn.Metadata.Order = &kb.OrderRef{ID: in.key}
	a.turn.Metadata.Offer = kb.Handoff
	return a.say(t.unproven)
}

// someOrder answers who names no order: with their orders if they have proven
// who they are.
func (a *answer) someOrder(ctx context.Context) error {
	t := textsOf(a.turn.Lang)
	if a.user == "" {
		a.turn.Metadata.Order = &kb.OrderRef{}
		return a.say(t.askOrder)
	}
	list, err := a.tenant.Orders.OrdersOf(ctx, a.user, ordersShown)
	if err != nil {
		return fmt.Errorf("list orders: %w", err)
	}
	switch len(list) {
	case 0:
		a.turn.Metadata.Offer = kb.Handoff
		return a.say(t.noneOfYours)
	case 1:
		return a.showOrder(kb.OrderKey(list[0].ID), list[0])
	}
	a.turn.Metadata.Order = &kb.OrderRef{}
	var b strings.Builder
	b.WriteString(t.yourOrders)
	for _, o := range list {
		b.WriteString("\n- " + strings.Join(slices.DeleteFunc([]string{o.ID, o.Product, o.Status}, func(s string) bool { return s == "" }), " · "))
	}
	return a.say(b.String())
}

// showOrder tells its owner all that the shop tells of an order.
func (a *answer) showOrder(key string, o kb.ShopOrder) error {
	a.turn.Metadata.Order = &kb.OrderRef{ID: key, Proven: true}
	t := textsOf(a.turn.Lang)
	lines := []string{fmt.Sprintf(t.orderLine, o.ID)}
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, fmt.Sprintf(t.orderField, name, value))
		}
	}
	add(t.product, o.Product)
	add(t.amount, amountText(o.Amount))
	add(t.status, o.Status)
	for _, name := range slices.Sorted(maps.Keys(o.Fields)) {
		add(name, o.Fields[name])
	}
	return a.say(strings.Join(lines, "\n"))
}

// amountText is an amount as the shop wrote it.
func amountText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// inquiry is what a message says about an order.
type inquiry struct {
	key     string   // kb.OrderKey of the order that is meant; "" = none is named
	answers []string // readings of what is to prove ownership
	hide    []string // words of the message that are not to be kept
	dropped bool     // the customer does not want to go on
}

// maxAnswers bounds how many readings of one message count as one attempt: its
// token, itself, and itself without what leads in.
const maxAnswers = 3

// readInquiry tells whether a message is about a particular order; last is
// what the turn before was about.
func readInquiry(query string, last *kb.OrderRef) (inquiry, bool) {
	q := halfWidth(query)
	lower := strings.ToLower(q)
	asked := last != nil && !last.Proven
	if asked && dropsIt.MatchString(bare(lower)) {
		return inquiry{dropped: true}, true
	}
	id := orderID(q, asked && last.ID == "")
	mine := saysWhereabouts(lower) || saysLookUp(bare(lower))
	switch {
	case asked && !mine && last.ID != "" && (id == "" || !aboutOrders(lower) || answersBeside(q, id, last.ID)) && !strings.ContainsAny(q, "#№"):
		return readAnswer(q, lower, last.ID)
	case id != "":
		in := inquiry{key: kb.OrderKey(id)}
		in.takeBeside(strings.Replace(q, id, " ", 1))
		return in, true
	case last != nil && last.Proven && utf8.RuneCountInString(q) <= longRunesZh*2 && statusAgain.MatchString(lower) && !howTo.MatchString(lower):
		return inquiry{key: last.ID}, true
	case mine:
		return inquiry{}, true
	}
	return inquiry{}, false
}

// answersBeside reports whether a message names the order that proof was asked
// for and something besides that may be it.
func answersBeside(q, id, key string) bool {
	token, _ := answerTokens(q, key)
	return kb.OrderKey(id) == key && token != ""
}

// readAnswer reads a message that follows the request for proof. One that asks
// something is a question, and the request is dropped.
func readAnswer(q, lower, key string) (inquiry, bool) {
	if noIdea.MatchString(lower) {
		return inquiry{key: key}, true
	}
	token, _ := answerTokens(q, key)
	in := inquiry{key: key, hide: []string{q}}
	if asksSomething.MatchString(lower) { // … unless it proves and asks at once: "尾号 5678，到哪了？"
		if token == "" || howTo.MatchString(lower) || !proofCue.MatchString(lower) && !statusAgain.MatchString(lower) {
			return inquiry{}, false
		}
		in.take(token)
		return in, true
	}
	const longest = 24 // runes of an answer without digits: a name, a town
	if token == "" && utf8.RuneCountInString(bare(lower)) > longest {
		return inquiry{}, false
	}
	in.take(token, leadIn.ReplaceAllString(lower, ""), q)
	return in, true
}

// takeBeside takes what a message that names an order says as proof of it. All
// that looks like a proof is hidden, also what is not tried.
func (in *inquiry) takeBeside(rest string) {
	lower := strings.ToLower(rest)
	if !proofCue.MatchString(lower) {
		return
	}
	token, all := answerTokens(rest, in.key)
	in.hide = all
	if m := namedProof.FindStringSubmatch(lower); m != nil {
		in.hide = append(in.hide, m[2])
		if token == "" {
			token = m[2]
		}
	}
	in.take(token)
}

// take adds readings that differ.
func (in *inquiry) take(readings ...string) {
	for _, r := range readings {
		n := kb.OrderAnswer(r)
		const shortest, longest = 2, 64 // letters and digits of a verifier
		if count := utf8.RuneCountInString(n); count >= shortest && count <= longest && !slices.Contains(in.answers, n) && len(in.answers) < maxAnswers {
			in.answers = append(in.answers, n)
		}
	}
}
