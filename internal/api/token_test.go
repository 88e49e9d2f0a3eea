package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// sign makes an X-User-Token as a tenant's site would.
func sign(claims, secret string) string {
	enc := base64.RawURLEncoding
	message := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString([]byte(claims))
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(message))
	return message + "." + enc.EncodeToString(h.Sum(nil))
}
