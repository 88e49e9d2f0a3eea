package config

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// aliases are variables that other programs know, read where the setting has
// no value of its own. The first one that has a value wins.
var aliases = []struct {
	path   string
	scheme string // of storage.url; "" = any
	names  []string
}{
	{"security.root_key", "", []string{"ROOT_KEY"}},
	{"storage.region", "s3", []string{"AWS_REGION", "AWS_DEFAULT_REGION"}},
	{"storage.access_key_id", "s3", []string{"AWS_ACCESS_KEY_ID"}},
	{"storage.secret_access_key", "s3", []string{"AWS_SECRET_ACCESS_KEY"}},
	{"storage.session_token", "s3", []string{"AWS_SESSION_TOKEN"}},
	{"storage.region", "oss", []string{"ALIBABA_CLOUD_REGION_ID", "FC_REGION"}},
	{"storage.access_key_id", "oss", []string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "OSS_ACCESS_KEY_ID"}},
	{"storage.secret_access_key", "oss", []string{"ALIBABA_CLOUD_ACCESS_KEY_SECRET", "OSS_ACCESS_KEY_SECRET"}},
	{"storage.session_token", "oss", []string{"ALIBABA_CLOUD_SECURITY_TOKEN", "OSS_SESSION_TOKEN"}},
}

// aliases reads the variables whose names are not paths.
func (l *loader) aliases() {
	scheme, _, _ := strings.Cut(l.cfg.Storage.URL, "://")
	for _, a := range aliases {
		if a.scheme != "" && a.scheme != scheme || l.isSet(a.path) {
			continue
		}
		for _, name := range a.names {
			if value := l.vars[name]; value != "" {
				l.from(a.path, l.whence(name))
				if err := l.schema.set(&l.cfg, l.schema.byPath[a.path], value); err != nil {
					l.badSetting(a.path, err)
				}
				break
			}
		}
	}
	// API_KEY_1 and API_KEY_2 are keys of their own even where the file does
	// not name them; a file that does must not make two keys of one.
	keys := &l.cfg.Security.APIKeys
	for _, name := range []string{"API_KEY_1", "API_KEY_2"} {
		if value := l.vars[name]; value != "" {
			*keys = append(*keys, NewSecret(value))
			if !l.isSet("security.api_keys") {
				l.from("security.api_keys", l.whence(name))
			}
		}
	}
	seen := map[string]bool{}
	*keys = slices.DeleteFunc(*keys, func(k Secret) bool {
		double := seen[k.Reveal()]
		seen[k.Reveal()] = true
		return double
	})
}

// derive fills in the settings whose default depends on others.
func (l *loader) derive() {
	c := &l.cfg
	release := c.Server.Mode == Release
	if c.Server.Host == "" {
		c.Server.Host = pick(release, "0.0.0.0", "127.0.0.1")
	}
	if c.Logging.Format == "" {
		c.Logging.Format = pick(release, "json", "text")
	}
	if c.Database.DataDir == "" {
		c.Database.DataDir = filepath.Dir(filepath.Clean(c.Database.BasePath))
	}
	if dims := dimensions(c.DashScope.EmbedModel); dims != nil && !l.isSet("dashscope.embedding_dimension") {
		c.DashScope.EmbeddingDimension = dims[0]
	}
	// One who shortens the request must not have to know every other budget.
	l.shorten("dashscope.timeout", &c.DashScope.Timeout, "server.request_timeout", c.Server.RequestTimeout)
	l.shorten("milvus.timeout", &c.Milvus.Timeout, "server.request_timeout", c.Server.RequestTimeout)
	l.shorten("milvus.connection_timeout", &c.Milvus.ConnectionTimeout, "milvus.timeout", c.Milvus.Timeout)
	c.Database.MaxIdleConns = l.atMost("database.max_idle_conns", c.Database.MaxIdleConns, c.Database.MaxOpenConns)
	c.Milvus.MaxIdleConnections = l.atMost("milvus.max_idle_connections", c.Milvus.MaxIdleConnections, c.Milvus.MaxConnections)
	l.shorten("backup.commit_window", &c.Backup.CommitWindow, "backup.retention", c.Backup.Retention)
	c.Run.Platform = c.Serverless.Platform
	if c.Run.Platform == Auto {
		c.Run.Platform = l.platform()
	}
}

