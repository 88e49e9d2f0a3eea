package crypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestWrongKeysAreNamed(t *testing.T) {
	t.Parallel()
	var under, keys mem.Bucket
	create(t, encrypted(t, &under, &keys, keyA), "t/acme/k", []byte("secret"))
	for _, c := range []struct{ ring, want string }{
		{keyB, `encrypted with key "a", and the keyring has b`},
		{"a" + keyB[1:], `key "a" of the keyring is not the one`},
	} {
		b := encrypted(t, &under, &keys, c.ring)
		_, _, err1 := b.Get(t.Context(), "t/acme/k")
		_, err2 := b.Create(t.Context(), "t/acme/new", strings.NewReader("x"))
		_, err3 := b.Rekey(t.Context())
		for i, err := range []error{err1, err2, err3} {
			var e *kb.Error
			if !errors.Is(err, ErrKey) || !errors.As(err, &e) || e.Kind != kb.Unavailable || !strings.Contains(e.Msg, c.want) || strings.Contains(err.Error(), "AQEB") {
				t.Errorf("call %d = %v, want ErrKey with %q", i+1, err, c.want)
			}
		}
	}
	var elsewhere mem.Bucket // the data keys are lost
	if _, _, err := encrypted(t, &under, &elsewhere, keyA).Get(t.Context(), "t/acme/k"); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("Get without data keys = %v, want ErrCorrupt", err)
	}
}

func TestRekeyWrapsAnewAndReadersGoOn(t *testing.T) {
	t.Parallel()
	var under, keys mem.Bucket
	old := encrypted(t, &under, &keys, keyA)
	for _, key := range []string{"t/acme/k", "t/beta/k", "control/k"} {
		create(t, old, key, []byte("of "+key))
	}
	both := encrypted(t, &under, &keys, keyB, keyA)
	var wg sync.WaitGroup
	for range 2 { // twice at once
		wg.Go(func() {
			if _, err := both.Rekey(t.Context()); err != nil && !strings.Contains(err.Error(), "at the same time") {
				t.Errorf("Rekey = %v", err)
			}
		})
	}
	wg.Wait()
	if n, err := both.Rekey(t.Context()); n != 0 || err != nil {
		t.Errorf("second Rekey wrapped %d, %v", n, err)
	}
	infos, _, _ := keys.List(t.Context(), "", "", 0)
	if len(infos) != 3 {
		t.Errorf("%d wrapped keys are left, want one for each scope", len(infos))
	}
	fresh := encrypted(t, &under, &keys, keyB) // the old key is gone
	for _, key := range []string{"t/acme/k", "t/beta/k", "control/k"} {
		for name, b := range map[string]*Bucket{"running": old, "new": fresh} {
			if got, _, err := b.Get(t.Context(), key); err != nil || string(got) != "of "+key {
				t.Errorf("%s server: Get(%s) = %q, %v", name, key, got, err)
			}
		}
	}
}

// A rekey that is stopped at any call, with any outcome of that call, loses
// no data key.
func TestRekeyStoppedAnywhere(t *testing.T) {
	t.Parallel()
	for _, action := range []objstoretest.Action{objstoretest.Fail, objstoretest.ApplyThenFail, objstoretest.ApplyLate} {
		for n := 1; ; n++ {
			var under, keys mem.Bucket
			create(t, encrypted(t, &under, &keys, keyA), "t/acme/k", []byte("text"))
			f := objstoretest.NewFault(&keys, objstoretest.Nth(n, objstoretest.Effect{Action: action}))
			_, err := encrypted(t, &under, f, keyB, keyA).Rekey(t.Context())
			calls := f.Calls()
			f.Land(-1)
			if got, _, gerr := encrypted(t, &under, &keys, keyA, keyB).Get(t.Context(), "t/acme/k"); string(got) != "text" {
				t.Fatalf("%s of call %d: Get = %v (Rekey = %v)", action, n, gerr, err)
			}
			if _, err := encrypted(t, &under, &keys, keyB, keyA).Rekey(t.Context()); err != nil {
				t.Fatalf("%s of call %d: Rekey again = %v", action, n, err)
			}
			if got, _, err := encrypted(t, &under, &keys, keyB).Get(t.Context(), "t/acme/k"); string(got) != "text" {
				t.Fatalf("%s of call %d: Get with the new key = %v", action, n, err)
			}
			if calls < n {
				break
			}
		}
	}
}

