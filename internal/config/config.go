// Package config is the only reader of the environment. Load takes flags, a
// YAML file, a .env file and the environment, in this order of rising weight,
// and returns one Config in which every setting has a value, or one *Error
// that names every bad setting at once. It keeps no state: what it reads comes
// in by Source. docs/configuration.md is made from the comments in this
// package.
package config

import "time"

// Config is every setting of the product. A setting's path is made of the
// yaml names ("server.port"); its environment variable is the path in capitals
// (SERVER_PORT). Tags min, max and allow bound a setting; they are enforced by
// Load and printed in the documentation.
type Config struct {
	Server     Server     `yaml:"server" envPrefix:"SERVER_"`
	DashScope  DashScope  `yaml:"dashscope" envPrefix:"DASHSCOPE_"`
	Milvus     Milvus     `yaml:"milvus" envPrefix:"MILVUS_"`
	Storage    Storage    `yaml:"storage" envPrefix:"STORAGE_"`
	Database   Database   `yaml:"database" envPrefix:"DATABASE_"`
	Cache      Cache      `yaml:"cache" envPrefix:"CACHE_"`
	Logging    Logging    `yaml:"logging" envPrefix:"LOGGING_"`
	Security   Security   `yaml:"security" envPrefix:"SECURITY_"`
	RateLimit  RateLimit  `yaml:"rate_limit" envPrefix:"RATE_LIMIT_"`
	Tenants    Tenants    `yaml:"tenants" envPrefix:"TENANTS_"`
	RAG        RAG        `yaml:"rag" envPrefix:"RAG_"`
	Intent     Intent     `yaml:"intent" envPrefix:"INTENT_"`
	Session    Session    `yaml:"session" envPrefix:"SESSION_"`
	Handoff    Handoff    `yaml:"handoff" envPrefix:"HANDOFF_"`
	Backup     Backup     `yaml:"backup" envPrefix:"BACKUP_"`
	Serverless Serverless `yaml:"serverless" envPrefix:"SERVERLESS_"`

	// Run says how this process was started. It holds no settings.
	Run Run `yaml:"-" env:"-"`
}

// Modes of server.mode.
const (
	Debug   = "debug"
	Release = "release"
)

// Server is the HTTP listener and its budgets.
type Server struct {
	// Host is the address to listen on. Default: 127.0.0.1 in debug mode, so that a laptop is not open to its network; 0.0.0.0 in release mode.
	Host string `yaml:"host" env:"HOST"`
	// Port is the port to listen on; 0 takes any free one.
	Port int `yaml:"port" env:"PORT" min:"0" max:"65535"`
	// Mode says what may be open: debug, for work on one machine (public chat with the default tenant, sample knowledge base), or release (every caller needs a key, nothing is loaded by itself).
	Mode string `yaml:"mode" env:"MODE" allow:"debug|release"`
	// MaxConcurrentRequests is how many requests run at once; the next one is answered 503 with Retry-After.
	MaxConcurrentRequests int `yaml:"max_concurrent_requests" env:"MAX_CONCURRENT_REQUESTS" min:"1" max:"1000000"`
	// RequestTimeout is the whole budget of one request, retries of models included. For a stream it is the time to the first token.
	RequestTimeout time.Duration `yaml:"request_timeout" env:"REQUEST_TIMEOUT" min:"100ms" max:"1h"`
	// ReadTimeout is the time a client has to send its headers, and its body up to server.max_body_bytes.
	ReadTimeout time.Duration `yaml:"read_timeout" env:"READ_TIMEOUT" min:"100ms" max:"1h"`
	// WriteTimeout is the time a client has to take one write. It is renewed with every event, so a long stream is not cut.
	WriteTimeout time.Duration `yaml:"write_timeout" env:"WRITE_TIMEOUT" min:"100ms" max:"1h"`
	// ShutdownTimeout is how long running requests may finish after SIGTERM.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" env:"SHUTDOWN_TIMEOUT" min:"0s" max:"1h"`
	// MaxBodyBytes is the largest JSON body.
	MaxBodyBytes Bytes `yaml:"max_body_bytes" env:"MAX_BODY_BYTES" min:"1KiB" max:"64MiB"`
	// MaxUploadBytes is the largest document sent in one request.
	MaxUploadBytes Bytes `yaml:"max_upload_bytes" env:"MAX_UPLOAD_BYTES" min:"1KiB" max:"1GiB"`
	// TrustedProxies are the addresses or networks (10.0.0.0/8) whose X-Forwarded-For is believed. Empty: the header is ignored.
	TrustedProxies []string `yaml:"trusted_proxies" env:"TRUSTED_PROXIES"`
	TLS            TLS      `yaml:"tls" envPrefix:"TLS_"`
}

