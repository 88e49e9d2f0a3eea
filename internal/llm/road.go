package llm

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// road is the HTTP transport all endpoints of a client share.
type road struct {
	tripper  func() http.RoundTripper // made on first use
	straight http.RoundTripper        // of streams over plain HTTP; nil where a proxy is in the way
}

// of is the road of a request.
func (r *road) of(req *http.Request, streams bool) http.RoundTripper {
	if streams && req.URL.Scheme == "http" && r.straight != nil && isASCII(req.URL.Host) {
		return r.straight
	}
	return r.tripper()
}

// isASCII reports whether a host is asked for as it is written.
func isASCII(host string) bool {
	return !strings.ContainsFunc(host, func(c rune) bool { return c > unicode.MaxASCII })
}

// maxHead bounds the head of an answer.
const maxHead = 64 << 10

// connBuffer is what a connection holds for reading and for writing: a head, or
// a chunk of a token. What is larger (prompts, vectors) does not pass through it
// but is read and written at once.
const connBuffer = 512

// newRoad checks the proxy; the transport comes later. The proxy is the
// configured one or none: only package config reads the environment.
func newRoad(cfg Config) (*road, error) {
	var proxy func(*http.Request) (*url.URL, error)
	if cfg.Proxy != "" {
		u, err := parseProxy(cfg.Proxy)
		if err != nil {
			return nil, err
		}
		proxy = http.ProxyURL(u)
	}
	dial := (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	r := &road{tripper: sync.OnceValue(func() http.RoundTripper {
		return &http.Transport{
			Proxy:                  proxy,
			DialContext:            dial,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    64,               // as many as calls at once
			IdleConnTimeout:        50 * time.Second, // under the 60 s after which load balancers drop silent connections
			TLSHandshakeTimeout:    5 * time.Second,
			ReadBufferSize:         connBuffer,
			WriteBufferSize:        connBuffer,
			MaxResponseHeaderBytes: maxHead,
			// All streams share one HTTP/2 connection; a dead one must not take them
			// along for longer than a chunk may take.
			HTTP2:              &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
			DisableCompression: true, // bounds on bodies hold for the bytes on the wire, and chunks are not held back
		}
	})}
	if proxy == nil {
		r.straight = straight(dial)
	}
	return r, nil
}

// call is what the road must know of a call. It travels in the request's
// context because a client library lies between who makes the call and the
// RoundTripper that carries it out.
type call struct {
	op      Op
	model   string
	tenant  kb.TenantID
	tokens  int  // estimated, in and out
	streams bool // the answer is an event stream
	bulk    bool
	held    bool // who made it ends its stream, whatever happens
	retries int
	sink    func(Usage)
	maxBody int64 // of a whole answer

	start  time.Time
	queued time.Duration
	sent   int

	stream *streamBody // once it has begun

	usage atomic.Pointer[Usage] // once it has ended
}

// patience is how long a call waits for a provider that named a time: someone
// in front of a screen gets quotes sooner than that, ingestion can wait out a
// minute limit.
func (k *call) patience() time.Duration {
	if k.bulk {
		return 60 * time.Second
	}
	return 8 * time.Second
}

// spent returns the call's accounting; complete once it has ended.
func (k *call) spent() Usage {
	if u := k.usage.Load(); u != nil {
		return *u
	}
	return Usage{}
}

// end closes the call's stream, if it has one, wherever it was left, and
// returns when its usage was told.
func (k *call) end() {
	if k.stream != nil {
		_ = k.stream.Close()
	}
}

type callKey struct{}

func withCall(ctx context.Context, k *call) context.Context {
	k.start = time.Now()
	return context.WithValue(ctx, callKey{}, k)
}

func callOf(ctx context.Context) *call {
	k, _ := ctx.Value(callKey{}).(*call)
	return k
}
