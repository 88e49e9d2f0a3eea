package logvfs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

// told is what the one who asked hears.
type told struct {
	reason  string // detail "reason"
	storage string // detail "storage"
	says    string // part of the message
}

// hears checks an error against told; the zero told is success.
func (w told) hears(t *testing.T, what string, err error) {
	t.Helper()
	if w == (told{}) {
		if err != nil {
			t.Errorf("%s: %v, want no error", what, err)
		}
		return
	}
	e, ok := errors.AsType[*kb.Error](err)
	if !ok || e.Kind != kb.Unavailable || e.Retry <= 0 {
		t.Errorf("%s: %v, want Unavailable with a time to try again", what, err)
		return
	}
	storage, _ := e.Details["storage"].(string)
	if got := (told{reason: reason(err), storage: storage, says: w.says}); got != w || !strings.Contains(e.Msg, w.says) {
		t.Errorf("%s: reason %q, storage %q, %q; want %q, %q and %q in it", what, got.reason, got.storage, e.Msg, w.reason, w.storage, w.says)
	}
}

func TestEveryTroubleOfTheStoreIsToldAsWhatItIs(t *testing.T) {
	t.Parallel()
	writes := objstoretest.Op.Writes
	all := func(objstoretest.Op) bool { return true }
	const unknown = "may or may not have been saved; ask again with the same Idempotency-Key"
	for _, c := range []struct {
		name         string
		hit          func(objstoretest.Op) bool
		err          error         // what the store answers
		delay        time.Duration // before it does
		read, commit told          // a strong read; a commit
		refused      bool          // the commit cannot have happened, and says so at once
	}{
		{
			"down", all, objstore.ErrDown, 0,
			told{ReasonStore, "down", "does not answer"},
			told{ReasonUnknown, "down", unknown},
			false,
		},
		{
			"throttling", all, objstore.ErrThrottled, 0,
			told{ReasonStore, "throttled", "asks to slow down"},
			told{ReasonUnknown, "throttled", unknown},
			false,
		},
		{
			"so slow that nothing comes back", all, objstore.ErrDown, time.Hour,
			told{ReasonStore, "down", "does not answer"},
			told{ReasonUnknown, "down", unknown},
			false,
		},
		{
			"credentials expired", all, objstore.ErrDenied, 0,
			told{ReasonStore, "denied", "refuses the credentials"},
			told{ReasonStore, "denied", "refuses the credentials"},
			true,
		},
		{
			"credentials that may only read", writes, objstore.ErrDenied, 0,
			told{},
			told{ReasonStore, "denied", "refuses the credentials"},
			true,
		},
		{
			"full", writes, objstore.ErrFull, 0,
			told{},
			told{ReasonStore, "full", "is full"},
			true,
		},
		{
			"read-only", writes, objstore.ErrReadOnly, 0,
			told{},
			told{ReasonStore, "read_only", "is read-only"},
			true,
		},
		{
			"another bucket by now", all, objstore.ErrConfig, 0,
			told{ReasonStore, "config", "configured wrongly"},
			told{ReasonUnknown, "config", unknown},
			false,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			ill := false
			f := objstoretest.NewFault(new(mem.Bucket), func(call objstoretest.Call) objstoretest.Effect {
				if !ill || !c.hit(call.Op) {
					return objstoretest.Effect{}
				}
				return objstoretest.Effect{Action: objstoretest.Fail, Err: objstore.Trouble(c.err, errInjected), Delay: c.delay}
			})
			db, err := Open(context.Background(), f, tenant, Config{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			commit(t, db, "CREATE TABLE k(v); INSERT INTO k VALUES('before')")
			ill = true
			step := func(what string, w told, most time.Duration, do func() error) {
				t.Helper()
				calls, start := f.Calls(), time.Now()
				w.hears(t, c.name+", "+what, do())
				if n, d := f.Calls()-calls, time.Since(start); n > 120 || d > most {
					t.Errorf("%s, %s: %d calls in %v, want at most 120 in %v", c.name, what, n, d, most)
				}
			}
			// One call that hangs takes 10 s; nobody waits for four of them.
			step("strong read", c.read, 11*time.Second, func() error { _, err := db.Refresh(context.Background()); return err })
			step("open", c.read, 25*time.Second, func() error {
				other, err := Open(context.Background(), f, tenant, Config{})
				if err == nil {
					other.Close()
				}
				return err
			})
			most := 41 * time.Second // the commit timeout and the call it ends in
			if c.refused {
				most = time.Second
			}
			step("commit", c.commit, most, func() error {
				return db.Commit(context.Background(), "", exec("INSERT INTO k VALUES('during')"))
			})
			if c.refused { // the snapshot that is there can still be read
				if got := read(t, db, "SELECT group_concat(v) FROM k"); got != "before" {
					t.Errorf("%s: reads %q, want what was there before", c.name, got)
				}
			}
			ill = false
			commit(t, db, "INSERT INTO k VALUES('after')")
			if got := read(t, db, "SELECT count(*) || group_concat(v) FROM k WHERE v <> 'during'"); got != "2before,after" {
				t.Errorf("%s: %s after recovery, want before and after", c.name, got)
			}
			if got := read(t, db, "SELECT count(*) FROM k WHERE v = 'during'"); got != "0" {
				t.Errorf("%s: what was not applied is there %s times", c.name, got)
			}
		})
	}
}

// A refusal after a try that left something open decides nothing: the first
// one may have been carried out.
func TestARefusalDoesNotHideAnEarlierTryThatCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := new(mem.Bucket)
		slots := 0
		f := objstoretest.NewFault(b, func(call objstoretest.Call) objstoretest.Effect {
			if call.Op != objstoretest.Create || !strings.Contains(call.Key, "/ltx/0/0000000000000003") {
				return objstoretest.Effect{}
			}
			if slots++; slots == 1 {
				return objstoretest.Effect{Action: objstoretest.ApplyLate, Late: 3 * time.Second}
			}
			return objstoretest.Effect{Action: objstoretest.Fail, Err: objstore.Trouble(objstore.ErrDenied, errInjected)}
		})
		db, err := Open(context.Background(), f, tenant, Config{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		commit(t, db, "CREATE TABLE k(v)")
		commit(t, db, "INSERT INTO k VALUES('late')") // it arrived while the refusals came
		if got := read(t, db, "SELECT count(*) FROM k"); got != "1" || slots < 3 {
			t.Errorf("%s rows after %d tries, want 1 and some refusals", got, slots)
		}
	})
}

func TestAnAlarmIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ill := false
		f := objstoretest.NewFault(new(mem.Bucket), func(call objstoretest.Call) objstoretest.Effect {
			if ill && strings.Contains(call.Key, "/ltx/0/0000000000000003") {
				return objstoretest.Effect{Action: objstoretest.Ghost} // 412, but 404
			}
			return objstoretest.Effect{}
		})
		events := map[Event]int{}
		db, err := Open(context.Background(), f, tenant, Config{Create: true, OnEvent: func(e Event) { events[e]++ }})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		commit(t, db, "CREATE TABLE k(v)")
		ill = true
		err = db.Commit(context.Background(), "", exec("INSERT INTO k VALUES(1)"))
		told{ReasonPoisoned, "", "storage contradicts itself"}.hears(t, "poisoned slot", err)
		if events[EventAlarm] != 1 {
			t.Errorf("%d alarms were counted, want 1", events[EventAlarm])
		}
	})
}
