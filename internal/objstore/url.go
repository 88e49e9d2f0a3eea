package objstore

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Location is a parsed storage URL: scheme://bucket/prefix?setting=value. For
// implementations of Bucket.
type Location struct {
	Bucket string
	Prefix string // without '/' at its ends
	query  url.Values
}

// ParseLocation parses a URL of scheme that may have the settings named. Its
// errors are kb.Invalid and say what to write instead; they never show
// credentials that somebody put there.
func ParseLocation(raw, scheme string, settings ...string) (Location, error) {
	invalid := func(format string, args ...any) (Location, error) {
		return Location{}, kb.E(kb.Invalid, nil, "storage.url: "+format, args...)
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != scheme || u.Opaque != "" {
		return invalid("want %s://bucket/prefix?endpoint=…", scheme)
	}
	if u.User != nil {
		return invalid("it holds credentials; set them apart from the URL, which is shown in logs")
	}
	if !validBucket(u.Host) {
		return invalid("bucket %q must have 3 to 63 characters of a-z, 0-9, '-' and '.'", u.Host)
	}
	if u.Fragment != "" {
		return invalid("'#' must not be in it")
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		if err := ValidateKey(prefix); err != nil {
			return invalid("prefix: %v", err)
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("the part after '?' is not name=value&…")
	}
	for name, values := range query {
		if !slices.Contains(settings, name) {
			return invalid("unknown setting %q; there are %s", name, strings.Join(settings, ", "))
		}
		if len(values) > 1 {
			return invalid("setting %q is there twice", name)
		}
	}
	return Location{Bucket: u.Host, Prefix: prefix, query: query}, nil
}

// Setting returns the value of a setting, "" if it is absent.
func (l Location) Setting(name string) string { return l.query.Get(name) }

// Bool returns the value of a setting that is true or false, false if absent.
func (l Location) Bool(name string) (bool, error) {
	v := l.query.Get(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, kb.E(kb.Invalid, nil, "storage.url: %s=%q must be true or false", name, v)
	}
	return b, nil
}

// Endpoint returns the endpoint as a URL without a path, https unless it says
// http, or "" if it is absent.
func (l Location) Endpoint() (string, error) {
	v := l.query.Get("endpoint")
	if v == "" {
		return "", nil
	}
	if !strings.Contains(v, "://") {
		v = "https://" + v
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", kb.E(kb.Invalid, nil, "storage.url: endpoint must be a host with or without a port, or http(s)://host")
	}
	return u.Scheme + "://" + u.Host, nil
}

// validBucket keeps the naming rules that S3 and OSS share.
func validBucket(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if edge := i == 0 || i == len(name)-1; !alnum && (edge || c != '-' && c != '.') {
			return false
		}
	}
	return true
}

// String is the URL without settings, for logs.
func (l Location) String() string { return fmt.Sprintf("%s/%s", l.Bucket, l.Prefix) }