func TestServersThatStartAtOnceAgreeOnTheKey(t *testing.T) {
	t.Parallel()
	var under, keys mem.Bucket
	var wg sync.WaitGroup
	for i := range 8 {
		b := encrypted(t, &under, &keys, keyA)
		wg.Go(func() {
			for j := range 4 {
				key := fmt.Sprintf("t/acme/%d/%d", i, j)
				if _, err := b.Create(t.Context(), key, strings.NewReader(key)); err != nil {
					t.Errorf("Create = %v", err)
				}
			}
		})
	}
	wg.Wait()
	if infos, _, _ := keys.List(t.Context(), "", "", 0); len(infos) != 1 {
		t.Errorf("%d data keys, want 1", len(infos))
	}
	b := encrypted(t, &under, &keys, keyA)
	for i := range 8 {
		key := fmt.Sprintf("t/acme/%d/3", i)
		if got, _, err := b.Get(t.Context(), key); err != nil || string(got) != key {
			t.Errorf("Get(%s) = %q, %v", key, got, err)
		}
	}
}

func TestTheOutcomeOfMakingAKeyMayBeUnknown(t *testing.T) {
	t.Parallel()
	for _, action := range []objstoretest.Action{objstoretest.Fail, objstoretest.ApplyThenFail} {
		var under, keys mem.Bucket
		f := objstoretest.NewFault(&keys, func(c objstoretest.Call) objstoretest.Effect {
			if c.Op == objstoretest.Create && c.Nth == 1 {
				return objstoretest.Effect{Action: action}
			}
			return objstoretest.Effect{}
		})
		b := encrypted(t, &under, f, keyA)
		if _, err := b.Create(t.Context(), "k", strings.NewReader("x")); !errors.Is(err, objstoretest.ErrInjected) {
			t.Errorf("%s: Create = %v", action, err)
		}
		if infos, _, _ := under.List(t.Context(), "", "", 0); len(infos) != 0 {
			t.Errorf("%s: stored with a key that may be lost", action)
		}
		create(t, b, "k", []byte("x"))
		if got, _, err := encrypted(t, &under, &keys, keyA).Get(t.Context(), "k"); string(got) != "x" {
			t.Errorf("%s: Get = %q, %v", action, got, err)
		}
	}
}

func TestWarmRequestsNeedNoKeyRequests(t *testing.T) {
	t.Parallel()
	var under, keys mem.Bucket
	m := objstoretest.NewMeter(&keys, 0)
	b := encrypted(t, &under, m, keyA)
	create(t, b, "t/acme/1", nil)
	if u := m.Usage(); u.Depth > 4 {
		t.Errorf("the first object of a tenant took %s for its key", u)
	}
	m.Reset()
	create(t, b, "t/acme/2", nil)
	raw(t, b, "t/acme/1")
	if u := m.Usage(); u.Total() != 0 {
		t.Errorf("later requests took %s", u)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Create(ctx, "inbox/new/1", strings.NewReader("")); !errors.Is(err, context.Canceled) {
		t.Errorf("Create with an ended context = %v", err)
	}
}

func TestScope(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"t/acme/l1/ltx/0/1.ltx": "t.acme", "inbox/acme/7": "t.acme", "t/acme": "shared", "control/x": "shared", "export/acme/y": "shared", "t": "shared", "x/acme/1": "shared",
	} {
		if got := Scope(key); got != want {
			t.Errorf("Scope(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestParseKeyring(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		specs []string
		want  string
	}{
		{nil, "empty"},
		{[]string{"justtext"}, "id:base64"},
		{[]string{"A:" + keyA[2:]}, "id:base64"},
		{[]string{"a:" + keyA[4:]}, "32 bytes"},
		{[]string{"a:c2VjcmV0"}, "32 bytes"},
		{[]string{keyA, keyA}, "twice"},
	} {
		if _, err := ParseKeyring(c.specs); kb.KindOf(err) != kb.Invalid || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("ParseKeyring(%q) = %v, want Invalid with %q", c.specs, err, c.want)
		}
	}
	if _, err := New(new(mem.Bucket), new(mem.Bucket), Keyring{}); err == nil {
		t.Error("New with an empty keyring = nil")
	}
}

func FuzzUnwrap(f *testing.F) {
	r := ring(f, keyA)
	good := r.wrap(bytes.Repeat([]byte{7}, 32), "shared/0000000001")
	f.Add(good)
	f.Add([]byte(`{"version":1,"key":"a","nonce":"","secret":""}`))
	f.Add([]byte(`{"version":1,"key":"\n","nonce":"AAAA"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		secret, _, err := r.unwrap(data, "shared/0000000001")
		if err == nil && !bytes.Equal(secret, bytes.Repeat([]byte{7}, 32)) {
			t.Errorf("unwrapped %x from %q", secret, data)
		}
		if _, _, err := r.unwrap(data, "t.acme/0000000001"); err == nil {
			t.Errorf("unwrapped %q for another place", data)
		}
	})
}
