package objstore

import (
	"sync"
	"time"
)

// Vitals is an Observer that remembers what a store last complained about, for
// the health of a server that cannot write into it just to see. Reading and
// writing are told apart: a full store still reads. The zero Vitals has seen
// nothing. It is safe for concurrent use.
type Vitals struct {
	mu     sync.Mutex
	reads  ailment
	writes ailment
}

// ailment is the newest complaint that no success followed.
type ailment struct {
	word string // "" = none
	at   time.Time
}

// ailmentLife is how long a complaint stands when nobody asks the store again:
// an idle server must not be ill for ever.
const ailmentLife = time.Minute

// Observe is the Observer.
func (v *Vitals) Observe(op, outcome string, _ time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := &v.reads
	switch op {
	case "create", "put", "delete":
		a = &v.writes
	}
	switch outcome {
	case "ok", "absent", "exists":
		*a = ailment{}
	case "canceled", "conflict": // say nothing about the store
	default:
		*a = ailment{outcome, time.Now()}
	}
}

// Complaint is what the matter is, in the words of the function Complaint; ""
// if the store works as far as anybody knows.
func (v *Vitals) Complaint() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, a := range []ailment{v.reads, v.writes} {
		if a.word == "" || time.Since(a.at) > ailmentLife {
			continue
		}
		for _, t := range troubles {
			if t.word == a.word {
				return t.err.Error()
			}
		}
		return ErrDown.Error() // a timeout, or an error without a name
	}
	return ""
}