func pick(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}

// shorten lowers a default to a bound that somebody chose.
func (l *loader) shorten(path string, d *time.Duration, of string, most time.Duration) {
	if !l.isSet(path) && !l.broken[of] {
		*d = min(*d, most)
	}
}

func (l *loader) atMost(path string, n, most int) int {
	if l.isSet(path) {
		return n
	}
	return min(n, most)
}

// dimensions are the vector lengths of a model, the default first; nil for
// models we do not know (DashScope, synchronous embedding API reference).
func dimensions(model string) []int {
	switch model {
	case "text-embedding-v1", "text-embedding-v2":
		return []int{1536}
	case "text-embedding-v3":
		return []int{1024, 768, 512, 256, 128, 64}
	case "text-embedding-v4":
		return []int{1024, 2048, 1536, 768, 512, 256, 128, 64}
	}
	return nil
}

// platform finds out where the process runs. A custom runtime of Function
// Compute is a plain server that is told its port; its built-in runtimes have
// a runtime API, as Lambda has.
func (l *loader) platform() string {
	switch {
	case l.vars["AWS_LAMBDA_RUNTIME_API"] != "":
		return "lambda"
	case l.vars["FC_CUSTOM_LISTEN_PORT"] != "":
		return "fc-custom"
	case l.vars["FC_RUNTIME_API"] != "":
		return "fc"
	case l.vars["FC_FUNCTION_NAME"] != "": // a custom runtime on its default port
		return "fc-custom"
	}
	return "local"
}

// Listen is the address to listen on. On a custom runtime it is the one its
// contract asks for, port 9000 on all addresses (Function Compute, custom
// runtimes), unless server.port was set.
func (c Config) Listen() string {
	host, port := c.Server.Host, c.Server.Port
	if c.Run.Platform == "fc-custom" {
		host = "0.0.0.0"
		if c.Run.Origin["server.port"] == "" {
			port = 9000
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// PublicChat reports whether visitors without a key may chat with the default
// tenant.
func (c Config) PublicChat() bool { return c.auto(c.Tenants.PublicChat) }

// Sample reports whether an empty default tenant gets the sample knowledge base.
func (c Config) Sample() bool { return c.auto(c.Tenants.Sample) }

func (c Config) auto(word string) bool {
	return word == On || word == Auto && c.Server.Mode == Debug
}

// Models reports whether there is a model provider: a key, or an endpoint of
// the user's own, which may need none.
func (d DashScope) Models() bool { return d.APIKey.IsSet() || d.BaseURL != DashScopeURL }

// Chat reports whether a model writes answers.
func (d DashScope) Chat() bool { return d.Models() && d.ChatModel != None }

// Embed reports whether there are vectors.
func (d DashScope) Embed() bool { return d.Models() && d.EmbedModel != None }

// Rerank reports whether a model orders what was found.
func (d DashScope) Rerank() bool { return d.Models() && d.RerankModel != None }

// Enabled reports whether vectors are searched by Milvus.
func (m Milvus) Enabled() bool { return m.Host != "" }

// Address is host:port.
func (m Milvus) Address() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.Port)) }

// Address is host:port.
func (r Redis) Address() string { return net.JoinHostPort(r.Host, strconv.Itoa(r.Port)) }

// StoreURL is storage.url, or the folder under database.base_path as a file
// URL.
func (c Config) StoreURL() string {
	if c.Storage.URL != "" {
		return c.Storage.URL
	}
	path := c.Database.BasePath
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return "file://" + filepath.ToSlash(path)
}

// Secrets returns the values that must never be printed, for the fence in
// front of the log.
func (c Config) Secrets() []string {
	s := knownSettings()
	var values []string
	for i := range s.settings {
		switch v := s.settings[i].of(&c).Interface().(type) {
		case Secret:
			if v.IsSet() {
				values = append(values, v.Reveal())
			}
		case []Secret:
			for _, one := range v {
				values = append(values, one.Reveal())
			}
		}
	}
	return values
}
