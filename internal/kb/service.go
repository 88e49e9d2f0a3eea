package kb

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// ShopOrder is one order of a tenant's customer.
type ShopOrder struct {
	ID          string            // as the shop writes it
	User        string            // whom it belongs to: the sub of an X-User-Token
	Product     string            //
	Amount      json.RawMessage   // a JSON number or string, as the shop sent it; nil = not told
	Status      string            //
	Fields      map[string]string // whatever else the shop sent; the owner sees it
	Verifier    string            // only on its way in: what proves ownership; kept as a hash
	HasVerifier bool
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// OrderKey is an order id as it is compared: letters and digits only, upper
// case, full width made half: "#2025-1114-001" is "20251114001".
func OrderKey(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return -1
	}, id)
}

// OrderClaim is one attempt to prove that an order is one's own.
type OrderClaim struct {
	Key     string   // OrderKey
	Answers []string // readings of what the customer said; one has to be the verifier
	Addr    string   // of the client
	Now     time.Time
}

// Proof is what became of an OrderClaim.
type Proof int

// An unknown order and a wrong answer are both Refused.
const (
	Refused Proof = iota
	Proven
	Locked // too many failures; nothing was compared
)

// OrderRef says which order a turn was about.
type OrderRef struct {
	ID     string `json:"id,omitempty"`     // OrderKey; "" = the customer was asked for it
	Proven bool   `json:"proven,omitempty"` // ownership was proven and the order shown
}

// Ticket is one conversation given to humans.
type Ticket struct {
	ID        string    `json:"id"`
	Session   SessionID `json:"session_id"`
	Owner     string    `json:"owner,omitempty"` // key and user of the session; "" = a visitor
	State     string    `json:"state"`           // waiting, human, closed
	Reason    string    `json:"reason"`          // of the last change: requested, accepted, closed, cancelled, timeout
	Agent     string    `json:"agent,omitempty"`
	Lang      Lang      `json:"lang"`
	Query     string    `json:"query"` // what the customer said when it began
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// TicketClosed is the last state of a ticket; the others are named as those
// of its session.
const TicketClosed = "closed"

// NoteKind says what a Note records.
type NoteKind string

// The first five are changes of a handoff's state, one note each.
const (
	NoteRequested NoteKind = "requested" // ai → waiting
	NoteAccepted  NoteKind = "accepted"  // waiting → human
	NoteClosed    NoteKind = "closed"    // → ai, by an agent
	NoteCancelled NoteKind = "cancelled" // → ai, by the customer
	NoteTimeout   NoteKind = "timeout"   // waiting → ai
	NoteReply     NoteKind = "reply"     // an agent said something
	NoteCustomer  NoteKind = "customer"  // the customer did
)

// State is the session's state from the note on, "" if it changes none.
func (k NoteKind) State() SessionState {
	switch k {
	case NoteRequested:
		return StateWaiting
	case NoteAccepted:
		return StateHuman
	case NoteClosed, NoteCancelled, NoteTimeout:
		return StateAI
	}
	return ""
}

// Note is one thing that happened in a handoff, in the order of commit.
type Note struct {
	Seq       int64     `json:"seq"`
	Handoff   string    `json:"handoff_id"`
	Kind      NoteKind  `json:"kind"`
	Agent     string    `json:"agent,omitempty"`
	Text      string    `json:"text,omitempty"`
	Turn      TurnID    `json:"turn_id,omitempty"` // that told the customer already, or holds the message
	CreatedAt time.Time `json:"created_at"`
}

// NoteText is what the customer is told of a change, in the customer's
// language. It is pure: a commit may call it again.
type NoteText func(kind NoteKind, lang Lang, agent string) string

// Feedback is what a reader thought of an answer.
type Feedback struct {
	Turn      TurnID    `json:"turn_id"`
	Session   SessionID `json:"session_id"`
	Rating    string    `json:"rating"` // up, down
	Comment   string    `json:"comment,omitempty"`
	Query     string    `json:"query"`
	Answer    string    `json:"answer"`
	CreatedAt time.Time `json:"created_at"`
}

// UsageDay is what one tenant's answers took on one day (UTC) of one model.
type UsageDay struct {
	Day        string `json:"day"`             // 2026-01-31
	Model      string `json:"model,omitempty"` // "" = no model wrote
	Turns      int64  `json:"turns"`
	Abstained  int64  `json:"abstained"`
	Prompt     int64  `json:"prompt_tokens"`
	Completion int64  `json:"completion_tokens"`
	CostMicro  int64  `json:"cost_micro"` // millionths of the price list's currency
}

// OrderAnswer is a verifier as it is compared: letters, digits and '@', lower
// case, full width made half: "138 1234-5678" is "13812345678".
func OrderAnswer(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '@' {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}
