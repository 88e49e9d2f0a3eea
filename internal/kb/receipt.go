package kb

import (
	"context"
	"errors"
	"time"
)

// Receipt makes what a request changes happen once: it is noted in the same
// commit as the change, and a second commit for the same request is refused
// with ErrRepeated.
type Receipt struct {
	ID   string // of tenant, principal, route and the caller's Idempotency-Key: a hash
	Body string // hash of the request's body: the same key with another body is a mistake

	// Noted is set by the commit that noted it, for what the same request
	// commits after.
	Noted bool

	Turn   TurnID // that the request made, "" if it was no question
	Status int    // of the answer; 0 = it was lost, the change was not
	Type   string // media type of Answer
	Answer []byte
	At     time.Time
}

// ErrRepeated says that another request with the same Receipt was first.
var ErrRepeated = errors.New("this request was carried out before")

type receiptKey struct{}

// WithReceipt returns a context whose commits note r.
func WithReceipt(ctx context.Context, r *Receipt) context.Context {
	return context.WithValue(ctx, receiptKey{}, r)
}

// ReceiptOf returns the receipt that commits of ctx are to note, nil if none.
func ReceiptOf(ctx context.Context) *Receipt {
	r, _ := ctx.Value(receiptKey{}).(*Receipt)
	return r
}
