// Package aside runs what needs much stack on a goroutine of its own, for callers
// that wait long afterwards. A stack that has grown shrinks only while less than
// a quarter of it is in use, and who relays a model's answer waits for each token
// from deep within net/http, on both sides: had it searched and asked on the same
// stack, each open stream would hold 16 KiB for it in place of 8.
package aside

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
)

// errGone is what is told to who tells a caller that has panicked.
var errGone = errors.New("the listener is gone")

// Panic is a panic that happened aside, with the stack it happened on.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("%v, aside:\n%s", p.Value, p.Stack) }

// Do calls f aside and returns when it has returned. A panic of f goes on in the
// caller as a *Panic, http.ErrAbortHandler as it is.
func Do(f func()) {
	Tell(func(struct{}) error { return nil }, func(func(struct{}) error) { askedLess(false); f() })
}

// Tell is Do with an f that has something to tell meanwhile: hear is called with
// it by the caller of Tell, and tell returns what it returned.
func Tell[E any](hear func(E) error, f func(tell func(E) error)) {
	said, heard := make(chan E), make(chan error)
	var p any
	go func() {
		defer close(said)
		defer func() {
			p = recover()
			if _, known := p.(*Panic); p != nil && p != http.ErrAbortHandler && !known { //nolint:errorlint // net/http compares it so
				p = &Panic{p, debug.Stack()}
			}
		}()
		f(func(e E) error {
			said <- e
			if err, ok := <-heard; ok {
				return err
			}
			return errGone
		})
	}()
	defer func() { // also when hear panics: nobody is left behind
		close(heard)
		for range said {
			// Until f has returned.
		}
	}()
	for e := range said {
		heard <- hear(e)
	}
	if p != nil {
		panic(p)
	}
}
