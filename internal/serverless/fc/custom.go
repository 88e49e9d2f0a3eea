package fc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// Values of x-fc-control-path (Function Compute documentation, "custom runtime
// specification"). The URL's path decides nothing: an HTTP trigger's client
// may ask for /invoke.
const (
	controlInvoke = "/invoke"
	controlInit   = "/initialize"
	controlStop   = "/pre-stop"
)

// ServeCustom serves a web function on Config.Addr until ctx ends or SIGTERM
// comes, then lets requests under way finish for up to 10 s.
func (a *Adapter) ServeCustom(ctx context.Context) error {
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer cancel()
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", a.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen for function compute: %w", err)
	}
	srv := &http.Server{
		Handler: a.Handler(),
		// FC keeps connections and reuses them after any pause, so idle ones
		// are never closed from here ("principles": keep-alive must be on).
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10, // FC takes 8 KB from clients and adds its own
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve function compute: %w", err)
	case <-ctx.Done():
	}
	const drain = 10 * time.Second // FC kills an instance that has no request under way much sooner
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err = srv.Shutdown(end)
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	a.stop(end)
	return err
}

// Handler is the web function as an http.Handler: it takes FC's headers off,
// tells control requests from a client's, and bounds time and size.
func (a *Adapter) Handler() http.Handler {
	web := function.Recover(http.HandlerFunc(a.serveWeb), a.cfg.Log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := r.Header.Get("X-Fc-Control-Path")
		inv := function.Invocation{Platform: function.FCCustom, RequestID: r.Header.Get("X-Fc-Request-Id"), Kind: "fc_web", Streamed: true}
		a.cfg.Credentials.Offer(function.TakeTriple(r.Header))
		remote := r.RemoteAddr
		if ip := function.LastForwarded(r.Header); ip != "" {
			remote = net.JoinHostPort(ip, "0") // the peer is FC's own gateway, the same for every client
		}
		ctx, cancel, err := deadline(r)
		function.Clean(r.Header)
		ctx = function.WithInvocation(ctx, inv)
		defer cancel()
		r = r.WithContext(ctx)
		r.RemoteAddr = remote
		switch {
		case err != nil:
			a.cfg.Log.WarnContext(ctx, "http event refused", "err", err.Error(), "kind", inv.Kind, "trace_id", inv.RequestID)
			function.ErrorOf(ctx, err).WriteTo(w)
		case control == controlInvoke && r.Method == http.MethodPost:
			a.control(w, r, "Invoke", a.invoke)
		case control == controlInit:
			a.control(w, r, "Initialize", func(*http.Request) error { return nil })
		case control == controlStop:
			a.control(w, r, "PreStop", func(r *http.Request) error {
				a.stop(r.Context())
				return nil
			})
		default:
			web.ServeHTTP(w, r)
		}
	})
}

// deadline is FC's word on when this request ends. Web functions are told
// their timeout; where both are missing the platform's own limit holds.
func deadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(r.Context())
	if s := r.Header.Get("X-Fc-Function-Deadline"); s != "" {
		ms, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return ctx, cancel, kb.E(kb.Unavailable, err, "the platform's deadline for this invocation is not a number")
		}
		cancel()
		ctx, cancel = context.WithDeadline(r.Context(), time.UnixMilli(ms))
		return ctx, cancel, nil
	}
	if s := r.Header.Get("X-Fc-Function-Timeout"); s != "" {
		sec, err := strconv.Atoi(s)
		if err != nil || sec <= 0 {
			return ctx, cancel, kb.E(kb.Unavailable, err, "the platform's timeout for this invocation is not a number of seconds")
		}
		cancel()
		ctx, cancel = context.WithTimeout(r.Context(), time.Duration(sec)*time.Second)
	}
	return ctx, cancel, nil
}

// control answers one of FC's own requests. The log lines are how FC's log
// service finds the lines of one event invocation.
func (a *Adapter) control(w http.ResponseWriter, r *http.Request, what string, f func(*http.Request) error) {
	inv, _ := function.InvocationFrom(r.Context())
	fmt.Fprintf(os.Stdout, "FC %s Start RequestId: %s\n", what, inv.RequestID)
	defer fmt.Fprintf(os.Stdout, "FC %s End RequestId: %s\n", what, inv.RequestID)
	if err := function.Guard(r.Context(), a.cfg.Log, func() error { return f(r) }); err != nil {
		a.cfg.Log.ErrorContext(r.Context(), "invocation failed", "err", err.Error(), "trace_id", inv.RequestID)
		// 404 in x-fc-status is how a custom runtime reports a failed
		// invocation ("custom runtime specification": 200 success, 404 failure).
		w.Header().Set("X-Fc-Status", "404")
		function.ErrorOf(r.Context(), err).WriteTo(w)
		return
	}
	w.Header().Set("X-Fc-Status", "200")
	w.WriteHeader(http.StatusOK)
}

// invoke runs an event that came as the body of /invoke.
func (a *Adapter) invoke(r *http.Request) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	if len(raw) > maxPayload {
		return a.cfg.TooLarge(maxPayload, "Function Compute")
	}
	k, s, err := probe(raw)
	if err != nil {
		return err
	}
	if k == kindHTTP {
		return kb.E(kb.Invalid, nil, "event: an HTTP trigger's event in a web function; it should have come as HTTP")
	}
	return a.handleEvent(r.Context(), k, s, raw)
}

// serveWeb runs a client's request. The client's leaving cancels it: net/http
// sees that here, unlike on Lambda.
func (a *Adapter) serveWeb(w http.ResponseWriter, r *http.Request) {
	if a.h.HTTP == nil {
		function.ErrorReply(r.Context(), http.StatusNotFound, "this function serves no HTTP", nil).WriteTo(w)
		return
	}
	ctx, cancel, err := function.Deadline(r.Context(), a.cfg.Margin, 0)
	if err != nil {
		function.ErrorOf(r.Context(), err).WriteTo(w)
		return
	}
	defer cancel()
	if r.ContentLength > maxPayload {
		function.ErrorOf(ctx, a.cfg.TooLarge(maxPayload, "Function Compute")).WriteTo(w)
		return
	}
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, maxPayload)
	a.h.HTTP.ServeHTTP(&bounded{ResponseWriter: w, r: r, cfg: a.cfg}, r)
}
