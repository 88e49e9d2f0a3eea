package kb

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
// see package vector.
type VectorBlock struct {
	First, Last ChunkID
	Data        []byte
}
