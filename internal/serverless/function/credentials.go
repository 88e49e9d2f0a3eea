package function

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Triple is one set of temporary credentials of Function Compute's role.
type Triple struct{ AccessKeyID, AccessKeySecret, SecurityToken string }

// whole reports whether t can sign a request.
func (t Triple) whole() bool {
	return t.AccessKeyID != "" && t.AccessKeySecret != "" && t.SecurityToken != ""
}

// Credentials holds the newest triple. FC sends one with every request and
// renews them long before they expire, so the newest is the best; one that
// was read from the environment at start goes stale. The zero value is empty.
type Credentials struct {
	mu  sync.RWMutex
	cur Triple
}

// Offer keeps t as the newest triple; an incomplete one is ignored.
func (c *Credentials) Offer(t Triple) {
	if c == nil || !t.whole() {
		return
	}
	c.mu.RLock()
	same := c.cur == t
	c.mu.RUnlock()
	if same {
		return
	}
	c.mu.Lock()
	c.cur = t
	c.mu.Unlock()
}

// Get returns the newest triple, or an Unavailable error while none was seen.
func (c *Credentials) Get(context.Context) (Triple, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.cur.whole() {
		return Triple{}, kb.E(kb.Unavailable, nil, "the platform sent no credentials: give the function a role (s.yaml: role)")
	}
	return c.cur, nil
}

// freshFor is how long a triple is used before Keys is asked again: 5 minutes
// more than a client of OSS asks early, so about once a minute.
const freshFor = 6 * time.Minute

// Keys is Get in the form that package storage asks for.
func (c *Credentials) Keys(ctx context.Context) (key, secret, token string, expires time.Time, err error) {
	t, err := c.Get(ctx)
	return t.AccessKeyID, t.AccessKeySecret, t.SecurityToken, time.Now().Add(freshFor), err
}

// TakeTriple returns the STS triple of the headers that FC adds to a request
// of a custom runtime. Those in a go1 event's own headers are a client's.
func TakeTriple(h http.Header) Triple {
	return Triple{
		AccessKeyID:     h.Get("X-Fc-Access-Key-Id"),
		AccessKeySecret: h.Get("X-Fc-Access-Key-Secret"),
		SecurityToken:   h.Get("X-Fc-Security-Token"),
	}
}

// platformPrefixes start the headers that only a platform or an adapter may
// set; a client that sends one is lying, and FC's own carry secrets.
var platformPrefixes = []string{
	"X-Fc-",                // Function Compute: credentials and control path
	"X-Golambdaproxy-",     // aws-lambda-go-api-proxy: request context as JSON
	"X-Amzn-Request-",      // Lambda Web Adapter: x-amzn-request-context
	"X-Amzn-Lambda-",       // Lambda Web Adapter: x-amzn-lambda-context
	"Lambda-Runtime-",      // Lambda runtime API
	"X-Apigateway-Event",   // older adapters
	"X-Apigateway-Context", // older adapters
}

// Clean removes from h what no client may say; adapters call it before a
// handler, a log or a trace can see the request.
func Clean(h http.Header) {
	for k := range h {
		ck := http.CanonicalHeaderKey(k)
		for _, p := range platformPrefixes {
			if strings.HasPrefix(ck, p) {
				delete(h, k)
				break
			}
		}
	}
}

// LastForwarded is the address that the platform's own gateway appended to
// X-Forwarded-For, "" without one; those before it are the client's word.
func LastForwarded(h http.Header) string {
	vs := h.Values("X-Forwarded-For")
	if len(vs) == 0 {
		return ""
	}
	last := vs[len(vs)-1]
	if i := strings.LastIndexByte(last, ','); i >= 0 {
		last = last[i+1:]
	}
	last = strings.TrimSpace(last)
	if host, _, err := net.SplitHostPort(last); err == nil { // client port preservation is on
		return host
	}
	return last
}
