package config

import "time"

// DashScope is the model provider: DashScope or anything that speaks its
// OpenAI-compatible protocol.
type DashScope struct {
	// APIKey turns models on. Without it answers are quoted sentences.
	APIKey Secret `yaml:"api_key" env:"API_KEY"`
	// BaseURL is the OpenAI-compatible endpoint. A base_url of your own turns models on without a key.
	BaseURL string `yaml:"base_url" env:"BASE_URL"`
	// ChatModel writes the answers; none turns it off.
	ChatModel string `yaml:"chat_model" env:"CHAT_MODEL"`
	// EmbedModel makes the vectors; none turns it off.
	EmbedModel string `yaml:"embed_model" env:"EMBED_MODEL"`
	// EmbeddingDimension is the length of a vector. Default: the model's (text-embedding-v2: 1536, v3 and v4: 1024).
	EmbeddingDimension int `yaml:"embedding_dimension" env:"EMBEDDING_DIMENSION" min:"1" max:"32768"`
	// RerankModel orders what was found (qwen3-rerank, for instance); none leaves the order of the search.
	RerankModel string `yaml:"rerank_model" env:"RERANK_MODEL"`
	// MaxRetries is how often a call that may be repeated is repeated.
	MaxRetries int `yaml:"max_retries" env:"MAX_RETRIES" min:"0" max:"10"`
	// Timeout is the budget of one try; server.request_timeout bounds all tries together.
	Timeout time.Duration `yaml:"timeout" env:"TIMEOUT" min:"100ms" max:"1h"`
}

// Milvus is the vector index outside the process. It holds nothing that cannot
// be rebuilt.
type Milvus struct {
	// Host turns Milvus on. Empty: vectors are searched in the process.
	Host string `yaml:"host" env:"HOST"`
	// Port is the gRPC port.
	Port int `yaml:"port" env:"PORT" min:"1" max:"65535"`
	// Username is needed where Milvus has authentication on.
	Username string `yaml:"username" env:"USERNAME"`
	// Password belongs to the username.
	Password Secret `yaml:"password" env:"PASSWORD"`
	// Database is the Milvus database; empty: its default.
	Database string `yaml:"database" env:"DATABASE"`
	// Timeout is the budget of one call.
	Timeout time.Duration `yaml:"timeout" env:"TIMEOUT" min:"100ms" max:"1h"`
	// ConnectionTimeout is the budget of connecting.
	ConnectionTimeout time.Duration `yaml:"connection_timeout" env:"CONNECTION_TIMEOUT" min:"100ms" max:"1h"`
	// MaxConnections is how many calls run at once.
	MaxConnections int `yaml:"max_connections" env:"MAX_CONNECTIONS" min:"1" max:"100000"`
	// MaxIdleConnections 0 closes the connection after 5 s without a call; other values change nothing, because one connection carries all calls.
	MaxIdleConnections int `yaml:"max_idle_connections" env:"MAX_IDLE_CONNECTIONS" min:"0" max:"100000"`
	// Metric compares vectors. It is recorded with the index, which is rebuilt when it changes.
	Metric string    `yaml:"metric" env:"METRIC" allow:"COSINE|IP|L2"`
	HNSW   HNSW      `yaml:"hnsw" envPrefix:"HNSW_"`
	TLS    MilvusTLS `yaml:"tls" envPrefix:"TLS_"`
}

// HNSW is the shape of the Milvus index.
type HNSW struct {
	// M is the number of neighbours of a node.
	M int `yaml:"m" env:"M" min:"2" max:"2048"`
	// EfConstruction is the breadth of the search while the index is built.
	EfConstruction int `yaml:"ef_construction" env:"EF_CONSTRUCTION" min:"1" max:"65536"`
	// Ef is the breadth of a search.
	Ef int `yaml:"ef" env:"EF" min:"1" max:"32768"`
}

// MilvusTLS is TLS towards Milvus.
type MilvusTLS struct {
	// Enabled speaks TLS to Milvus.
	Enabled bool `yaml:"enabled" env:"ENABLED"`
	// CAFile is the authority to trust, PEM; empty: the system's.
	CAFile string `yaml:"ca_file" env:"CA_FILE"`
}

