package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// UserSecret signs the tokens by which a tenant's own site vouches for its
// customers (X-User-Token).
type UserSecret struct {
	ID      string    `json:"id"`
	Secret  string    `json:"secret"` // its bytes are the HMAC key
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at,omitzero"` // zero = while it is the newest
}

// userClaims is what a token has to say. Others are ignored.
type userClaims struct {
	Subject   string   `json:"sub"`
	Tenant    string   `json:"tenant"`
	Expires   *float64 `json:"exp"` // seconds since 1970
	NotBefore *float64 `json:"nbf"`
	Issued    *float64 `json:"iat"`
}

// Bounds of a token: what headers carry, and what users are called.
const (
	maxTokenBytes   = 4 << 10
	maxSubjectBytes = 128
	// clockSkew is how far the clocks of two servers may be apart.
	clockSkew = time.Minute
)

// VerifyUserToken returns the user that token vouches for: a JWT (RFC 7519) in
// compact form, HS256 and nothing else, with sub, this tenant as tenant, and
// exp in the future. Anything else is kb.Unauthenticated; the message says
// which, for the reader is the one who makes tokens.
func VerifyUserToken(token string, tenant kb.TenantID, secrets []UserSecret, now time.Time) (user string, err error) {
	bad := func(format string, args ...any) (string, error) {
		return "", kb.E(kb.Unauthenticated, nil, "X-User-Token: "+format, args...).With("field", "X-User-Token")
	}
	if len(token) > maxTokenBytes {
		return bad("longer than %d bytes", maxTokenBytes)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return bad("not a JWT of three parts")
	}
	var head struct {
		Alg  string `json:"alg"`
		Type string `json:"typ"`
		Key  string `json:"kid"`
		Crit any    `json:"crit"`
	}
	if err := decodePart(parts[0], &head); err != nil || head.Crit != nil || head.Type != "" && !strings.EqualFold(head.Type, "JWT") {
		return bad("its header is not that of a JWT")
	}
	if head.Alg != "HS256" { // above all not "none"
		return bad("its algorithm must be HS256")
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || !signedBy(secrets, head.Key, parts[0]+"."+parts[1], mac, now) {
		return bad("its signature is not that of this tenant's secret")
	}
	var c userClaims
	if err := decodePart(parts[1], &c); err != nil {
		return bad("its claims are not a JSON object")
	}
	seconds := float64(now.Unix())
	switch {
	case c.Tenant != string(tenant):
		return bad("its tenant must be the one the request is for")
	case c.Expires == nil:
		return bad("it needs exp, in seconds since 1970")
	case *c.Expires <= seconds:
		return bad("it has expired; get a new one")
	case c.NotBefore != nil && *c.NotBefore > seconds+clockSkew.Seconds(), c.Issued != nil && *c.Issued > seconds+clockSkew.Seconds():
		return bad("it is not valid yet")
	case c.Subject == "" || len(c.Subject) > maxSubjectBytes:
		return bad("its sub must be the user's id, at most %d bytes", maxSubjectBytes)
	}
	return c.Subject, nil
}

// signedBy reports whether a secret that is still good made mac.
func signedBy(secrets []UserSecret, id, message string, mac []byte, now time.Time) bool {
	ok := false
	for _, s := range secrets {
		if s.Secret == "" || id != "" && id != s.ID || !s.Expires.IsZero() && !now.Before(s.Expires) {
			continue
		}
		h := hmac.New(sha256.New, []byte(s.Secret))
		h.Write([]byte(message))
		ok = hmac.Equal(h.Sum(nil), mac) || ok
	}
	return ok
}

// decodePart reads one JSON object. Go's decoder takes names of any case; a
// second spelling of a name must not slip past other readers of the token.
func decodePart(part string, v any) error {
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not an object")
	}
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		folded := strings.ToLower(fmt.Sprint(name))
		if seen[folded] {
			return fmt.Errorf("%s twice", folded)
		}
		seen[folded] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return json.Unmarshal(data, v)
}

// RotateUserSecrets puts next before old ones; those go on for overlap, or as
// long as they had, whichever is shorter. Expired ones are dropped.
func RotateUserSecrets(old []UserSecret, next UserSecret, overlap time.Duration) []UserSecret {
	out := []UserSecret{next}
	end := next.Created.Add(overlap)
	for _, s := range old {
		if s.Expires.IsZero() || s.Expires.After(end) {
			s.Expires = end
		}
		if s.Expires.After(next.Created) && len(out) < maxSecrets {
			out = append(out, s)
		}
	}
	return out
}

// maxSecrets bounds how many secrets overlap.
const maxSecrets = 5
