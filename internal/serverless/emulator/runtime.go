package emulator

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// streamType is the content type of a streamed reply (aws-lambda-go,
// APIGatewayProxyStreamingResponse.ContentType).
const streamType = "application/vnd.awslambda.http-integration-response"

// Prelude is the head of a streamed reply.
type Prelude struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Cookies           []string            `json:"cookies"`
}

// Reply is what a function answered.
type Reply struct {
	ContentType string
	Prelude     *Prelude      // of a streamed reply, else nil
	Body        io.ReadCloser // a streamed one arrives as it is written; reading ends with a *FunctionError if the function broke it off
}

// invocation is one event on its way.
type invocation struct {
	id     string
	event  []byte
	header http.Header   // of the reply to "next"
	reply  chan *Reply   // buffered: one
	failed chan error    // buffered: one
	done   chan struct{} // closed by finish
	finish func()        // the function's POST was read to its end, or never will be
}

// runtimeAPI is the server side of a runtime API, Lambda's or FC's: they
// differ in the version in the path, in header names and in the status of an
// accepted reply.
type runtimeAPI struct {
	*Instance
	opts    Options
	server  *http.Server
	addr    string
	pending chan *invocation
	mu      sync.Mutex
	running map[string]*invocation
	seq     atomic.Int64
	active  int // invocations under way, by mu as is whether the process is frozen

	version  string // "2018-06-01" or "2020-11-11"
	accepted int    // 202 or 200
	idHeader string
}

// listen starts the HTTP side.
func (a *runtimeAPI) listen(ctx context.Context, mux *http.ServeMux) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the runtime API: %w", err)
	}
	a.addr = ln.Addr().String()
	a.pending = make(chan *invocation)
	a.running = map[string]*invocation{}
	a.Instance = newInstance()
	base := "/" + a.version + "/runtime/"
	mux.HandleFunc("GET "+base+"invocation/next", a.next)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", a.response)
	mux.HandleFunc("POST "+base+"invocation/{id}/error", a.failure)
	mux.HandleFunc("POST "+base+"init/error", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(a.accepted)
	})
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = a.server.Serve(ln) }() // ends at Close
	return nil
}

// next gives the process its next event; it blocks until there is one.
func (a *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	a.rest()
	select {
	case inv := <-a.pending:
		a.mu.Lock()
		a.running[inv.id] = inv
		a.mu.Unlock()
		maps.Copy(w.Header(), inv.header)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(inv.event)
	case <-r.Context().Done():
	case <-a.exited:
	}
}

// rest freezes the process while nothing is under way. Looking and stopping are
// one step: an invocation that came between them would wait for ever.
func (a *runtimeAPI) rest() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opts.Freeze && a.active == 0 && a.seq.Load() > 0 {
		a.Freeze()
	}
}

// take removes a running invocation.
func (a *runtimeAPI) take(w http.ResponseWriter, r *http.Request) *invocation {
	a.mu.Lock()
	defer a.mu.Unlock()
	inv := a.running[r.PathValue("id")]
	if inv == nil {
		http.Error(w, "no such invocation", http.StatusBadRequest)
		return nil
	}
	delete(a.running, inv.id)
	return inv
}

func (a *runtimeAPI) response(w http.ResponseWriter, r *http.Request) {
	inv := a.take(w, r)
	if inv == nil {
		return
	}
	defer inv.finish()
	rep := &Reply{ContentType: r.Header.Get("Content-Type")}
	if rep.ContentType != streamType {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = trailerError(r.Trailer)
		}
		if err != nil {
			inv.failed <- fmt.Errorf("read reply: %w", err)
			w.WriteHeader(a.accepted)
			return
		}
		rep.Body = io.NopCloser(bytes.NewReader(b))
		inv.reply <- rep
		w.WriteHeader(a.accepted)
		return
	}
	body := bufio.NewReader(r.Body)
	p, err := readPrelude(body)
	if err != nil {
		inv.failed <- err
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	rep.Prelude = p
	pr, pw := io.Pipe()
	rep.Body = pr
	inv.reply <- rep
	_, err = io.Copy(pw, body)
	if errors.Is(err, io.ErrClosedPipe) { // our client left; the function does not learn that
		_, err = io.Copy(io.Discard, body)
	}
	if err == nil {
		err = trailerError(r.Trailer)
	}
	_ = pw.CloseWithError(err)
	w.WriteHeader(a.accepted)
}

