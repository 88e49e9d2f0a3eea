package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Sentinels that callers branch on, found by errors.Is.
var (
	ErrNotConfigured = errors.New("no model configured")
	ErrRefused       = errors.New("refused by the provider's content inspection") // answer with a polite refusal
	ErrContextLength = errors.New("prompt longer than the model's context")
	ErrTruncated     = errors.New("answer ended without a finish reason")
	ErrTooMuchOutput = errors.New("answer over the size limit")
	ErrThrottled     = errors.New("throttled by the provider")
	ErrArrears       = errors.New("the provider's account is overdue or out of quota")
	ErrUnauthorized  = errors.New("the provider refused our key")
	ErrNoModel       = errors.New("the provider has no such model for us")
	ErrBadReply      = errors.New("answer breaks the protocol")
	ErrTimeout       = errors.New("no answer in time")
	ErrCircuitOpen   = errors.New("not tried: the last calls failed")
	ErrBadJSON       = errors.New("the model did not answer with the JSON asked for")
	errNoJSONMode    = errors.New("the model has no JSON mode")
	errThinking      = errors.New("the model does not take enable_thinking so")
	errOverBatch     = errors.New("more texts than the model takes at once")
)

// CallError is the log's view of a failed call: the cause of every *kb.Error of
// this package. It holds no key and no more than 300 bytes of the provider's words.
type CallError struct {
	Op        Op
	Status    int    // 0 = no response
	Code      string // the provider's
	Message   string // the provider's
	RequestID string // for the provider's support
	cause     error
}

