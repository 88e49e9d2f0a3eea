package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

var tokenTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// jwt signs a token as a tenant's site would.
func jwt(head, claims, secret string) string {
	enc := base64.RawURLEncoding
	message := enc.EncodeToString([]byte(head)) + "." + enc.EncodeToString([]byte(claims))
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(message))
	return message + "." + enc.EncodeToString(h.Sum(nil))
}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

func TestUserTokens(t *testing.T) {
	t.Parallel()
	exp := tokenTime.Add(time.Hour).Unix()
	good := fmt.Sprintf(`{"sub":"u1","tenant":"shop","exp":%d}`, exp)
	secrets := []UserSecret{{ID: "new", Secret: "s-new"}, {ID: "old", Secret: "s-old", Expires: tokenTime.Add(time.Minute)}, {ID: "gone", Secret: "s-gone", Expires: tokenTime}, {ID: "empty"}}
	ok := jwt(hs256, good, "s-new")
	for name, tt := range map[string]struct{ token, want string }{
		"signed by the newest":        {ok, ""},
		"signed by one that overlaps": {jwt(hs256, good, "s-old"), ""},
		"naming its key":              {jwt(`{"alg":"HS256","kid":"old"}`, good, "s-old"), ""},
		"issued a few seconds ahead":  {jwt(hs256, fmt.Sprintf(`{"sub":"u1","tenant":"shop","exp":%d,"iat":%d}`, exp, tokenTime.Unix()+30), "s-new"), ""},
		"signed by one that is over":  {jwt(hs256, good, "s-gone"), "signature"},
		"signed by nothing":           {jwt(hs256, good, ""), "signature"},
		"signed by a foreign secret":  {jwt(hs256, good, "other"), "signature"},
		"naming another key":          {jwt(`{"alg":"HS256","kid":"old"}`, good, "s-new"), "signature"},
		"without a signature":         {strings.Join(strings.Split(ok, ".")[:2], ".") + ".", "signature"},
		"changed claims":              {strings.Split(ok, ".")[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(good, "u1", "u2", 1))) + "." + strings.Split(ok, ".")[2], "signature"},
		"alg none":                    {jwt(`{"alg":"none"}`, good, "s-new"), "HS256"},
		"alg in another case":         {jwt(`{"alg":"hs256"}`, good, "s-new"), "HS256"},
		"alg HS512":                   {jwt(`{"alg":"HS512"}`, good, "s-new"), "HS256"},
		"a critical extension":        {jwt(`{"alg":"HS256","crit":["b64"]}`, good, "s-new"), "header"},
		"alg twice":                   {jwt(`{"alg":"none","Alg":"HS256"}`, good, "s-new"), "header"},
		"of another tenant":           {jwt(hs256, strings.Replace(good, "shop", "rival", 1), "s-new"), "tenant"},
		"without a tenant":            {jwt(hs256, fmt.Sprintf(`{"sub":"u1","exp":%d}`, exp), "s-new"), "tenant"},
		"expired":                     {jwt(hs256, fmt.Sprintf(`{"sub":"u1","tenant":"shop","exp":%d}`, tokenTime.Unix()), "s-new"), "expired"},
		"without an end":              {jwt(hs256, `{"sub":"u1","tenant":"shop"}`, "s-new"), "exp"},
		"an end that is null":         {jwt(hs256, `{"sub":"u1","tenant":"shop","exp":null}`, "s-new"), "exp"},
		"an end that is text":         {jwt(hs256, `{"sub":"u1","tenant":"shop","exp":"9999999999"}`, "s-new"), "claims"},
		"not yet valid":               {jwt(hs256, fmt.Sprintf(`{"sub":"u1","tenant":"shop","exp":%d,"nbf":%d}`, exp, tokenTime.Unix()+300), "s-new"), "yet"},
		"without a user":              {jwt(hs256, fmt.Sprintf(`{"tenant":"shop","exp":%d}`, exp), "s-new"), "sub"},
		"a user that is a number":     {jwt(hs256, fmt.Sprintf(`{"sub":1,"tenant":"shop","exp":%d}`, exp), "s-new"), "claims"},
		"a second user":               {jwt(hs256, fmt.Sprintf(`{"sub":"u1","Sub":"u2","tenant":"shop","exp":%d}`, exp), "s-new"), "claims"},
		"two values":                  {jwt(hs256, good+good, "s-new"), "claims"},
		"a list":                      {jwt(hs256, `["u1"]`, "s-new"), "claims"},
		"padded":                      {ok + "=", "signature"},
		"no token at all":             {"hello", "three parts"},
		"a very long one":             {strings.Repeat("a", 5000), "longer"},
	} {
		user, err := VerifyUserToken(tt.token, "shop", secrets, tokenTime)
		if tt.want == "" {
			if err != nil || user != "u1" {
				t.Errorf("%s: %q, %v", name, user, err)
			}
			continue
		}
		if user != "" || kb.KindOf(err) != kb.Unauthenticated || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q, %v; want it refused for its %s", name, user, err, tt.want)
		}
	}
}

func TestSecretsOverlapWhenTheyRotate(t *testing.T) {
	t.Parallel()
	first := RotateUserSecrets(nil, UserSecret{ID: "a", Secret: "1", Created: tokenTime}, time.Hour)
	second := RotateUserSecrets(first, UserSecret{ID: "b", Secret: "2", Created: tokenTime.Add(time.Hour)}, 30*time.Minute)
	if len(second) != 2 || second[0].ID != "b" || !second[0].Expires.IsZero() || !second[1].Expires.Equal(tokenTime.Add(90*time.Minute)) {
		t.Errorf("second = %+v", second)
	}
	if at := RotateUserSecrets(second, UserSecret{ID: "c", Created: tokenTime.Add(time.Hour)}, 0); len(at) != 1 {
		t.Errorf("without overlap %d secrets go on", len(at)-1)
	}
}

func FuzzVerifyUserToken(f *testing.F) {
	f.Add(jwt(hs256, `{"sub":"u1","tenant":"shop","exp":9999999999}`, "s"))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		user, err := VerifyUserToken(token, "shop", []UserSecret{{Secret: "unknown to the fuzzer"}}, tokenTime)
		if err == nil || user != "" {
			t.Errorf("%q vouches for %q", token, user)
		}
	})
}
