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

// UploadPath is where signed links to upload lead; the job's id follows.
const UploadPath = "/api/v1/uploads/"

// Upload is what a link allows: the bytes of one job, that many of them.
type Upload struct {
	Tenant kb.TenantID
	Job    kb.JobID
	Size   int64
}

// UploadURL returns a signed path with query that lets its holder put u until
// expires.
func (l *Links) UploadURL(u Upload, expires time.Time) string {
	q := url.Values{
		"tenant": {string(u.Tenant)}, "size": {strconv.FormatInt(u.Size, 10)}, "exp": {strconv.FormatInt(expires.Unix(), 10)},
		"sig": {l.signUpload(u, expires.Unix())},
	}
	return UploadPath + url.PathEscape(string(u.Job)) + "?" + q.Encode()
}

// VerifyUpload returns what a link allows, or kb.Forbidden if it was not made
// by UploadURL with this secret or has expired.
func (l *Links) VerifyUpload(job string, q url.Values, now time.Time) (Upload, error) {
	u := Upload{Tenant: kb.TenantID(q.Get("tenant")), Job: kb.JobID(job)}
	size, err := strconv.ParseInt(q.Get("size"), 10, 64)
	expires, eerr := strconv.ParseInt(q.Get("exp"), 10, 64)
	if err != nil || eerr != nil {
		return Upload{}, kb.E(kb.Forbidden, nil, "this link is incomplete; take the whole url of the upload")
	}
	u.Size = size
	if !hmac.Equal([]byte(l.signUpload(u, expires)), []byte(q.Get("sig"))) {
		return Upload{}, kb.E(kb.Forbidden, nil, "this link was changed or is not ours")
	}
	if now.Unix() > expires {
		return Upload{}, kb.E(kb.Forbidden, nil, "this link has expired; announce the upload again to get a new one")
	}
	return u, nil
}

func (l *Links) signUpload(u Upload, expires int64) string {
	m := hmac.New(sha256.New, l.key)
	// The word in front keeps it apart from links to sources.
	fmt.Fprintf(m, "upload %q %q %d %d", u.Tenant, u.Job, u.Size, expires)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}
