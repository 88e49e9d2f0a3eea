package serverless

import (
	"context"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/eino-qa/eino-qa/internal/serverless/early"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// collectLater keeps the garbage collector off, as package early left it, until
// the first invocation of h is over. before is what it is set to then.
func collectLater(h Handlers, before int) Handlers {
	if before < 0 || before > early.Percent { // somebody chose it: GOGC
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
