package kb

import "time"

// VectorRow is the vector of one chunk, of unit length.
type VectorRow struct {
	Chunk  ChunkID
	Vector []float32
}

// VectorHit is a chunk that an index outside the tenant's database found. Its
// order among the hits is all it tells: cosines are computed from the database.
type VectorHit struct {
	Batch string // that wrote it
	Chunk ChunkID
}

// VectorBlock is the encoded vectors of consecutive chunks of one version,
// see package vector. One without data is of chunks whose text the embedding
// model refused.
type VectorBlock struct {
	ID          int64 // order of commit; 0 = not stored
	First, Last ChunkID
	Data        []byte
}

// VectorSpace is one space of vectors of a tenant: <model>/<dimensions>.
type VectorSpace struct {
	Space string
	Since time.Time // its first vectors
	Used  time.Time // by a server, noted while there is another space
}

// VectorBatch is what an index outside the tenant's database was given.
type VectorBatch struct {
	ID          string
	Space       string // <model>/<dimensions>
	Target      string // which index
	First, Last int64  // VectorBlock.ID, both ends included
	N           int    // vectors
	State       BatchState
	Epoch       int64 // of the database when the batch was last counted there
	Created     time.Time
}

// BatchState says how far a VectorBatch is.
type BatchState string

// pending → live or abandoned → gone. Only live ones count.
const (
	BatchPending   BatchState = "pending"
	BatchLive      BatchState = "live"
	BatchAbandoned BatchState = "abandoned"
)

// Spent is what a model took for work that is no answer.
type Spent struct {
	Model     string
	Tokens    int
	CostMicro int64 // millionths of the price list's currency
}

// Add sums what one model took.
func (s Spent) Add(t Spent) Spent {
	if s.Model == "" {
		s.Model = t.Model
	}
	s.Tokens += t.Tokens
	s.CostMicro += t.CostMicro
	return s
}