// Storage is where everything durable lives.
type Storage struct {
	// URL is the store: empty for a folder under database.base_path, file:///path, s3://bucket/prefix?endpoint=…&region=…&path_style=true or oss://bucket/prefix?endpoint=…
	URL string `yaml:"url" env:"URL"`
	// Region is the store's region where the URL names none. AWS_REGION and AWS_DEFAULT_REGION (S3), ALIBABA_CLOUD_REGION_ID and FC_REGION (OSS) are read too.
	Region string `yaml:"region" env:"REGION"`
	// AccessKeyID opens the store. AWS_ACCESS_KEY_ID (S3), ALIBABA_CLOUD_ACCESS_KEY_ID and OSS_ACCESS_KEY_ID (OSS) are read too.
	AccessKeyID Secret `yaml:"access_key_id" env:"ACCESS_KEY_ID"`
	// SecretAccessKey belongs to it. AWS_SECRET_ACCESS_KEY, ALIBABA_CLOUD_ACCESS_KEY_SECRET and OSS_ACCESS_KEY_SECRET are read too.
	SecretAccessKey Secret `yaml:"secret_access_key" env:"SECRET_ACCESS_KEY"`
	// SessionToken belongs to temporary keys. AWS_SESSION_TOKEN, ALIBABA_CLOUD_SECURITY_TOKEN and OSS_SESSION_TOKEN are read too.
	SessionToken Secret `yaml:"session_token" env:"SESSION_TOKEN"`
}

// Database is the local side of the store.
type Database struct {
	// BasePath is the folder of the store where storage.url is empty, and of local working copies otherwise.
	BasePath string `yaml:"base_path" env:"BASE_PATH"`
	// DataDir is the folder of what belongs to this machine, such as the generated root key. Default: the folder that holds database.base_path.
	DataDir string `yaml:"data_dir" env:"DATA_DIR"`
	// MaxOpenConns is how many readers are open over all tenants; each tenant has one writer.
	MaxOpenConns int `yaml:"max_open_conns" env:"MAX_OPEN_CONNS" min:"1" max:"10000"`
	// MaxIdleConns is how many of them stay open unused.
	MaxIdleConns int `yaml:"max_idle_conns" env:"MAX_IDLE_CONNS" min:"0" max:"10000"`
	// ConnMaxLifetime is how long a reader lives; 0 = for ever.
	ConnMaxLifetime time.Duration `yaml:"conn_max_lifetime" env:"CONN_MAX_LIFETIME" min:"0s" max:"8760h"`
	// CacheSize is the memory for pages and commits of all tenants together. With a small
	// knowledge base a busy process levels off at some 45 MB and two and a half times this: 85 MB
	// with 16MiB, 195 MB with 64MiB, because memory is freed when as much again was used.
	CacheSize Bytes `yaml:"cache_size" env:"CACHE_SIZE" min:"1MiB" max:"1TiB"`
}

// Cache remembers answers until the knowledge changes.
type Cache struct {
	// Enabled turns the cache on.
	Enabled bool `yaml:"enabled" env:"ENABLED"`
	// Type is where answers are kept: memory, of one process, or redis, shared by several, which also makes the rate limits exact over all of them.
	Type string `yaml:"type" env:"TYPE" allow:"memory|redis"`
	// TTL is how long an answer is kept at most; it is dropped at once when the knowledge base changes.
	TTL time.Duration `yaml:"ttl" env:"TTL" min:"1s" max:"8760h"`
	// MaxSize is the memory of the memory cache.
	MaxSize Bytes `yaml:"max_size" env:"MAX_SIZE" min:"64KiB" max:"1TiB"`
	Redis   Redis `yaml:"redis" envPrefix:"REDIS_"`
}

// Redis is used where cache.type is redis.
type Redis struct {
	// Host is the Redis server.
	Host string `yaml:"host" env:"HOST"`
	// Port is its port.
	Port int `yaml:"port" env:"PORT" min:"1" max:"65535"`
	// DB is the number of the database.
	DB int `yaml:"db" env:"DB" min:"0" max:"65535"`
	// Username is needed where Redis has users.
	Username string `yaml:"username" env:"USERNAME"`
	// Password is needed where Redis has one.
	Password Secret `yaml:"password" env:"PASSWORD"`
	// TLS speaks TLS to Redis.
	TLS bool `yaml:"tls" env:"TLS"`
}

