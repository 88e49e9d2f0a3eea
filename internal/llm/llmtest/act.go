package llmtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault is a way a streamed answer goes wrong after some chunks.
type Fault string

// Faults of a stream. All leave a 200 status behind them.
const (
	Truncate    Fault = "truncate"     // the body ends cleanly, without finish_reason and [DONE]
	Abort       Fault = "abort"        // the connection breaks
	Hang        Fault = "hang"         // nothing comes any more, the connection stays open
	ErrorObject Fault = "error object" // data: {"error":{…}}, then the end
	NativeError Fault = "native error" // data: {"code":…,"message":…}, then the end
	Comments    Fault = "comments"     // only ": keep-alive" lines come any more
	LongLine    Fault = "long line"    // one line that never ends
	Garbage     Fault = "garbage"      // a data line that is no JSON
	Linger      Fault = "linger"       // after finish_reason: no usage, no [DONE], stays open
)

// Lie is an untruth in an embedding or rerank answer of status 200.
type Lie string

// Lies of embeddings (the first seven) and of reranks.
const (
	TooFew       Lie = "too few vectors"
	TooMany      Lie = "too many vectors"
	Shuffled     Lie = "shuffled with right index" // no lie: index says where each belongs
	SameIndex    Lie = "same index twice"
	WrongDim     Lie = "wrong dimension"
	ZeroVector   Lie = "zero vector"
	NotANumber   Lie = "null in vector"
	MissingScore Lie = "missing score"
	IndexRange   Lie = "index out of range"
	DoubleScore  Lie = "document scored twice"
	HugeScore    Lie = "score above one"
)

// Act is how one request is answered. The zero value is an honest answer.
type Act struct {
	Delay      time.Duration // before anything is sent
	TokenDelay time.Duration // between chunks; 0 = the server's

	// A failure before the answer; Status 0 = none.
	Status     int
	Code       string
	Type       string
	Message    string
	RetryAfter string // header, as is
	Raw        string // body, as is, instead of the error object
	RawType    string // its Content-Type; empty = text/html
	Location   string // with a 3xx status

	// What the model says.
	Reply     string   // instead of Answer
	Tokens    []string // the chunks, bytes as is, also when they are no valid UTF-8
	Reasoning string   // streamed as reasoning_content first
	Empty     bool     // says nothing
	Flood     int64    // says this many bytes
	Finish    string   // finish_reason; empty = "stop", or "length" at max_tokens
	NoFinish  bool     // never sends a finish_reason, but does send [DONE]
	NoDone    bool
	NoUsage   bool
	CRLF      bool // lines end with \r\n
	OneByte   bool // every byte is flushed on its own

	After int   // chunks sent before Fault
	Fault Fault // in a stream; Abort, Hang and Truncate also in a whole answer
	Lie   Lie
}

// Throttled answers 429 for too many requests a minute; retryAfter may be "".
func Throttled(retryAfter string) Act {
	return Act{
		Status: 429, Code: "limit_requests", Type: "limit_requests", RetryAfter: retryAfter,
		Message: "You exceeded your current requests list.",
	}
}

// ThrottledTokens answers 429 for too many tokens a minute, which DashScope
// calls insufficient_quota although it passes within a minute.
func ThrottledTokens() Act {
	return Act{
		Status: 429, Code: "insufficient_quota", Type: "insufficient_quota",
		Message: "You exceeded your current quota, please check your plan and billing details.",
	}
}

// ThrottledBurst answers 429 for a rate that grew too fast.
func ThrottledBurst() Act {
	return Act{
		Status: 429, Code: "limit_burst_rate", Type: "limit_burst_rate",
		Message: "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more smoothly over time.",
	}
}

// ThrottledNative answers 429 in the native interfaces' shape.
func ThrottledNative() Act {
	return Act{
		Status: 429, RawType: "application/json",
		Raw: `{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later.","request_id":"` + requestID + `"}`,
	}
}

// Arrears answers that the account is overdue: status 400, never to be retried.
func Arrears() Act {
	return Act{
		Status: 400, Code: "Arrearage", Type: "Arrearage",
		Message: "Access denied, please make sure your account is in good standing.",
	}
}

// Inspected answers that the input was refused by content inspection.
func Inspected() Act {
	return Act{
		Status: 400, Code: "data_inspection_failed", Type: "data_inspection_failed",
		Message: "Input data may contain inappropriate content.",
	}
}

// InspectedNew is Inspected in its newer wording.
func InspectedNew() Act {
	return Act{
		Status: 400, Code: "DataInspectionFailed", Type: "invalid_request_error",
		Message: "<400> InternalError.Algo.DataInspectionFailed: Input text data may contain inappropriate content.",
	}
}

// TooLong answers that the prompt is over the model's context.
func TooLong() Act {
	return Act{
		Status: 400, Code: "invalid_parameter_error", Type: "invalid_request_error",
		Message: "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
	}
}

// BadKey answers 401.
func BadKey() Act {
	e := badKey()
	return Act{Status: e.status, Code: e.code, Type: e.kind, Message: e.message}
}

// BadGateway answers 502 with a proxy's HTML page.
func BadGateway() Act {
	return Act{Status: 502, Raw: "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"}
}

// Failed answers 500 with DashScope's error object.
func Failed() Act {
	return Act{Status: 500, Code: "internal_error", Type: "internal_error", Message: "An internal error has occurred, please try again later or contact service support."}
}

// Redirected answers 307 to another place.
func Redirected(to string) Act { return Act{Status: 307, Location: to, Raw: "moved"} }

// HTMLPage answers 200 with a page, as captive portals and wrong base URLs do.
func HTMLPage() Act {
	return Act{Status: 200, Raw: "<!doctype html><html><body>Sign in to the network</body></html>"}
}

// broken writes act's failure and reports whether there was one.
func (s *Server) broken(w http.ResponseWriter, r *http.Request, act Act) bool {
	if act.Fault == Hang && act.After < 0 {
		s.hang(r)
		return true
	}
	if act.Fault == Abort && act.After < 0 {
		panic(http.ErrAbortHandler)
	}
	if act.Status == 0 {
		return false
	}
	if act.RetryAfter != "" {
		w.Header().Set("Retry-After", act.RetryAfter)
	}
	if act.Location != "" {
		w.Header().Set("Location", act.Location)
	}
	if act.Raw != "" {
		kind := act.RawType
		if kind == "" {
			kind = "text/html"
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(act.Status)
		fmt.Fprint(w, act.Raw)
		return true
	}
	writeError(w, &apiError{act.Status, act.Code, act.Type, act.Message})
	return true
}

// flood is the text of a model that does not stop, n bytes of it.
func flood(n int64) string {
	var b strings.Builder
	for i := 0; int64(b.Len()) < n; i++ {
		b.WriteString("sentence " + strconv.Itoa(i) + " of an endless answer. ")
	}
	return b.String()[:n]
}
