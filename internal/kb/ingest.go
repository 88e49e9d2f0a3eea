package kb

import "time"

// File is one file as received.
type File struct {
	Name string // relative path, file name or title
	// Exact says that the name identifies the document: the same name is a new
	// version whatever is in it. Otherwise only a related text is, for files
	// called readme.md and articles of one title are many.
	Exact    bool
	Replaces DocumentID // "" = found by the name; else this document gets a new version
	Title    string     // "" = the file's own
	MIME     string     // as the sender says; "" = found out
	Data     []byte
	Metadata map[string]string
}

// Submission is a file that was received and is to be ingested.
type Submission struct {
	Name     string
	Title    string // "" = found in the file
	MIME     string
	SHA256   string // of the bytes, hex
	Bytes    int64
	Metadata map[string]string
	Exact    bool       // without Replaces: a new version of the document of this name, if there is one
	Replaces DocumentID // a new version of this one; "" or one that is gone = a new document
	Document DocumentID // id of a new document
	Job      JobID
	Now      time.Time
}

// Submitted is what became of a Submission.
type Submitted struct {
	Document  DocumentID
	Job       JobID
	Version   int
	Status    DocumentStatus
	Duplicate bool // these bytes are a document already; nothing was changed
}

// Job is the ingestion of one version of a document.
type Job struct {
	ID       JobID          `json:"id"`
	Document DocumentID     `json:"document_id"`
	Version  int            `json:"version"`
	Name     string         `json:"name"`
	Title    string         `json:"title"`
	MIME     string         `json:"mime"`
	SHA256   string         `json:"-"`
	Status   DocumentStatus `json:"status"`
	Progress float64        `json:"progress"` // 0 to 1
	Error    string         `json:"error,omitempty"`
	Chunks   int            `json:"chunks"`
	Updated  time.Time      `json:"updated_at"`
}

// ChunkRow is a chunk with the canonical text between its predecessor and it:
// leads and texts in order, then the version's tail, are the whole text.
type ChunkRow struct {
	Chunk
	Lead string
}

// Segment describes one immutable piece of the lexical index.
type Segment struct {
	ID    int64
	Level int // of the tiered merge; 0 = as ingested
	Docs  int
	Bytes int64
	First ChunkID // lowest and highest chunk id in it
	Last  ChunkID
}

// Span is a range of chunk ids, both ends included.
type Span struct{ First, Last ChunkID }

// Index is the lexical index as one snapshot shows it.
type Index struct {
	Version  int64 // grows with every change of what can be found
	Segments []Segment
	Dead     []Span // in order: in a segment still, but not to be found
	Synonyms Synonyms
}

// Synonyms are groups of words and phrases that mean the same to one tenant:
// a question with one of a group is a question with each of them.
type Synonyms [][]string

// Published is a version that becomes live.
type Published struct {
	Job   JobID
	First ChunkID // as reserved
	Title string
	Tail  string // canonical text after the last chunk
}

// Page bounds a list: what comes after Cursor, at most Limit.
type Page struct {
	Cursor string
	Limit  int
}

// Missed is a question to the knowledge base that got no answer.
type Missed struct {
	Turn      TurnID    `json:"turn_id"`
	Query     string    `json:"query"`
	Lang      Lang      `json:"lang"`
	Reason    Miss      `json:"reason"`
	CreatedAt time.Time `json:"created_at"`
}
