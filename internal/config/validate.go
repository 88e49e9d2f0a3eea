package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bounds holds each setting against its own tags.
func (l *loader) bounds() {
	for i := range l.schema.settings {
		one := &l.schema.settings[i]
		if l.broken[one.path] {
			continue
		}
		if err := l.schema.check(&l.cfg, one); err != nil {
			l.badSetting(one.path, err)
		}
	}
}

// validate holds the settings against each other and against the machine.
func (l *loader) validate() {
	l.placeholders()
	l.keys()
	l.server()
	l.models()
	l.milvus()
	l.storage()
	l.rest()
}

// must reports a problem with path unless ok.
func (l *loader) must(ok bool, path, format string, args ...any) {
	if !ok {
		l.badSetting(path, fmt.Errorf(format, args...))
	}
}

func (l *loader) placeholders() {
	for i := range l.schema.settings {
		one := &l.schema.settings[i]
		var values []string
		switch v := one.of(&l.cfg).Interface().(type) {
		case Secret:
			values = []string{v.Reveal()}
		case []Secret:
			for _, s := range v {
				values = append(values, s.Reveal())
			}
		case string:
			if one.path == "milvus.username" || one.path == "cache.redis.username" {
				values = []string{v}
			}
		}
		if slices.ContainsFunc(values, isPlaceholder) {
			l.badSetting(one.path, errors.New("still holds a sample value; put the real one in, or remove the line"))
		}
	}
}

// leastKey is the shortest API key release mode takes: 8 characters of base 64
// are 48 bits, which the rate limit makes unguessable; shorter ones are words.
const leastKey = 8

func (l *loader) keys() {
	sec := &l.cfg.Security
	release := l.cfg.Server.Mode == Release
	if release && len(sec.APIKeys) == 0 && !sec.RootKey.IsSet() {
		l.bad("security.api_keys", l.cfg.Run.Origin["server.mode"], "release mode needs a key: set API_KEY_1 or ROOT_KEY (or security.api_keys in the file); for work on this machine set server.mode: debug")
	}
	for _, k := range sec.APIKeys {
		l.must(isHeaderWord(k.Reveal()), "security.api_keys", "hold a key with a space, a comma or a character outside ASCII; a key is sent as a header")
		l.must(!release || len(k.Reveal()) >= leastKey, "security.api_keys", "hold a key of fewer than %d characters; make one with: openssl rand -hex 24", leastKey)
		l.must(!sec.RootKey.IsSet() || !k.Equal(sec.RootKey), "security.root_key", "is an API key as well; the root key must be one of its own")
	}
	if root := sec.RootKey.Reveal(); root != "" {
		l.must(isHeaderWord(root), "security.root_key", "has a space, a comma or a character outside ASCII; a key is sent as a header")
		l.must(!release || len(root) >= leastKey, "security.root_key", "has fewer than %d characters; make one with: openssl rand -hex 24", leastKey)
	}
	if sec.Encryption.Enabled {
		l.readable("security.encryption.key_file", sec.Encryption.KeyFile, "security.encryption.enabled")
	}
}

// isHeaderWord reports whether s can be sent as one item of a header.
func isHeaderWord(s string) bool {
	const most = 512 // bytes; proxies begin to refuse headers at a few KiB
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ',' {
			return false
		}
	}
	return s != "" && len(s) <= most
}

// readable checks that a file that a switch needs is named and can be read.
func (l *loader) readable(path, name, because string) {
	if name == "" {
		l.badSetting(path, fmt.Errorf("is needed because %s is true", because))
		return
	}
	f, err := os.Open(name)
	if err != nil {
		l.badSetting(path, fmt.Errorf("%s: %s", name, reason(err)))
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		l.badSetting(path, fmt.Errorf("%s is a folder, not a file", name))
	}
}