// readPrelude reads the JSON head and the eight NUL bytes after it.
func readPrelude(r *bufio.Reader) (*Prelude, error) {
	var head []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("stream ended in its prelude %q: %w", head, err)
		}
		if b == 0 {
			break
		}
		head = append(head, b)
		if len(head) > 16<<10 { // API Gateway's limit, see package aws
			return nil, errors.New("prelude is over 16 KB")
		}
	}
	for range 7 {
		if b, err := r.ReadByte(); err != nil || b != 0 {
			return nil, errors.New("prelude is not followed by eight NUL bytes")
		}
	}
	var p Prelude
	if err := json.Unmarshal(head, &p); err != nil {
		return nil, fmt.Errorf("prelude %q: %w", head, err)
	}
	if p.StatusCode == 0 {
		p.StatusCode = http.StatusOK
	}
	return &p, nil
}

// trailerError is the error that the function sent after its body.
func trailerError(t http.Header) error {
	typ := t.Get("Lambda-Runtime-Function-Error-Type")
	if typ == "" {
		return nil
	}
	e := &FunctionError{Type: typ}
	if b, err := base64.StdEncoding.DecodeString(t.Get("Lambda-Runtime-Function-Error-Body")); err == nil {
		_ = json.Unmarshal(b, e)
	}
	return e
}

func (a *runtimeAPI) failure(w http.ResponseWriter, r *http.Request) {
	inv := a.take(w, r)
	if inv == nil {
		return
	}
	defer inv.finish()
	e := &FunctionError{}
	if err := json.NewDecoder(r.Body).Decode(e); err != nil {
		e.Message = "an error that is no JSON: " + err.Error()
	}
	inv.failed <- e
	w.WriteHeader(a.accepted)
}

// invoke sends one event and waits for the beginning of its reply.
func (a *runtimeAPI) invoke(ctx context.Context, event []byte, header http.Header) (*Reply, error) {
	inv := &invocation{
		id: "req-" + strconv.FormatInt(a.seq.Add(1), 10), event: event, header: header,
		reply: make(chan *Reply, 1), failed: make(chan error, 1), done: make(chan struct{}),
	}
	inv.finish = sync.OnceFunc(func() {
		a.mu.Lock()
		a.active--
		a.mu.Unlock()
		close(inv.done)
	})
	header.Set(a.idHeader, inv.id)
	a.mu.Lock()
	a.active++
	if a.opts.Freeze {
		a.Thaw()
	}
	a.mu.Unlock()
	go a.watch(inv)
	select {
	case a.pending <- inv:
	case <-a.exited:
		return nil, a.gone()
	case <-ctx.Done():
		inv.finish()
		return nil, ctx.Err()
	}
	select {
	case rep := <-inv.reply:
		return rep, nil
	case err := <-inv.failed:
		return nil, err
	case <-a.exited:
		return nil, a.gone()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// watch kills the instance at the end of the function's timeout: the
// platform's own, whatever deadline the event named.
func (a *runtimeAPI) watch(inv *invocation) {
	defer inv.finish()
	kill := time.NewTimer(a.opts.timeout() + 100*time.Millisecond)
	defer kill.Stop()
	select {
	case <-inv.done:
	case <-a.exited:
	case <-kill.C:
		a.Kill()
	}
}

func (a *runtimeAPI) gone() error {
	return fmt.Errorf("%w (%w): %s", ErrExited, a.waitErr, lastLines(a.Output()))
}

func lastLines(s string) string {
	const most = 600
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}

// Close kills the process and stops the server.
func (a *runtimeAPI) Close() {
	a.Kill()
	_ = a.server.Close()
}

// Whole reads a reply to its end.
func (r *Reply) Whole() ([]byte, error) {
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}
