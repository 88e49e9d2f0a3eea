package objstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Op names a method of a bucket.
type Op string

// The methods of objstore.Bucket.
const (
	Get      Op = "get"
	GetRange Op = "range"
	Open     Op = "open"
	Create   Op = "create"
	Put      Op = "put"
	List     Op = "list"
	Delete   Op = "delete"
)

// Writes reports whether op changes the store.
func (op Op) Writes() bool { return op == Create || op == Put || op == Delete }

// Call is one call of a bucket's method, before it is carried out.
type Call struct {
	N   int    // of all calls of this Fault, from 1
	Op  Op     //
	Key string // List: the prefix; Delete: the first key
	Nth int    // of the calls with this Op and Key, from 1; does not depend on what runs besides
}

// Effect is what becomes of a call. The zero Effect carries it out.
type Effect struct {
	Delay  time.Duration // waits before anything else, as long as the context lets it
	Action Action
	Err    error // what a failing action returns; nil means ErrInjected as an objstore.ErrDown
	// Late is when an ApplyLate lands after its error; 0 waits for Fault.Land.
	Late time.Duration
}

// Action says how a call goes wrong.
type Action int

// Actions. Reads take ApplyThenFail and ApplyLate as Fail.
const (
	Pass          Action = iota
	Fail                 // nothing happens, an error comes back
	ApplyThenFail        // it happens, and an error comes back
	ApplyLate            // an error comes back, and later it happens
	Freeze               // waits for Fault.Thaw, or the end of the context, and then goes on
	ApplyThenHang        // it happens, but no answer before the end of the context or Fault.Thaw, which then fails it
	Ghost                // Create: "exists" although nothing does; other reads: "does not exist"
	Corrupt              // reads: one byte is wrong; writes pass
)

// ErrInjected is in every error that a Fault made up, ErrKilled in those
// after Kill.
var (
	ErrInjected = errors.New("injected fault")
	ErrKilled   = errors.New("this instance was killed")
)

// Fault is one instance's way to a shared bucket, on which calls fail as its
// plan says. Make one for each simulated instance. It is safe for concurrent
// use, and for use in a testing/synctest bubble.
type Fault struct {
	b    objstore.Bucket
	plan func(Call) Effect

	mu     sync.Mutex
	n      int
	nth    map[string]int
	thaw   chan struct{} // closed by Thaw
	frozen bool
	killed bool
	late   []func()
	log    []string
}

var _ objstore.Bucket = (*Fault)(nil)

// NewFault returns a Fault before b. plan must be safe for concurrent use; nil
// lets everything pass, and Freeze, Kill still work.
func NewFault(b objstore.Bucket, plan func(Call) Effect) *Fault {
	if plan == nil {
		plan = func(Call) Effect { return Effect{} }
	}
	return &Fault{b: b, plan: plan, nth: map[string]int{}, thaw: make(chan struct{})}
}

// Calls is how many calls there were.
func (f *Fault) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Log tells, one line each, what went wrong so far.
func (f *Fault) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.log...)
}

// Freeze makes every call from now on wait for Thaw: an instance that the
// platform froze or that was stopped.
func (f *Fault) Freeze() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen = true
}

// Thaw lets every waiting call go on.
func (f *Fault) Thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frozen = false
	close(f.thaw)
	f.thaw = make(chan struct{})
}

// Kill makes every call from now on, and those that wait, fail without effect.
func (f *Fault) Kill() {
	f.mu.Lock()
	f.killed = true
	f.mu.Unlock()
	f.Thaw()
}

// Land carries out the oldest n calls that are late, all for n < 0, and
// returns how many there were.
func (f *Fault) Land(n int) int {
	f.mu.Lock()
	if n < 0 || n > len(f.late) {
		n = len(f.late)
	}
	due := f.late[:n:n]
	f.late = f.late[n:]
	f.mu.Unlock()
	for _, do := range due {
		do()
	}
	return n
}

// before decides what becomes of a call and waits as that says. A non-nil
// error ends the call.
func (f *Fault) before(ctx context.Context, op Op, key string) (Effect, error) {
	f.mu.Lock()
	f.n++
	id := string(op) + " " + key
	f.nth[id]++
	c := Call{N: f.n, Op: op, Key: key, Nth: f.nth[id]}
	f.mu.Unlock()
	e := f.plan(c)
	if e.Err == nil {
		e.Err = objstore.Trouble(objstore.ErrDown, ErrInjected)
	}
	if e.Action != Pass {
		f.mu.Lock()
		f.log = append(f.log, fmt.Sprintf("call %d, %s #%d: %s", c.N, id, c.Nth, e.Action))
		f.mu.Unlock()
	}
	if err := sleep(ctx, e.Delay); err != nil {
		return e, err
	}
	f.mu.Lock()
	frozen, thaw := f.frozen || e.Action == Freeze, f.thaw
	f.mu.Unlock()
	if frozen {
		if err := f.wait(ctx, thaw); err != nil {
			return e, err
		}
	}
	return e, f.alive()
}

func (f *Fault) alive() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.killed {
		return ErrKilled
	}
	return nil
}

