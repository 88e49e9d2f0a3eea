package serverless

import (
	"context"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// startPercent lets the heap grow to 32 MB before the first collection: the
// runtime's least heap is 4 MB at 100. Opening a store allocates some 15 MB,
// nearly all of which stays in use; collecting it four times on the way took
// an eighth of a cold start's processor time.
const startPercent = 800

// withoutCollection puts the garbage collector off until the first invocation
// of h is over.
func withoutCollection(h Handlers) Handlers {
	before := debug.SetGCPercent(startPercent)
	if before < 0 || before > startPercent { // somebody chose it: GOGC
		debug.SetGCPercent(before)
		return h
	}
	over := sync.OnceFunc(func() { debug.SetGCPercent(before) })
	out := h
	if h.HTTP != nil {
		out.HTTP = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer over()
			h.HTTP.ServeHTTP(w, r)
		})
	}
	if h.Object != nil {
		out.Object = func(ctx context.Context, o function.ObjectEvent) error {
			defer over()
			return h.Object(ctx, o)
		}
	}
	if h.Schedule != nil {
		out.Schedule = func(ctx context.Context, s function.ScheduleEvent) error {
			defer over()
			return h.Schedule(ctx, s)
		}
	}
	return out
}
