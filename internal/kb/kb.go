// Package kb holds the vocabulary of the product: tenants, documents, chunks,
// passages, turns, events and errors. It knows the standard library only, so
// every other package may speak it; the words are explained in
// docs/ARCHITECTURE.md.
package kb

import (
	"time"
)

// TenantID names one customer: one database, one key space. Make it with
// ParseTenant; a TenantID in a signature means "already checked".
type TenantID string

// DefaultTenant is the tenant of requests that name none.
const DefaultTenant TenantID = "default"

// ParseTenant checks s against [a-z0-9][a-z0-9-]{0,62} and returns an Invalid
// error that names the rule. The alphabet keeps ids safe as path segments.
func ParseTenant(s string) (TenantID, error) {
	ok := len(s) >= 1 && len(s) <= 63 && s[0] != '-'
	for i := 0; i < len(s); i++ {
		c := s[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return "", E(Invalid, nil, "tenant_id: use 1 to 63 of a-z, 0-9 and '-', starting with a letter or digit").With("field", "tenant_id")
	}
	return TenantID(s), nil
}

// Ids of rows inside one tenant. They are opaque to clients.
type (
	DocumentID string // stable over versions of a document
	JobID      string // one ingestion of one document version
	SessionID  string // one conversation, 128 random bits when we issue it
	TurnID     string // one question and its answer
	ChunkID    int64  // immutable: a chunk never changes, a new version has new chunks
)

// Lang is the language an end user is answered in.
type Lang string

// Languages with embedded texts.
const (
	Zh Lang = "zh"
	En Lang = "en"
)

// BlockKind says what a block of a document is.
type BlockKind string

// Kinds of blocks. Lists and code stay whole when a text is chunked, a table's
// pieces repeat its header, a record is one row with its column names.
const (
	Heading   BlockKind = "heading"
	Paragraph BlockKind = "paragraph"
	ListItem  BlockKind = "list"
	Code      BlockKind = "code"
	TableRow  BlockKind = "table"
	Record    BlockKind = "record"
)

// Block is a range of a Text. Start and End count bytes of Text.Body, End
// exclusive, on rune boundaries; blocks are in order and do not overlap.
type Block struct {
	Kind   BlockKind `json:"kind"`
	Level  int       `json:"level,omitempty"`  // headings: 1 to 6
	Group  int       `json:"group,omitempty"`  // list items and table rows of one list or table share a group > 0
	Header string    `json:"header,omitempty"` // table rows: the header row as text, repeated before each piece
	Start  int       `json:"start"`
	End    int       `json:"end"`
}

// Text is a parsed document: its canonical text and the structure over it.
// Body is valid UTF-8 with \n line ends and without markup; every citation is
// a byte range of it.
type Text struct {
	Title  string
	Body   string
	Blocks []Block
}

// DocumentStatus is where a document's newest version stands.
type DocumentStatus string

// A document goes pending → processing → ready or failed.
const (
	Pending    DocumentStatus = "pending"
	Processing DocumentStatus = "processing"
	Ready      DocumentStatus = "ready"
	Failed     DocumentStatus = "failed"
)

// Document is what the list of documents shows.
type Document struct {
	ID        DocumentID        `json:"id"`
	Title     string            `json:"title"`
	Name      string            `json:"name"` // file name, path or title
	MIME      string            `json:"mime"`
	SHA256    string            `json:"sha256"` // of the original bytes
	Bytes     int64             `json:"bytes"`
	Version   int               `json:"version"`
	Chunks    int               `json:"chunks"`
	Status    DocumentStatus    `json:"status"`
	Progress  float64           `json:"progress"` // 0 to 1 of the newest version's ingestion
	Error     string            `json:"error,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
}

// Chunk is a piece of one version of a document: the unit that is found.
type Chunk struct {
	ID       ChunkID    `json:"id"`
	Document DocumentID `json:"document_id"`
	Version  int        `json:"version"`
	Ordinal  int        `json:"ordinal"`
	Title    string     `json:"title"`             // of the document; searched, not quoted
	Heading  string     `json:"heading,omitempty"` // path "A › B"; searched, not quoted
	Prefix   string     `json:"prefix,omitempty"`  // a table's header row; shown, not quoted
	Text     string     `json:"text"`              // Body[Start:End] of that version
	Start    int        `json:"start"`             // bytes in the canonical text
	End      int        `json:"end"`
}

// Passage is a chunk with the reason it was found.
type Passage struct {
	Chunk
	BM25   float64 // ≥ 0, unbounded; comparable within one query only
	Cosine float64 // −1 to 1; 0 when there is no vector
	Score  float64 // 0 to 1, calibrated confidence that the passage answers
}

// Citation is a quote that can be checked: Content is exactly
// Body[Start:End] of that version of the document.
type Citation struct {
	Content  string           `json:"content"`
	Score    float64          `json:"score"` // 0 to 1
	URL      string           `json:"url"`   // signed, read-only link to the version's text
	Metadata CitationMetadata `json:"metadata"`
}

// CitationMetadata says where a quote stands; Start and End count UTF-8 bytes.
type CitationMetadata struct {
	Document DocumentID `json:"doc_id"`
	Title    string     `json:"title"`
	Heading  string     `json:"heading,omitempty"`
	Version  int        `json:"version"`
	Start    int        `json:"start"`
	End      int        `json:"end"`
	Chunk    ChunkID    `json:"chunk_id"`
}

// Route is how a question is answered.
type Route string

// The four routes of DESIGN §5.1.
const (
	Knowledge Route = "knowledge"
	Order     Route = "order"
	Direct    Route = "direct"
	Handoff   Route = "handoff"
)

// SessionState says who answers in a session.
type SessionState string

// ai → waiting → human → ai.
const (
	StateAI      SessionState = "ai"
	StateWaiting SessionState = "waiting"
	StateHuman   SessionState = "human"
)

// Session is one conversation.
type Session struct {
	ID        SessionID    `json:"id"`
	Owner     string       `json:"-"` // key and user it belongs to; empty for public sessions
	State     SessionState `json:"state"`
	CreatedAt time.Time    `json:"created_at"`
	StateAt   time.Time    `json:"state_at"` // since when
	LastAt    time.Time    `json:"last_at"`
	Turns     int          `json:"turns"`
}

// Turn is one question and its answer, as remembered.
type Turn struct {
	ID        TurnID     `json:"id"`
	Session   SessionID  `json:"session_id"`
	Query     string     `json:"query"`
	Condensed string     `json:"condensed,omitempty"` // the question after the history was folded in
	Answer    string     `json:"answer"`
	Route     Route      `json:"route"`
	Lang      Lang       `json:"lang"`
	Sources   []Citation `json:"sources"`
	Metadata  Metadata   `json:"metadata"`
	CreatedAt time.Time  `json:"created_at"`
}

// Miss is why a question to the knowledge base got no answer; "" = it got one,
// or was none.
type Miss string

// Reasons of a missed question.
const (
	MissNotFound Miss = "not_found" // the documents do not hold the answer
	MissRefused  Miss = "refused"   // the model's provider would not have it answered
)

// Metadata is what an answer says about itself.
type Metadata struct {
	Intent      Route     `json:"intent"`
	Confidence  float64   `json:"confidence"` // 0 to 1, of the intent
	DurationMS  int64     `json:"duration_ms"`
	Timestamp   int64     `json:"timestamp"` // seconds since 1970
	TurnID      TurnID    `json:"turn_id,omitempty"`
	Lang        Lang      `json:"lang,omitempty"`
	Model       string    `json:"model,omitempty"`     // empty: no model wrote this
	Quoted      bool      `json:"quoted,omitempty"`    // the answer is quoted text, not a model's
	Abstained   bool      `json:"abstained,omitempty"` // the knowledge base does not hold the answer
	Missed      Miss      `json:"missed,omitempty"`    // the question is listed as missed, for this reason
	Supported   *bool     `json:"supported,omitempty"`
	Offer       Route     `json:"offer,omitempty"`       // "handoff": a human is offered
	State       string    `json:"state,omitempty"`       // of the session, when not "ai"
	Interrupted bool      `json:"interrupted,omitempty"` // the reader left before the end
	Replayed    bool      `json:"replayed,omitempty"`    // the answer to an earlier request with the same Idempotency-Key
	Withdrawn   bool      `json:"withdrawn,omitempty"`   // it quoted a document that was deleted since, and is not shown any more
	Late        bool      `json:"late,omitempty"`        // a human had taken over when it was done: it does not count
	Order       *OrderRef `json:"order,omitempty"`       // route order: which one
	Usage       *Usage    `json:"usage,omitempty"`       // what models took for it
	Degraded    []string  `json:"degraded,omitempty"`    // names of the degraded modes that shaped the answer
}

// Usage is what models took for one answer.
type Usage struct {
	Prompt     int   `json:"prompt_tokens"`
	Completion int   `json:"completion_tokens"`
	CostMicro  int64 `json:"cost_micro,omitempty"` // millionths of the price list's currency

	Model string `json:"-"` // that took it, also where it did not write the answer
}

// EventType is the type field of a streamed event.
type EventType string

// Events of one answer, in the order of DESIGN §6.
const (
	EventStart   EventType = "start"
	EventStage   EventType = "stage"
	EventSources EventType = "sources"
	EventChunk   EventType = "chunk"
	EventReplace EventType = "replace"
	EventHandoff EventType = "handoff"
	EventError   EventType = "error"
	EventEnd     EventType = "end"
)

// Event is one step of an answer. The JSON answer is the sequence drained.
type Event struct {
	Type     EventType  `json:"type"`
	Session  SessionID  `json:"session_id,omitempty"` // start
	Turn     TurnID     `json:"turn_id,omitempty"`    // start
	Stage    string     `json:"stage,omitempty"`      // stage: understand, retrieve, answer
	Route    Route      `json:"route,omitempty"`      // stage, end
	Content  string     `json:"content,omitempty"`    // chunk, replace, handoff
	Sources  []Citation `json:"sources,omitempty"`    // sources, end
	Code     string     `json:"code,omitempty"`       // error: not_saved, stream_lost, model_unavailable …
	Message  string     `json:"message,omitempty"`    // error: for the user
	Metadata *Metadata  `json:"metadata,omitempty"`   // end
}

// Answer is a whole answer: the events of one turn drained.
type Answer struct {
	Answer   string     `json:"answer"`
	Route    Route      `json:"route"`
	Session  SessionID  `json:"session_id"`
	Sources  []Citation `json:"sources"`
	Metadata Metadata   `json:"metadata"`
}

// Quote is a part of a found passage that answers: bytes Start to End of the
// canonical text of the passage's version, always inside the passage.
type Quote struct {
	Passage    int // index into Found.Passages
	Start, End int
	Score      float64 // 0 to 1, calibrated confidence that it answers
}

// Found is what retrieval has to say about one question.
type Found struct {
	Passages   []Passage // best first
	Context    []Passage // beside the best passages in their documents: for a model to read and cite
	Quotes     []Quote   // best first; what to quote when no model writes
	Answerable float64   // 0 to 1, that the knowledge base holds the answer
	Abstain    bool      // Answerable is too low to answer
	Fits       bool      // the best quote states the price, amount or time that is asked for
	Degraded   []string  // degraded modes that shaped this
}

// Question is what is asked in a session.
type Question struct {
	Query   string
	Session SessionID // "" = begin one
	Owner   string    // key and user the session belongs to; "" = a public visitor
	User    string    // proven by X-User-Token; "" = nobody
	Addr    string    // of the client: failed proofs of ownership are counted by it
	Lang    Lang      // that the customer's program asks for; "" = it does not say
}