// TLS is HTTPS without a proxy in front.
type TLS struct {
	// Enabled makes the server speak HTTPS only.
	Enabled bool `yaml:"enabled" env:"ENABLED"`
	// CertFile is the certificate chain, PEM.
	CertFile string `yaml:"cert_file" env:"CERT_FILE"`
	// KeyFile is the private key, PEM.
	KeyFile string `yaml:"key_file" env:"KEY_FILE"`
}

// Logging is where the log goes and how much of it.
type Logging struct {
	// Level is the least level that is written; POST /admin/log-level changes it at run time.
	Level string `yaml:"level" env:"LEVEL" allow:"debug|info|warn|error"`
	// Format is the form of a line: json or text. Default: text in debug mode, json in release mode.
	Format string `yaml:"format" env:"FORMAT" allow:"json|text"`
	// Output is where lines go.
	Output string `yaml:"output" env:"OUTPUT" allow:"stdout|stderr|file"`
	// FilePath is the log file where logging.output is file.
	FilePath string `yaml:"file_path" env:"FILE_PATH"`
	// MaxSize is the size at which the log file is rotated; 0 leaves that to others (SIGHUP reopens the file).
	MaxSize Bytes `yaml:"max_size" env:"MAX_SIZE" min:"0" max:"1TiB"`
	// MaxFiles is how many rotated log files are kept.
	MaxFiles int `yaml:"max_files" env:"MAX_FILES" min:"1" max:"1000"`
	// SlowRequest is the duration from which a request is logged as slow; 0 = never.
	SlowRequest time.Duration `yaml:"slow_request" env:"SLOW_REQUEST" min:"0s" max:"1h"`
}

// Security is who may call and what is hidden.
type Security struct {
	// APIKeys are keys for chat, ingest and administration of knowledge. API_KEY_1 and API_KEY_2 are added to them.
	APIKeys []Secret `yaml:"api_keys" env:"API_KEYS"`
	// RootKey may also manage keys and tenants, restore and export. ROOT_KEY is the same. Empty: one is generated at the first start, printed once and kept beside the data.
	RootKey Secret `yaml:"root_key" env:"ROOT_KEY"`
	// SensitiveFields are names of fields whose values never reach a log.
	SensitiveFields []string `yaml:"sensitive_fields" env:"SENSITIVE_FIELDS"`
	// LinkTTL is how long the signed links in an answer's sources open.
	LinkTTL    time.Duration `yaml:"link_ttl" env:"LINK_TTL" min:"1m" max:"8760h"`
	Encryption Encryption    `yaml:"encryption" envPrefix:"ENCRYPTION_"`
}

// Encryption is encryption at rest.
type Encryption struct {
	// Enabled encrypts what is written from now on.
	Enabled bool `yaml:"enabled" env:"ENABLED"`
	// KeyFile is the keyring.
	KeyFile string `yaml:"key_file" env:"KEY_FILE"`
}

// RateLimit is how much one caller may ask in a minute; 0 = no limit.
type RateLimit struct {
	// ChatPerMinute limits questions per tenant.
	ChatPerMinute int `yaml:"chat_per_minute" env:"CHAT_PER_MINUTE" min:"0" max:"10000000"`
	// PublicPerMinute limits questions without a key per client address.
	PublicPerMinute int `yaml:"public_per_minute" env:"PUBLIC_PER_MINUTE" min:"0" max:"10000000"`
	// VectorsPerMinute limits writes of documents and vectors per key.
	VectorsPerMinute int `yaml:"vectors_per_minute" env:"VECTORS_PER_MINUTE" min:"0" max:"10000000"`
}
