package e2e

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bomb is a DOCX whose document unpacks to size bytes of blanks.
func bomb(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, body := range map[string]string{
		"[Content_Types].xml": `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`,
		"word/document.xml":   `<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>`,
	} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
		if name == "word/document.xml" {
			blank := bytes.Repeat([]byte(" "), 1<<20)
			for n := 0; n < size; n += len(blank) {
				if _, err := w.Write(blank); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBadInputIsRefusedClearlyAndTheServerGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "TENANTS_SAMPLE=off")
	big := bytes.Repeat([]byte("a"), 11<<20)
	encrypted := []byte("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n3 0 obj<</Filter/Standard/V 2/R 3/Length 128/P -4/O(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)/U(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)>>endobj\nxref\n0 4\n0000000000 65535 f \n0000000009 00000 n \n0000000052 00000 n \n0000000095 00000 n \ntrailer<</Size 4/Root 1 0 R/Encrypt 3 0 R/ID[(a)(a)]>>\nstartxref\n230\n%%EOF\n")
	for _, tt := range []struct {
		name   string
		file   string
		data   []byte
		status int
		says   string
	}{
		{"an empty file", "a.md", nil, 400, "no text"},
		{"blanks only", "a.md", []byte(" \n\t\n"), 400, "no text"},
		{"a file over the limit", "a.md", big, 413, "10 MiB"},
		{"a picture", "a.png", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), 415, "Markdown"},
		{"a broken PDF", "a.pdf", []byte("%PDF-1.7\n%broken\n1 0 obj\n<<"), 422, "PDF"},
		{"an encrypted PDF", "a.pdf", encrypted, 422, ""},
		{"a DOCX that is a zip bomb", "a.docx", bomb(t, 300<<20), 422, ""},
		{"a DOCX that is none", "a.docx", []byte("PK\x03\x04 not really"), 422, ""},
		{"text that is no text", "a.txt", []byte("abc \xff\xff\xff\xff\x80\x80 def"), 422, ""},
		{"a path out of the folder", "../../etc/passwd", []byte("some text"), 400, "name"},
		{"an absolute path", "/etc/passwd", []byte("some text"), 400, "name"},
	} {
		r := s.upload(tt.file, tt.data)
		if msg := r.message(); r.status != tt.status || !strings.Contains(msg, tt.says) {
			t.Errorf("%s: %d %s, want %d with %q", tt.name, r.status, msg, tt.status, tt.says)
		}
	}
	for _, tt := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		says                     string
	}{
		{"an unknown field", "POST", "/chat", `{"query":"a","qurey":"b"}`, nil, 400, "qurey"},
		{"a field of a wrong type", "POST", "/chat", `{"query":7}`, nil, 400, "query"},
		{"no JSON", "POST", "/chat", `hello`, nil, 400, "JSON"},
		{"an empty body", "POST", "/chat", ``, nil, 400, "empty"},
		{"an empty question", "POST", "/chat", `{"query":"  "}`, nil, 400, "query"},
		{"two values", "POST", "/chat", `{"query":"a"}{"query":"b"}`, nil, 400, "one JSON object"},
		{"a question that is a book", "POST", "/chat", `{"query":"` + strings.Repeat("a", 5000) + `"}`, nil, 400, "4000"},
		{"a huge JSON body", "POST", "/chat", `{"query":"` + strings.Repeat("a", 2<<20) + `"}`, nil, 413, "1 MiB"},
		{"invalid UTF-8", "POST", "/api/v1/documents", "{\"title\":\"a\",\"text\":\"\"}", []string{"X-API-Key", s.key}, 400, "text"},
		{"metadata that nests", "POST", "/api/v1/documents", `{"title":"a","text":"b","metadata":{"x":{}}}`, []string{"X-API-Key", s.key}, 400, "metadata.x"},
		{"a wrong method", "PUT", "/chat", ``, nil, 405, "POST"},
		{"a wrong method of a document", "PATCH", "/api/v1/documents/x", ``, nil, 405, "DELETE"},
		{"an unknown path", "GET", "/api/v2/x", ``, nil, 404, "openapi"},
		{"an unknown document", "GET", "/api/v1/documents/x", ``, []string{"X-API-Key", s.key}, 404, "x"},
		{"a wrong limit", "GET", "/api/v1/documents?limit=0", ``, []string{"X-API-Key", s.key}, 400, "limit"},
		{"a tenant that is no name", "POST", "/chat", `{"query":"a"}`, []string{"X-API-Key", s.key, "X-Tenant-ID", "../x"}, 400, "tenant_id"},
		{"a wrong key", "POST", "/chat", `{"query":"a"}`, []string{"X-API-Key", "wrong"}, 401, "unknown"},
		{"a session id that is none", "POST", "/chat", `{"query":"a","session_id":"a b"}`, nil, 400, "session_id"},
		{"a link that was changed", "GET", "/api/v1/sources/x?tenant=default&v=1&start=0&end=1&exp=9999999999&sig=AAAA", ``, nil, 403, "changed"},
	} {
		r := s.do(tt.method, tt.path, strings.NewReader(tt.body), tt.headers...)
		if msg := r.message(); r.status != tt.status || !strings.Contains(msg, tt.says) {
			t.Errorf("%s: %d %s, want %d with %q", tt.name, r.status, msg, tt.status, tt.says)
		}
	}
	if ds := s.documents(); len(ds) != 0 {
		t.Errorf("refused files left %+v", ds)
	}
	if r := s.do("GET", "/health/ready", nil); r.status != http.StatusOK {
		t.Errorf("afterwards the server is not ready: %d", r.status)
	}
}

