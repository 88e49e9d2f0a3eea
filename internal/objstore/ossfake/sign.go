package ossfake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far clocks may differ (OSS API reference: 15 minutes).
const maxSkew = 15 * time.Minute

// signature is what a request says of its own signature, version 4, in its
// Authorization header or its query.
type signature struct {
	key, day, region string
	additional       []string // headers signed beyond those that always are
	sum              string
	made             time.Time
	life             time.Duration // of a link, else 0
	token            string
}

const timeFormat = "20060102T150405Z"

// authorize verifies the request's signature and clock, and returns the code
// of the error to answer with, "" for none.
func (s *Server) authorize(r *http.Request) (code, message string) {
	sig, err := parseSignature(r)
	if err != nil {
		return "AccessDenied", err.Error()
	}
	if sig.key != s.Key {
		return "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records."
	}
	if sig.token != s.Token {
		return "InvalidSecurityToken", "The security token you provided is invalid."
	}
	now := time.Now()
	switch {
	case sig.life > 0 && now.After(sig.made.Add(sig.life)):
		return "AccessDenied", "Request has expired."
	case sig.life > 7*24*time.Hour:
		return "AccessDenied", "x-oss-expires is above 604800."
	case sig.life == 0 && now.Sub(sig.made).Abs() > maxSkew:
		return "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
	case sig.day != sig.made.Format("20060102"):
		return "InvalidArgument", "Invalid signing date in Authorization header."
	case sig.region != s.Region:
		return "InvalidArgument", "Invalid signing region in Authorization header."
	}
	if !hmac.Equal([]byte(sig.sum), []byte(s.sign(r, sig))) {
		return "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
	}
	return "", ""
}

func parseSignature(r *http.Request) (signature, error) {
	var s signature
	var credential, additional string
	var err error
	if q := r.URL.Query(); q.Get("x-oss-signature-version") != "" {
		credential, additional, s.sum = q.Get("x-oss-credential"), q.Get("x-oss-additional-headers"), q.Get("x-oss-signature")
		s.token = q.Get("x-oss-security-token")
		seconds, _ := strconv.Atoi(q.Get("x-oss-expires"))
		s.life = time.Duration(seconds) * time.Second
		if s.life <= 0 {
			return s, fmt.Errorf("x-oss-expires is missing")
		}
		s.made, err = time.Parse(timeFormat, q.Get("x-oss-date"))
	} else {
		rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "OSS4-HMAC-SHA256 ")
		if !ok {
			return s, fmt.Errorf("You have no right to access this object because of bucket acl.") //nolint:revive,staticcheck // the words of the server
		}
		for part := range strings.SplitSeq(rest, ",") {
			name, value, _ := strings.Cut(part, "=")
			switch name {
			case "Credential":
				credential = value
			case "AdditionalHeaders":
				additional = value
			case "Signature":
				s.sum = value
			}
		}
		s.token = r.Header.Get("x-oss-security-token")
		s.made, err = time.Parse(timeFormat, r.Header.Get("x-oss-date"))
	}
	if err != nil {
		return s, fmt.Errorf("x-oss-date is no time: %w", err)
	}
	if additional != "" {
		s.additional = strings.Split(additional, ";")
	}
	scope := strings.Split(credential, "/") // key/day/region/oss/aliyun_v4_request
	if len(scope) != 5 || scope[3] != "oss" || scope[4] != "aliyun_v4_request" {
		return s, fmt.Errorf("credential %q has no scope", credential)
	}
	s.key, s.day, s.region = scope[0], scope[1], scope[2]
	return s, nil
}

// sign computes the signature that r should have (OSS API reference, "Include
// a V4 signature").
func (s *Server) sign(r *http.Request, sig signature) string {
	canonical := strings.Join([]string{
		r.Method, escape(r.URL.Path, "/"), canonicalQuery(r.URL.Query()),
		canonicalHeaders(r, sig.additional), strings.Join(sig.additional, ";"), "UNSIGNED-PAYLOAD",
	}, "\n")
	hash := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{
		"OSS4-HMAC-SHA256", sig.made.Format(timeFormat),
		sig.day + "/" + sig.region + "/oss/aliyun_v4_request", hex.EncodeToString(hash[:]),
	}, "\n")
	key := []byte("aliyun_v4" + s.Secret)
	for _, part := range []string{sig.day, sig.region, "oss", "aliyun_v4_request"} {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func canonicalQuery(q url.Values) string {
	q.Del("x-oss-signature")
	var parts []string
	for name := range q {
		part := escape(name, "")
		if v := q.Get(name); v != "" {
			part += "=" + escape(v, "")
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}

func canonicalHeaders(r *http.Request, additional []string) string {
	var lines []string
	for name, values := range r.Header {
		low := strings.ToLower(name)
		if low == "content-type" || low == "content-md5" || strings.HasPrefix(low, "x-oss-") || slices.Contains(additional, low) {
			lines = append(lines, low+":"+strings.TrimSpace(strings.Join(values, ","))+"\n")
		}
	}
	if slices.Contains(additional, "content-length") && r.Header.Get("Content-Length") == "" {
		lines = append(lines, fmt.Sprintf("content-length:%d\n", r.ContentLength)) // net/http takes it out of Header
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func escape(s, keep string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~"+keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