// Values of a switch that has a default of its own.
const (
	Auto = "auto"
	On   = "on"
	Off  = "off"
)

// Tenants is who gets a database.
type Tenants struct {
	// AutoCreate makes a tenant at its first use by a key that may name any. Public chat never makes one.
	AutoCreate bool `yaml:"auto_create" env:"AUTO_CREATE"`
	// PublicChat lets visitors without a key chat with the default tenant. auto: in debug mode only.
	PublicChat string `yaml:"public_chat" env:"PUBLIC_CHAT" allow:"auto|on|off"`
	// Sample loads a sample knowledge base into an empty default tenant. auto: in debug mode only.
	Sample string `yaml:"sample" env:"SAMPLE" allow:"auto|on|off"`
}

// RAG is how answers are found.
type RAG struct {
	// TopK is how many passages an answer may use.
	TopK int `yaml:"top_k" env:"TOP_K" min:"1" max:"100"`
	// ScoreThreshold is the least confidence, 0 to 1, that an answer needs; 0 leaves it to the search, whose threshold was chosen by evaluation.
	ScoreThreshold float64 `yaml:"score_threshold" env:"SCORE_THRESHOLD" min:"0" max:"1"`
	// VectorTimeout is how long a question waits for its vector, and again for the rerank model, before it is answered without.
	VectorTimeout time.Duration `yaml:"vector_timeout" env:"VECTOR_TIMEOUT" min:"50ms" max:"1m"`
	// VectorMemory is how much of one tenant's vectors is kept in memory for searching. A tenant with more needs Milvus: without it vectors only reorder what its words find.
	VectorMemory Bytes `yaml:"vector_memory" env:"VECTOR_MEMORY" min:"1MiB" max:"1TiB"`
}

// Intent is how questions are sorted.
type Intent struct {
	// ConfidenceThreshold is the confidence, 0 to 1, below which a question goes to the knowledge base.
	ConfidenceThreshold float64 `yaml:"confidence_threshold" env:"CONFIDENCE_THRESHOLD" min:"0" max:"1"`
}

// Session is what a conversation remembers.
type Session struct {
	// MaxHistory is how many earlier turns shape an answer.
	MaxHistory int `yaml:"max_history" env:"MAX_HISTORY" min:"0" max:"1000"`
	// Timeout is the silence after which a conversation starts anew.
	Timeout time.Duration `yaml:"timeout" env:"TIMEOUT" min:"1s" max:"8760h"`
}

// Handoff is the way to a human.
type Handoff struct {
	// Timeout is how long a customer waits for a human before the assistant answers again.
	Timeout time.Duration `yaml:"timeout" env:"TIMEOUT" min:"1s" max:"168h"`
}

// Backup is what can be restored.
type Backup struct {
	// CommitWindow is how far back every single commit can be restored.
	CommitWindow time.Duration `yaml:"commit_window" env:"COMMIT_WINDOW" min:"1m" max:"8760h"`
	// Retention is how far back anything can be restored.
	Retention time.Duration `yaml:"retention" env:"RETENTION" min:"1h" max:"87600h"`
	// Interval is how often the server itself runs the backup; 0 = never, a schedule outside does.
	Interval time.Duration `yaml:"interval" env:"INTERVAL" min:"0s" max:"168h"`
}

// Serverless is for AWS Lambda and Alibaba Cloud Function Compute.
type Serverless struct {
	// Platform is where the process runs: local, lambda, fc (the go1 runtime) or fc-custom (a custom runtime). auto: found out.
	Platform string `yaml:"platform" env:"PLATFORM" allow:"auto|local|lambda|fc|fc-custom"`
	// InvokeMode must match the invoke mode of the Lambda trigger, which cannot be found out.
	InvokeMode string `yaml:"invoke_mode" env:"INVOKE_MODE" allow:"buffered|response_stream"`
}
