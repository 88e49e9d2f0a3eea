package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Links signs and checks links to quoted text. A link is read-only, names one
// version of one document of one tenant, and expires.
type Links struct {
	key []byte
	ttl time.Duration
}

// NewLinks returns a signer with a secret of at least 16 bytes that all
// instances share; links live for ttl at least and an hour longer at most.
func NewLinks(secret []byte, ttl time.Duration) (*Links, error) {
	if len(secret) < 16 {
		return nil, fmt.Errorf("link secret has %d bytes, want 16 or more", len(secret))
	}
	return &Links{key: secret, ttl: ttl}, nil
}

// SourcePath is where signed links lead; the document's id follows.
const SourcePath = "/api/v1/sources/"

// Target is what a link leads to.
type Target struct {
	Tenant     kb.TenantID
	Document   kb.DocumentID
	Version    int
	Start, End int // the quote: bytes in the version's canonical text
}

// URL returns a signed path with query for t. Links of one hour are equal, so
// that pages can be cached.
func (l *Links) URL(t Target, now time.Time) string {
	expires := now.Add(l.ttl).Truncate(time.Hour).Add(time.Hour).Unix()
	q := url.Values{
		"tenant": {string(t.Tenant)}, "v": {strconv.Itoa(t.Version)},
		"start": {strconv.Itoa(t.Start)}, "end": {strconv.Itoa(t.End)}, "exp": {strconv.FormatInt(expires, 10)},
	}
	q.Set("sig", l.sign(t, expires))
	return SourcePath + url.PathEscape(string(t.Document)) + "?" + q.Encode()
}

// Verify returns the target of a link, or kb.Forbidden if the link was not
// made by URL with this secret or has expired.
func (l *Links) Verify(document string, q url.Values, now time.Time) (Target, error) {
	t := Target{Tenant: kb.TenantID(q.Get("tenant")), Document: kb.DocumentID(document)}
	var errs [4]error
	t.Version, errs[0] = strconv.Atoi(q.Get("v"))
	t.Start, errs[1] = strconv.Atoi(q.Get("start"))
	t.End, errs[2] = strconv.Atoi(q.Get("end"))
	var expires int64
	expires, errs[3] = strconv.ParseInt(q.Get("exp"), 10, 64)
	for _, err := range errs {
		if err != nil {
			return Target{}, kb.E(kb.Forbidden, err, "this link is incomplete; take the whole url of the source")
		}
	}
	if !hmac.Equal([]byte(l.sign(t, expires)), []byte(q.Get("sig"))) {
		return Target{}, kb.E(kb.Forbidden, nil, "this link was changed or is not ours")
	}
	if now.Unix() > expires {
		return Target{}, kb.E(kb.Forbidden, nil, "this link has expired; ask again to get a new one")
	}
	return t, nil
}

func (l *Links) sign(t Target, expires int64) string {
	m := hmac.New(sha256.New, l.key)
	// Quoted fields: no two targets print alike.
	fmt.Fprintf(m, "source %q %q %d %d %d %d", t.Tenant, t.Document, t.Version, t.Start, t.End, expires)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}