func (f *Fault) wait(ctx context.Context, thaw <-chan struct{}) error {
	select {
	case <-thaw:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read carries out a call that changes nothing. do returns the bytes that
// Corrupt may spoil.
func (f *Fault) read(ctx context.Context, op Op, key string, do func() ([]byte, error)) error {
	e, err := f.before(ctx, op, key)
	if err != nil {
		return err
	}
	switch e.Action {
	case Fail, ApplyThenFail, ApplyLate:
		return e.Err
	case ApplyThenHang:
		return f.hang(ctx, e)
	case Ghost:
		if op != List {
			return fmt.Errorf("%s: %w", key, objstore.ErrNotExist)
		}
	}
	data, err := do()
	if e.Action == Corrupt && len(data) > 0 {
		data[len(data)/2] ^= 0x10
	}
	if err == nil {
		err = f.alive()
	}
	return err
}

func (f *Fault) hang(ctx context.Context, e Effect) error {
	f.mu.Lock()
	thaw := f.thaw
	f.mu.Unlock()
	if err := f.wait(ctx, thaw); err != nil {
		return err
	}
	return e.Err
}

// write carries out a call that changes the store. do may run after the call
// returned, with another context.
func (f *Fault) write(ctx context.Context, op Op, key string, do func(context.Context) (objstore.Info, error)) (objstore.Info, error) {
	e, err := f.before(ctx, op, key)
	if err != nil {
		return objstore.Info{}, err
	}
	switch e.Action {
	case Fail:
		return objstore.Info{}, e.Err
	case Ghost:
		if op == Create {
			return objstore.Info{}, fmt.Errorf("create %s: %w", key, objstore.ErrExist)
		}
	case ApplyLate:
		f.later(e.Late, func() { _, _ = do(context.Background()) }) // nobody is there to hear
		return objstore.Info{}, e.Err
	case ApplyThenFail:
		_, _ = do(ctx) // as above
		return objstore.Info{}, e.Err
	case ApplyThenHang:
		_, _ = do(ctx)
		return objstore.Info{}, f.hang(ctx, e)
	}
	info, err := do(ctx)
	if err == nil {
		err = f.alive() // killed before it heard
	}
	return info, err
}

func (f *Fault) later(d time.Duration, do func()) {
	if d > 0 {
		time.AfterFunc(d, do)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.late = append(f.late, do)
}

// Get implements objstore.Bucket.
func (f *Fault) Get(ctx context.Context, key string) (data []byte, info objstore.Info, err error) {
	err = f.read(ctx, Get, key, func() ([]byte, error) {
		data, info, err = f.b.Get(ctx, key)
		return data, err
	})
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return data, info, nil
}

// GetRange implements objstore.Bucket.
func (f *Fault) GetRange(ctx context.Context, key string, off, n int64) (data []byte, info objstore.Info, err error) {
	err = f.read(ctx, GetRange, key, func() ([]byte, error) {
		data, info, err = f.b.GetRange(ctx, key, off, n)
		return data, err
	})
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return data, info, nil
}

// Open implements objstore.Bucket. A corrupted stream is read whole first.
func (f *Fault) Open(ctx context.Context, key string, off int64) (r io.ReadCloser, info objstore.Info, err error) {
	var data []byte
	err = f.read(ctx, Open, key, func() ([]byte, error) {
		if r, info, err = f.b.Open(ctx, key, off); err != nil {
			return nil, err
		}
		defer r.Close()
		data, err = io.ReadAll(r)
		return data, err
	})
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return io.NopCloser(bytes.NewReader(data)), info, nil
}

// Create implements objstore.Bucket.
func (f *Fault) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return f.store(ctx, Create, key, body, f.b.Create)
}

// Put implements objstore.Bucket.
func (f *Fault) Put(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return f.store(ctx, Put, key, body, f.b.Put)
}

func (f *Fault) store(ctx context.Context, op Op, key string, body io.ReadSeeker, do func(context.Context, string, io.ReadSeeker) (objstore.Info, error)) (objstore.Info, error) {
	data, err := objstore.ReadBody(body) // it may be stored when the caller has gone on
	if err != nil {
		return objstore.Info{}, err
	}
	return f.write(ctx, op, key, func(ctx context.Context) (objstore.Info, error) {
		return do(ctx, key, bytes.NewReader(data))
	})
}

// List implements objstore.Bucket.
func (f *Fault) List(ctx context.Context, prefix, after string, limit int) (infos []objstore.Info, more bool, err error) {
	err = f.read(ctx, List, prefix, func() ([]byte, error) {
		infos, more, err = f.b.List(ctx, prefix, after, limit)
		return nil, err
	})
	if err != nil {
		return nil, false, err
	}
	return infos, more, nil
}

// Delete implements objstore.Bucket.
func (f *Fault) Delete(ctx context.Context, keys ...string) error {
	_, err := f.write(ctx, Delete, strings.Join(keys[:min(1, len(keys))], ""), func(ctx context.Context) (objstore.Info, error) {
		return objstore.Info{}, f.b.Delete(ctx, keys...)
	})
	return err
}

// String names the action as in the log.
func (a Action) String() string {
	names := []string{"pass", "fail", "apply, then fail", "apply late", "freeze", "apply, then hang", "ghost", "corrupt"}
	if int(a) < len(names) {
		return names[a]
	}
	return fmt.Sprintf("action %d", int(a))
}