func TestGBKTextIsRead(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "TENANTS_SAMPLE=off")
	// "北京门店的电话是四零零。" in GBK.
	gbk := []byte{0xb1, 0xb1, 0xbe, 0xa9, 0xc3, 0xc5, 0xb5, 0xea, 0xb5, 0xc4, 0xb5, 0xe7, 0xbb, 0xb0, 0xca, 0xc7, 0xcb, 0xc4, 0xc1, 0xe3, 0xc1, 0xe3, 0xa1, 0xa3}
	if r := s.upload("phone.txt", gbk); r.status != http.StatusAccepted {
		t.Fatalf("%d %s", r.status, r.body)
	}
	s.settled(10 * time.Second)
	if a := s.ask("北京门店的电话是什么？", ""); !strings.Contains(a.Answer, "四零零") {
		t.Errorf("%+v", a)
	}
}

func TestWithoutAKeyOnlyChatAndQuotesAreOpen(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "RATE_LIMIT_PUBLIC_PER_MINUTE=0")
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/api/v1/documents", 401},
		{"POST", "/api/v1/documents", 401},
		{"DELETE", "/api/v1/documents/x", 401},
		{"GET", "/api/v1/documents/x", 401},
		{"GET", "/api/v1/documents/x/chunks", 401},
		{"GET", "/api/v1/jobs/x", 401},
		{"GET", "/api/v1/missed-queries", 401},
		{"GET", "/chat?query=a&tenant=other", 401},
		{"GET", "/health", 200},
		{"GET", "/health/live", 200},
		{"GET", "/health/ready", 200},
		{"HEAD", "/health", 200},
		{"GET", "/openapi.json", 200},
		{"GET", "/", 200},
		{"GET", "/chat?query=hello", 200},
	} {
		if r := s.do(tt.method, tt.path, nil); r.status != tt.status {
			t.Errorf("%s %s: %d, want %d: %.200s", tt.method, tt.path, r.status, tt.status, r.body)
		}
	}
	r := s.json("POST", "/chat", map[string]string{"query": "hello", "tenant_id": "other"})
	if r.status != http.StatusUnauthorized {
		t.Errorf("another tenant in the body: %d %s", r.status, r.body)
	}
}

func TestNothingIsOpenInReleaseMode(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "SERVER_MODE=release", "SERVER_HOST=127.0.0.1", "API_KEY_1=0f5b8a2c6d7e4f1a9b3c5d7e9f1a2b3c")
	if r := s.json("POST", "/chat", map[string]string{"query": "hello"}); r.status != http.StatusUnauthorized {
		t.Errorf("chat without a key: %d %s", r.status, r.body)
	}
	if r := s.json("POST", "/chat", map[string]string{"query": "hello"}, "X-API-Key", "0f5b8a2c6d7e4f1a9b3c5d7e9f1a2b3c"); r.status != http.StatusOK && r.status != http.StatusNotFound {
		t.Errorf("chat with a key: %d %s", r.status, r.body)
	}
}

// TestAHugeBodyWithoutAKey measures what reading 64 MiB would cost: the answer
// comes before the body, and memory stays flat.
func TestAHugeBodyWithoutAKeyIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "TENANTS_SAMPLE=off")
	before := resident(t, s)
	began := time.Now()
	for range 5 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /api/v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 64<<20)
		head := make([]byte, 12)
		if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 401" {
			t.Errorf("answer %q, %v, want 401 before a byte of the body was sent", head, err)
		}
		_ = conn.Close()
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("five refusals took %s", took)
	}
	if after := resident(t, s); after > before+16<<20 {
		t.Errorf("memory grew from %d to %d MiB", before>>20, after>>20)
	}
}

// resident is the memory of the server in bytes.
func resident(t testing.TB, s *server) int64 {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	kb, err := strconv.ParseInt(regexp.MustCompile(`VmRSS:\s+(\d+)`).FindStringSubmatch(string(status))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
