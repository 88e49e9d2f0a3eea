package redact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
)

// Handler redacts records on their way to next.
func (r *Redactor) Handler(next slog.Handler) slog.Handler {
	return &handler{redactor: r, next: next}
}

type handler struct {
	redactor *Redactor
	next     slog.Handler
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle copies the record only if something in it was redacted: most have
// nothing.
func (h *handler) Handle(ctx context.Context, rec slog.Record) error {
	msg := h.redactor.String(rec.Message)
	changed := msg != rec.Message
	rec.Attrs(func(a slog.Attr) bool {
		if !changed {
			_, changed = h.redactor.attr(a)
		}
		return !changed
	})
	if !changed {
		return h.next.Handle(ctx, rec)
	}
	clean := slog.NewRecord(rec.Time, rec.Level, msg, rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		c, _ := h.redactor.attr(a)
		clean.AddAttrs(c)
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i], _ = h.redactor.attr(a)
	}
	return &handler{redactor: h.redactor, next: h.next.WithAttrs(clean)}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{redactor: h.redactor, next: h.next.WithGroup(name)}
}

// attr returns a without secrets, and whether anything was taken out.
func (r *Redactor) attr(a slog.Attr) (clean slog.Attr, touched bool) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		return r.group(a.Key, v.Group())
	}
	if r.hides(a.Key) && !isEmpty(v) {
		return slog.String(a.Key, Mark), true
	}
	switch v.Kind() {
	case slog.KindString:
		s := v.String()
		if c := r.String(s); c != s {
			return slog.String(a.Key, c), true
		}
	case slog.KindAny:
		return r.any(a.Key, v.Any(), a.Value.Kind() == slog.KindLogValuer)
	}
	return slog.Attr{Key: a.Key, Value: v}, a.Value.Kind() == slog.KindLogValuer
}

// isEmpty reports whether a value is nothing, which may be shown: whether a
// password was set is what one looks for in a log.
func isEmpty(v slog.Value) bool {
	return v.Kind() == slog.KindString && v.String() == "" || v.Kind() == slog.KindAny && v.Any() == nil
}

func (r *Redactor) group(key string, attrs []slog.Attr) (clean slog.Attr, touched bool) {
	list := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		c, t := r.attr(a)
		list[i] = c
		touched = touched || t
	}
	return slog.Attr{Key: key, Value: slog.GroupValue(list...)}, touched
}

// any redacts a value of any other type by its text. If that has nothing to
// hide the value itself goes on, so numbers stay numbers.
func (r *Redactor) any(key string, v any, touched bool) (slog.Attr, bool) {
	for _, text := range texts(v) {
		if clean := r.String(text); clean != text {
			return slog.String(key, clean), true
		}
	}
	return slog.Any(key, v), touched
}

// texts are what a JSON and a text handler would write of v.
func texts(v any) []string {
	switch v := v.(type) {
	case error:
		return []string{v.Error()}
	case []byte:
		return []string{string(v)}
	}
	list := []string{fmt.Sprintf("%+v", v)}
	if text, err := json.Marshal(v); err == nil {
		list = append(list, string(text))
	}
	return list
}
