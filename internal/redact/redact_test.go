package redact

import (
	"strings"
	"testing"
	"time"
)

func TestString(t *testing.T) {
	t.Parallel()
	r := New([]string{"customer-name", "id_card"}, []string{"literal-secret", "literal-secret-longer", "short"})
	tests := []struct{ name, in, want string }{
		{"nothing to hide", "document stored", "document stored"},
		{"an empty line", "", ""},
		{"Chinese without numbers", "文档已保存：第 3 章", "文档已保存：第 3 章"},

		{"a literal secret", "x literal-secret y", "x [redacted] y"},
		{"of two literals the longer one", "literal-secret-longer!", "[redacted]!"},
		{"a literal inside a word", "key=xliteral-secretz", "key=x[redacted]z"},
		{"short literals are left", "short", "short"},

		{"a mobile number", "call 13800138000 now", "call [redacted] now"},
		{"after Chinese", "手机13800138000。", "手机[redacted]。"},
		{"with groups", "138-0013-8000, 138 0013 8000", "[redacted], [redacted]"},
		{"with a country code", "8613800138000 and 86-13800138000 and 0086 no 008613800138000", "[redacted] and [redacted] and 0086 no [redacted]"},
		{"international", "+86 138 0013 8000; +14155552671; +1 415-555-2671.", "[redacted]; [redacted]; [redacted]."},
		{"a landline", "010-12345678 or 0571 87654321 or 0571-8765432", "[redacted] or [redacted] or [redacted]"},
		{"at the end and in brackets", "(13800138000)", "([redacted])"},
		{"no mobile number: too long, too short, other beginnings", "138001380001 1380013800 12800138000 23800138000", "138001380001 1380013800 12800138000 23800138000"},
		{"no mobile number: part of a word", "a13800138000 13800138000b id_13800138000", "a13800138000 13800138000b id_13800138000"},
		{"no number: decimals", "0.13800138000 1.13800138000", "0.13800138000 1.13800138000"},
		{"no number: times and ids", "1763881200000 2026-11-23T06:14:00.123456789+08:00 550e8400-e29b-41d4-a716-446655440000", "1763881200000 2026-11-23T06:14:00.123456789+08:00 550e8400-e29b-41d4-a716-446655440000"},
		{"no number: a time as Go prints it", "2026-11-23 06:14:00.1 +0800 CST m=+0.000012345", "2026-11-23 06:14:00.1 +0800 CST m=+0.000012345"},
		{"no number: addresses and sizes", "127.0.0.1:8080 10485760 192.168.100.200", "127.0.0.1:8080 10485760 192.168.100.200"},

		{"an identity card", "11010519491231002X 440308199901010012", "[redacted] [redacted]"},
		{"an identity card of the old form", "130503670401001", "[redacted]"},
		{"no identity card: no date", "110105194913310021 123456789012345678", "110105194913310021 123456789012345678"},
		{"no identity card: a time in nanoseconds", "1763881200000000000", "1763881200000000000"},

		{"an address", "mail li.lei+x@example.com.", "mail [redacted]."},
		{"an address in brackets", "<a@b.cn>", "<[redacted]>"},
		{"no address", "a@b @x.com 5@ user@host", "a@b @x.com 5@ user@host"},

		{"a bearer token", "Authorization: Bearer abc.def-ghi_jkl", "Authorization: [redacted]"},
		{"a bearer token alone", "got bearer abcdefgh12, fine", "got bearer [redacted], fine"},
		{"basic credentials", "Basic dXNlcjpwYXNz==", "Basic [redacted]"},
		{"no credentials", "basic search, bearer of news", "basic search, bearer of news"},
		{"a model key", "using sk-0123456789abcdef0123", "using [redacted]"},
		{"no model key", "sk-learn task-0123456789abcdef0123", "sk-learn task-0123456789abcdef0123"},
		{"access keys", "AKIAIOSFODNN7EXAMPLE ASIAIOSFODNN7EXAMPLE LTAI5tAbCdEfGh12 STS.NUabcdefghijk", "[redacted] [redacted] [redacted] [redacted]"},
		{"a JSON Web Token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_ x", "[redacted] x"},
		{"a key in PEM", "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----[redacted]-----END EC PRIVATE KEY-----"},
		{"half a key in PEM", "-----BEGIN PRIVATE KEY-----\nMHcC", "-----BEGIN PRIVATE KEY-----[redacted]"},
		{"a certificate is public", "-----BEGIN CERTIFICATE-----\nMIIB", "-----BEGIN CERTIFICATE-----\nMIIB"},

		{"name=value", "a=1 password=hunter b=2", "a=1 password=[redacted] b=2"},
		{"a query", "/x?doc=1&sig=abc&X-Amz-Signature=00ff&X-Amz-Credential=A%2Fb&v=2", "/x?doc=1&sig=[redacted]&X-Amz-Signature=[redacted]&X-Amz-Credential=[redacted]&v=2"},
		{"JSON", `{"password": "a\"b","user":"u","api_key":"k"}`, `{"password": "[redacted]","user":"u","api_key":"[redacted]"}`},
		{"JSON in JSON", `{"body":"{\"apiKey\":\"k\",\"n\":1}"}`, `{"body":"{\"apiKey\":\"[redacted]\",\"n\":1}"}`},
		{"JSON numbers", `{"phone":5551234,"n":1}`, `{"phone":[redacted],"n":1}`},
		{"a struct as Go prints it", "{Password:hunter Name:x}", "{Password:[redacted] Name:x}"},
		{"a header map as Go prints it", "map[Authorization:[Bearer a b] X-N:[1]]", "map[Authorization:[[redacted]] X-N:[1]]"},
		{"headers of Function Compute", "X-Fc-Access-Key-Id: STS.x1\nx-fc-access-key-secret: 1abc\nx-fc-security-token: 9f==\nx-n: 1", "X-Fc-Access-Key-Id: [redacted]\nx-fc-access-key-secret: [redacted]\nx-fc-security-token: [redacted]\nx-n: 1"},
		{"cookies", "Cookie: a=1; b=2\r\nHost: h", "Cookie: [redacted]\r\nHost: h"},
		{"a signature of AWS", "AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host, Signature=00ff", "AWS4-HMAC-SHA256 Credential=[redacted], SignedHeaders=host, Signature=[redacted]"},
		{"a password that is a word", "password: correct", "password: [redacted]"},
		{"an error about a token", "verify token: expired", "verify token: expired"},
		{"an error about a signature", "check signature: mismatch of lengths", "check signature: mismatch of lengths"},
		{"a named field", "Customer-Name=Li customer_name=Li CustomerName=Li", "Customer-Name=[redacted] customer_name=[redacted] CustomerName=[redacted]"},
		{"counts are no tokens", "tokens=12 prompt_tokens=5", "tokens=12 prompt_tokens=5"},
		{"a name without a value", "password=", "password="},
		{"an empty value", `password="" x`, `password="" x`},
		{"a literal inside a named value", "token=aliteral-secretb c", "token=[redacted] c"},
		{"what is hidden stays hidden once", "token=[redacted] password: [redacted]", "token=[redacted] password: [redacted]"},

		{"a password in an address", "dial redis://u:p%40ss@h:6379/0", "dial redis://u:[redacted]@h:6379/0"},
		{"a token in an address", "https://tok@host/x", "https://[redacted]@host/x"},
		{"an address without a password", "https://host:8080/a@b", "https://host:8080/a@b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := r.String(tt.in)
			if got != tt.want {
				t.Errorf("String(%q)\n = %q\nwant %q", tt.in, got, tt.want)
			}
			if again := r.String(got); again != got {
				t.Errorf("redacted twice: %q, then %q", got, again)
			}
		})
	}
}