func (l *loader) server() {
	s := &l.cfg.Server
	l.must(isHost(s.Host), "server.host", "%s is not an address or a host name; the port is server.port", quote(s.Host))
	for _, p := range s.TrustedProxies {
		_, errAddr := netip.ParseAddr(p)
		_, errNet := netip.ParsePrefix(p)
		l.must(errAddr == nil || errNet == nil, "server.trusted_proxies", "%s is neither an address nor a network such as 10.0.0.0/8", quote(p))
	}
	if s.TLS.Enabled {
		l.readable("server.tls.cert_file", s.TLS.CertFile, "server.tls.enabled")
		l.readable("server.tls.key_file", s.TLS.KeyFile, "server.tls.enabled")
		if !l.broken["server.tls.cert_file"] && !l.broken["server.tls.key_file"] {
			_, err := tls.LoadX509KeyPair(s.TLS.CertFile, s.TLS.KeyFile)
			l.must(err == nil, "server.tls.cert_file", "and server.tls.key_file do not make a pair: %v", err)
		}
	}
}

// isHost reports whether s is an IP address or a host name, without a port.
func isHost(s string) bool {
	if net.ParseIP(s) != nil {
		return true
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return true
}

func (l *loader) models() {
	d := &l.cfg.DashScope
	u, err := url.Parse(d.BaseURL)
	ok := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.RawQuery == "" && u.Fragment == ""
	l.must(ok, "dashscope.base_url", "is not an address such as %s", DashScopeURL)
	l.must(!ok || u.User == nil, "dashscope.base_url", "holds a password; put it in dashscope.api_key")
	l.must(!d.APIKey.IsSet() || isHeaderWord(d.APIKey.Reveal()), "dashscope.api_key", "has a space, a comma or a character outside ASCII; was something else pasted with it?")
	if dims := dimensions(d.EmbedModel); dims != nil {
		l.must(slices.Contains(dims, d.EmbeddingDimension), "dashscope.embedding_dimension",
			"%d is no dimension of %s; it has %s", d.EmbeddingDimension, d.EmbedModel, ints(dims))
	}
	l.within("dashscope.timeout", d.Timeout, "server.request_timeout", l.cfg.Server.RequestTimeout)
}

func ints(list []int) string {
	var words []string
	for _, n := range list {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ", ")
}

// within demands that one budget fits into another.
func (l *loader) within(path string, d time.Duration, of string, most time.Duration) {
	if l.broken[of] {
		return
	}
	l.must(d <= most, path, "%s is longer than %s (%s), which bounds it; lower it or raise %s", showDuration(d), of, showDuration(most), of)
}

func (l *loader) milvus() {
	m := &l.cfg.Milvus
	if !m.Enabled() {
		return
	}
	l.must(isHost(m.Host), "milvus.host", "%s is not a host name or an address; the port is milvus.port", quote(m.Host))
	l.must(m.Username != "" || !m.Password.IsSet(), "milvus.username", "is needed because milvus.password is set")
	l.must(m.MaxIdleConnections <= m.MaxConnections, "milvus.max_idle_connections", "%d is more than milvus.max_connections (%d)", m.MaxIdleConnections, m.MaxConnections)
	l.within("milvus.timeout", m.Timeout, "server.request_timeout", l.cfg.Server.RequestTimeout)
	l.within("milvus.connection_timeout", m.ConnectionTimeout, "milvus.timeout", m.Timeout)
	if m.TLS.Enabled && m.TLS.CAFile != "" {
		l.readable("milvus.tls.ca_file", m.TLS.CAFile, "milvus.tls.enabled")
	}
}

func (l *loader) storage() {
	st := &l.cfg.Storage
	if err := checkStoreURL(st.URL); err != nil {
		l.badSetting("storage.url", err)
	}
	l.must(!st.AccessKeyID.IsSet() || st.SecretAccessKey.IsSet(), "storage.secret_access_key", "is needed because storage.access_key_id is set")
	l.must(st.AccessKeyID.IsSet() || !st.SecretAccessKey.IsSet(), "storage.access_key_id", "is needed because storage.secret_access_key is set")
}

// storeOptions are what a storage.url of a scheme may carry behind its '?'.
// Packages objstore/s3 and objstore/oss give them their meaning; the names
// stand here too so that -validate needs neither cloud's SDK.
func storeOptions(scheme string) (options []string, known bool) {
	switch scheme {
	case "file", "mem":
		return nil, true
	case "s3":
		return []string{"endpoint", "region", "path_style", "allow_versioning"}, true
	case "oss":
		return []string{"endpoint", "region", "internal", "cname"}, true
	}
	return nil, false
}

// checkStoreURL says what is wrong with a storage.url. Its errors do not
// repeat the URL: somebody may have written a key into it.
func checkStoreURL(s string) error {
	if s == "" {
		return nil
	}
	const remedy = "write file:///path, s3://bucket/prefix?region=… or oss://bucket/prefix?endpoint=…"
	u, err := url.Parse(s)
	if err != nil || !strings.Contains(s, "://") {
		return errors.New("is not a store; " + remedy)
	}
	options, known := storeOptions(u.Scheme)
	switch {
	case !known:
		return fmt.Errorf("%s:// is no store that is known; %s", u.Scheme, remedy)
	case u.User != nil:
		return errors.New("holds a key; put it in storage.access_key_id and storage.secret_access_key")
	case u.Scheme == "file" && u.Host != "":
		return fmt.Errorf("has the folder %q where a host would stand; a folder has three slashes: file:///%s%s", u.Host, u.Host, u.Path)
	case u.Scheme == "file" && u.Path == "":
		return errors.New("names no folder; write file:///path")
	case u.Host == "" && (u.Scheme == "s3" || u.Scheme == "oss"):
		return fmt.Errorf("names no bucket; write %s://bucket/prefix", u.Scheme)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("has a part behind '?' that is not name=value&name=value")
	}
	return checkStoreQuery(query, options)
}

func checkStoreQuery(query url.Values, options []string) error {
	for name := range query {
		if !slices.Contains(options, name) {
			hint := ""
			if best := nearest(name, options); best != "" {
				hint = fmt.Sprintf("; did you mean %s?", best)
			}
			return fmt.Errorf("has the unknown option %s%s", quote(name), hint)
		}
	}
	for _, name := range []string{"path_style", "allow_versioning", "internal", "cname"} {
		v := query.Get(name)
		if v == "" {
			continue
		}
		if _, err := strconv.ParseBool(v); err != nil {
			return fmt.Errorf("has %s=%s, which is neither true nor false", name, quote(v))
		}
	}
	if v := query.Get("endpoint"); v != "" {
		u, err := url.Parse(v)
		if strings.Contains(v, "://") && (err != nil || u.Host == "" || u.User != nil) {
			return errors.New("has an endpoint that is not an address")
		}
	}
	return nil
}

func (l *loader) rest() {
	c := &l.cfg
	l.must(c.Database.MaxIdleConns <= c.Database.MaxOpenConns, "database.max_idle_conns", "%d is more than database.max_open_conns (%d)", c.Database.MaxIdleConns, c.Database.MaxOpenConns)
	if c.Cache.Enabled && c.Cache.Type == "redis" {
		l.must(isHost(c.Cache.Redis.Host), "cache.redis.host", "%s is not a host name or an address; the port is cache.redis.port", quote(c.Cache.Redis.Host))
	}
	if c.Logging.Output == "file" {
		l.must(c.Logging.FilePath != "", "logging.file_path", "is needed because logging.output is file")
	}
	l.must(c.Backup.CommitWindow <= c.Backup.Retention, "backup.commit_window", "%s is longer than backup.retention (%s)", showDuration(c.Backup.CommitWindow), showDuration(c.Backup.Retention))
	for _, f := range c.Security.SensitiveFields {
		l.must(isName(strings.ReplaceAll(f, "-", "_")), "security.sensitive_fields", "%s is not the name of a field", quote(f))
	}
}
