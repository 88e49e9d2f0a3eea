package logvfs

import (
	"context"
	"errors"
	"time"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Reasons in the details of an Unavailable error, under the key "reason".
const (
	ReasonStore      = "store"           // object storage is down, slow or refuses
	ReasonUnknown    = "unknown_outcome" // a commit may or may not have happened
	ReasonContention = "contention"      // too many instances write this tenant
	ReasonCorrupt    = "corrupt"         // an object is damaged or missing
	ReasonPoisoned   = "poisoned_slot"   // the store refuses to create what it cannot read
)

// retryAfter is what a client is told where nothing better is known: the
// time in which most short failures of object stores pass.
const retryAfter = 5 * time.Second

// classify gives err a kind for the one who asked, unless it has one. What
// the log says of a commit goes before what the bucket says of itself.
func classify(err error) error {
	if e, ok := err.(*kb.Error); err == nil || ok && e != nil { //nolint:errorlint // only the outermost
		return err
	}
	down := func(reason, msg string) error {
		e := kb.E(kb.Unavailable, err, "%s", msg).With("reason", reason)
		if s := objstore.Reason(err); s != "" {
			e = e.With("storage", s)
		}
		e.Retry = retryAfter
		return e
	}
	switch {
	case errors.Is(err, commitlog.ErrTooLarge):
		return kb.E(kb.TooLarge, err, "the change is larger than 16 MB: split it")
	case errors.Is(err, commitlog.ErrNoTenant):
		return kb.E(kb.NotFound, err, "no such tenant")
	case errors.Is(err, commitlog.ErrDeleted):
		return kb.E(kb.NotFound, err, "the tenant has been deleted")
	case errors.Is(err, commitlog.ErrPoisoned):
		return down(ReasonPoisoned, "storage contradicts itself: an operator must look at the alarm")
	case errors.Is(err, commitlog.ErrFork), errors.Is(err, commitlog.ErrCorrupt):
		return down(ReasonCorrupt, "stored data is damaged: an operator must restore it")
	case errors.Is(err, commitlog.ErrUnknown):
		return down(ReasonUnknown, "storage did not confirm the change: it may or may not have been saved; ask again with the same Idempotency-Key")
	case errors.Is(err, commitlog.ErrConflict):
		return down(ReasonContention, "too many concurrent changes: try again")
	case errors.Is(err, context.Canceled):
		return kb.E(kb.Canceled, err, "canceled")
	case errors.Is(err, errUnarmed), errors.Is(err, errAttached):
		return err // a defect of the caller: internal
	}
	if e, ok := errors.AsType[*kb.Error](err); ok {
		if _, has := e.Details["reason"]; e.Kind == kb.Unavailable && !has {
			return down(ReasonStore, e.Msg) // named by objstore.Trouble
		}
		return err
	}
	return down(ReasonStore, "storage is not reachable: try again")
}
