package config

import "time"

// DashScopeURL is the endpoint of dashscope.base_url by default (Beijing;
// facts: DashScope, compatible mode).
const DashScopeURL = "https://dashscope.aliyuncs.com/compatible-mode/v1"

// None turns a model off.
const None = "none"

// Default returns the settings of a process that was told nothing. The values
// are the deployment guide's where it names one.
func Default() Config {
	return Config{
		Server: Server{
			Port: 8080, Mode: Debug,
			MaxConcurrentRequests: 1000,
			RequestTimeout:        30 * time.Second,
			ReadTimeout:           10 * time.Second,
			WriteTimeout:          10 * time.Second,
			ShutdownTimeout:       20 * time.Second, // two thirds of Kubernetes' terminationGracePeriodSeconds, 30
			MaxBodyBytes:          1 << 20,          // DESIGN §6
			MaxUploadBytes:        10 << 20,         // DESIGN §6; nginx in the guide: 10M
		},
		DashScope: DashScope{
			BaseURL: DashScopeURL, ChatModel: "qwen-plus", EmbedModel: "text-embedding-v2",
			EmbeddingDimension: 1536, RerankModel: None,
			MaxRetries: 3, Timeout: 30 * time.Second,
		},
		Milvus: Milvus{
			Port: 19530, Timeout: 10 * time.Second, ConnectionTimeout: 10 * time.Second,
			MaxConnections: 100, MaxIdleConnections: 20,
			Metric: "COSINE", HNSW: HNSW{M: 16, EfConstruction: 256, Ef: 64}, // DESIGN §5.3
		},
		Database: Database{
			BasePath: "./data/db", MaxOpenConns: 50, MaxIdleConns: 10, ConnMaxLifetime: time.Hour,
			CacheSize: 64 << 20, // the guide's PRAGMA cache_size, for all tenants together
		},
		Cache: Cache{
			Enabled: true, Type: "memory", TTL: time.Hour, MaxSize: 32 << 20,
			Redis: Redis{Host: "localhost", Port: 6379},
		},
		Logging: Logging{
			Level: "info", Output: "stdout", MaxSize: 100 << 20, MaxFiles: 5, SlowRequest: time.Second,
		},
		Security: Security{
			SensitiveFields: []string{"password", "id_card", "phone", "mobile"},
			LinkTTL:         24 * time.Hour,
		},
		RateLimit: RateLimit{ChatPerMinute: 100, PublicPerMinute: 20, VectorsPerMinute: 50}, // DESIGN §6
		Tenants:   Tenants{AutoCreate: true, PublicChat: Auto, Sample: Auto},
		RAG:       RAG{TopK: 5, VectorTimeout: 2 * time.Second, VectorMemory: 64 << 20}, // retrieve.DefaultPatience; 21,000 chunks of 1536 dimensions
		Intent:    Intent{ConfidenceThreshold: 0.6},
		Session:   Session{MaxHistory: 10, Timeout: 30 * time.Minute},
		Handoff:   Handoff{Timeout: 5 * time.Minute},
		Backup: Backup{
			CommitWindow: 24 * time.Hour,     // DESIGN §4
			Retention:    7 * 24 * time.Hour, // the guide's find -mtime +7
			Interval:     time.Hour,
		},
		Serverless: Serverless{Platform: Auto, InvokeMode: "buffered"},
	}
}