// FuzzString plants a secret of each kind in any text, set off from it, and
// looks for it in what comes out.
func FuzzString(f *testing.F) {
	for _, s := range []string{
		"", "a", "token=", "password: \"", "\\\\\"", "138", "+86 ", "86-", "0571-", "@", "://u:", "Bearer ", "eyJ", "-----BEGIN PRIVATE KEY", "中文",
		"map[Authorization:[", "a=b&c=d", "\xff\xfe", "[redacted]", "token=[redacted", "x-cookie: ", "sig=[redacted][redacted]", "0 +00000000",
	} {
		f.Add(s, s)
	}
	const literal = "literal-secret"
	r := New(nil, []string{literal})
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, secret := range []string{literal, "13800138000", "11010519491231002X", "sk-0123456789abcdef", "AKIAIOSFODNN7EXAMPLE"} {
			got := r.String(before + "\n" + secret + "\n" + after)
			if strings.Contains(got, secret) && !strings.Contains(before+after, secret) {
				t.Errorf("%q shows in %q", secret, got)
			}
		}
		got := r.String(before + after)
		if again := r.String(got); again != got {
			t.Errorf("%q\nonce  %q\ntwice %q", before+after, got, again)
		}
		if len(after) > 0 && !strings.ContainsAny(after, `"\`) {
			if got := r.String(`{"n":1,"password": "` + after + `"}`); got != `{"n":1,"password": "[redacted]"}` {
				t.Errorf("password %q shows in %q", after, got)
			}
		}
	})
}

// TestTimeGrowsWithTheLength: text of a caller's choice reaches the log, so no
// piece of it may be looked at again and again. Quadratic time would be a
// minute here.
func TestTimeGrowsWithTheLength(t *testing.T) {
	t.Parallel()
	r := New(nil, []string{"literal-secret"})
	for _, piece := range []string{
		"token=a ", "token=[", "token=\"", "password: ", "eyJ-", "sk-", "-----BEGIN ", "-----BEGIN PRIVATE KEY", "://", "://a:", "a@", "@a.", "1-", "+1 ",
		"138 0013 ", "Bearer ", "[redacted]", "token=[redacted]", "token=\\", "map[cookie:[", "86 ", "a=", "中", "=", ": ",
	} {
		start := time.Now()
		r.String(strings.Repeat(piece, 1<<20/len(piece)))
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("1 MiB of %q took %v", piece, took)
		}
	}
}

// The line of an access log, with and without something to hide: under a
// microsecond and no allocation without.
func BenchmarkString(b *testing.B) {
	r := New([]string{"password", "id_card", "phone", "mobile"}, []string{"prod-key-0123456789", "sk-0123456789abcdef", "root-key-0123456789"})
	for name, line := range map[string]string{
		"clean":    "request method=POST route=/chat status=200 duration_ms=1.234 tenant=default trace_id=550e8400e29b41d4a716446655440000",
		"secret":   "request method=POST route=/chat status=401 authorization=Bearer-x tenant=default phone 13800138000 x@example.com",
		"chinese":  "文档《售后服务政策》已经保存，共 128 段，用时 35 毫秒，租户 default，编号 d-20261123-0001",
		"message":  "answer streamed",
		"kilobyte": strings.Repeat("commit 42 of default: put t/default/0001/0000/0000000000000001-0000000000000001.ltx; ", 12),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				r.String(line)
			}
		})
	}
}