// Error reads as "chat: 429 limit_requests: You exceeded …: throttled …".
func (e *CallError) Error() string {
	var b strings.Builder
	b.WriteString("llm " + string(e.Op))
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d", e.Status)
	}
	for _, s := range []string{e.Code, e.Message} {
		if s != "" {
			b.WriteString(": " + s)
		}
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap returns the sentinel or the network's error.
func (e *CallError) Unwrap() error { return e.cause }

// verdict is what a failed try means for the road: how to go on, and how the
// breaker and the limiter count it.
type verdict struct {
	err   *kb.Error
	retry bool          // worth another try
	down  bool          // counts against the breaker
	deny  bool          // every call will fail until an operator acts
	limit throttle      // what the provider limits
	after time.Duration // the provider's Retry-After
}

func (v *verdict) Error() string { return v.err.Error() }
func (v *verdict) Unwrap() error { return v.err }

// throttle says which of the provider's limits was hit.
type throttle int

const (
	notThrottled throttle = iota
	byRequests
	byTokens
	byBurst
)

func notConfigured(op Op) error {
	return kb.E(kb.Unavailable, &CallError{Op: op, cause: ErrNotConfigured}, "no %s model is configured", op)
}

// wireError is the error object in any of the shapes met: OpenAI's under
// "error" (an object or a text), DashScope's native one at the top.
type wireError struct {
	Error     json.RawMessage `json:"error"`
	Code      any             `json:"code"`
	Message   string          `json:"message"`
	RequestID string          `json:"request_id"`
}

// parseError reads an error body; what it cannot read stays empty.
func parseError(body []byte) (code, kind, message, id string) {
	var w wireError
	if json.Unmarshal(body, &w) != nil {
		return "", "", "", ""
	}
	code, message, id = text(w.Code), w.Message, w.RequestID
	if len(w.Error) > 0 {
		var in struct {
			Code    any    `json:"code"`
			Type    string `json:"type"`
			Message string `json:"message"`
		}
		if json.Unmarshal(w.Error, &in) == nil {
			code, kind, message = text(in.Code), in.Type, in.Message
		} else {
			_ = json.Unmarshal(w.Error, &message)
		}
	}
	return code, kind, message, id
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// lazily is regexp.MustCompile at the first use: who meets no error compiles
// none. All of them took .25 ms of every cold start of a function.
func lazily(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

var (
	keyLike      = lazily(`(?i)\b(sk|ak|bearer)[-_ ][A-Za-z0-9_\-.*]{6,}`)
	lengthLike   = lazily(`(?i)range of input length should be|maximum context length|context_length_exceeded|context length|prompt is too long|input is too long`)
	batchLike    = lazily(`(?i)batch size is invalid.*?not be larger than (\d+)`)
	tokenLike    = lazily(`(?i)allocationquota|allocated quota|insufficient_quota|token.?limit|\btpm\b|tokens per min`)
	throttleLike = lazily(`(?i)throttling|limit_requests|limit_burst|rate.?limit|insufficient_quota|too many requests`)
	burstLike    = lazily(`(?i)burst|increased too quickly`)
	jsonLike     = lazily(`(?i)response_format|json mode`)
	debtLike     = lazily(`(?i)arrearage|overdue|good standing|commoditynotpurchased|freetieronly|free (?:allocated )?quota|insufficient.?balance|billing_hard_limit`)
	filterLike   = lazily(`(?i)data_?inspection_?failed|inappropriate content|content_filter|content_policy`)
)

// told is the part of a head that classify reads, nil without any: the whole one
// would live as long as a stream.
func told(head http.Header) (part http.Header) {
	for _, name := range [...]string{"X-Request-Id", "Retry-After"} {
		if v := head.Get(name); v != "" {
			if part == nil {
				part = http.Header{}
			}
			part.Set(name, v)
		}
	}
	return part
}

// classify reads a failed response: what happened, in the terms of this
// package. The order matters: Arrearage comes as 400 and as 429.
func (e *endpoint) classify(status int, header http.Header, body []byte) *verdict {
	code, kind, message, id := parseError(body)
	if message == "" && !json.Valid(body) {
		message = "body is no JSON: " + pageTitle(body)
	}
	ce := &CallError{
		Op: e.op, Status: status, Code: e.clean(or(code, kind), 80), Message: e.clean(message, 300),
		RequestID: e.clean(or(id, header.Get("X-Request-Id")), 64),
	}
	words := code + " " + kind + " " + message
	v := &verdict{after: retryAfter(header.Get("Retry-After"), time.Now())}
	set := func(cause error, k kb.Kind, msg string) *verdict {
		ce.cause = cause
		v.err = kb.E(k, ce, "%s", msg)
		v.err.Retry = v.after
		return v
	}
	switch {
	case filterLike().MatchString(words):
		return set(ErrRefused, kb.Invalid, "the model's provider refused this text")
	case status == http.StatusUnauthorized || strings.EqualFold(strings.ReplaceAll(code, "_", ""), "invalidapikey"):
		v.deny = true
		return set(ErrUnauthorized, kb.Unavailable, "the language model is not available: an operator has to check its API key")
	case debtLike().MatchString(words) || status == http.StatusPaymentRequired:
		v.deny = true
		return set(ErrArrears, kb.Unavailable, "the language model is not available: an operator has to check the provider's account")
	case status == http.StatusTooManyRequests || status == http.StatusOK && throttleLike().MatchString(words):
		v.retry, v.limit = true, byRequests
		if burstLike().MatchString(words) {
			v.limit = byBurst
		} else if tokenLike().MatchString(words) {
			v.limit = byTokens
		}
		return set(ErrThrottled, kb.RateLimited, "the language model is busy; try again in a moment")
	case lengthLike().MatchString(words) && status < 500:
		return set(ErrContextLength, kb.TooLarge, "the text is too long for the model; shorten it")
	case batchLike().MatchString(words):
		return set(errOverBatch, kb.Internal, "too many texts at once")
	case strings.Contains(words, "enable_thinking") && status == http.StatusBadRequest:
		return set(errThinking, kb.Unavailable, "the language model did not accept the request")
	case jsonLike().MatchString(words) && (status == http.StatusBadRequest || status == http.StatusUnprocessableEntity):
		return set(errNoJSONMode, kb.Unavailable, "the language model did not accept the request")
	case status == http.StatusNotFound || strings.Contains(words, "model_not_found") || status == http.StatusForbidden:
		return set(ErrNoModel, kb.Unavailable, "the language model is not available: an operator has to check its name, address and permissions")
	case status == http.StatusRequestTimeout || status >= 500:
		v.retry, v.down = true, true
		return set(nil, kb.Unavailable, "the language model is not available right now")
	case status == http.StatusOK: // a page, or an error object of a kind we do not know
		v.retry, v.down = true, true
		return set(ErrBadReply, kb.Unavailable, "the language model is not available right now")
	case status >= 300 && status < 400:
		return set(ErrBadReply, kb.Unavailable, "the language model is not available: its address redirects, an operator has to correct it")
	}
	return set(ErrBadReply, kb.Unavailable, "the language model did not accept the request")
}

// broken classifies a try that ended without a usable response. ctx is the
// caller's, try the one of this attempt, whose cause says which timer fired.
func (e *endpoint) broken(ctx, try context.Context, err error) *verdict {
	if v, ok := errors.AsType[*verdict](err); ok {
		return v
	}
	if ctx.Err() != nil {
		return ended(ctx, e.op)
	}
	ce := &CallError{Op: e.op}
	switch cause := context.Cause(try); {
	case errors.Is(cause, ErrTimeout):
		ce.cause = cause
		return &verdict{retry: true, down: true, err: kb.E(kb.Unavailable, ce, "the language model did not answer in time")}
	case errors.Is(err, ErrTooMuchOutput):
		ce.cause = err
		return &verdict{err: kb.E(kb.Unavailable, ce, "the language model's answer was too long")}
	}
	ce.Message, ce.cause = e.clean(err.Error(), 300), knownCause(err)
	return &verdict{retry: true, down: true, err: kb.E(kb.Unavailable, ce, "the language model is not available right now")}
}

// ended is the verdict when the caller's context is over. A deadline that
// passed counts against the endpoint, a caller who left does not.
func ended(ctx context.Context, op Op) *verdict {
	ce := &CallError{Op: op, cause: ctx.Err()}
	if errors.Is(ctx.Err(), context.Canceled) {
		return &verdict{err: kb.E(kb.Canceled, ce, "the request was cancelled")}
	}
	ce.cause = fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
	return &verdict{down: true, err: kb.E(kb.Unavailable, ce, "the language model did not answer in time")}
}

// knownCause keeps our sentinels in the chain and drops other errors, whose
// text is in Message already, cleaned.
func knownCause(err error) error {
	for _, s := range []error{ErrTruncated, ErrBadReply, ErrTooMuchOutput, ErrRefused} {
		if errors.Is(err, s) {
			return s
		}
	}
	return nil
}

// clean makes the provider's words fit for a log: without keys, one line, short.
func (e *endpoint) clean(s string, n int) string {
	if e.key != "" {
		s = strings.ReplaceAll(s, e.key, "***")
	}
	s = keyLike().ReplaceAllString(s, "$1-***")
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > n {
		cut := n
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}

var titleTag = lazily(`(?is)<title[^>]*>(.*?)</title>`)

// pageTitle describes a body that is no JSON.
func pageTitle(body []byte) string {
	if m := titleTag().FindSubmatch(body); m != nil {
		return string(m[1])
	}
	return fmt.Sprintf("%d bytes", len(body))
}

// maxRetryAfter bounds what a Retry-After may ask of us; DashScope's limits
// recover within about a minute (facts/dependencies.md §4).
const maxRetryAfter = 10 * time.Minute

// retryAfter reads a Retry-After header: seconds, also fractional, or a date.
// What it cannot read is 0.
func retryAfter(h string, now time.Time) time.Duration {
	h = strings.TrimSpace(h)
	var d time.Duration
	if s, err := strconv.ParseFloat(h, 64); err == nil {
		if !(s > 0) {
			return 0
		}
		if s > maxRetryAfter.Seconds() {
			return maxRetryAfter
		}
		d = time.Duration(s * float64(time.Second))
	} else if at, err := http.ParseTime(h); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
