package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestVitalsTellWhatTheStoreComplainsAbout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ill error
		writes := false // only they fail
		f := objstoretest.NewFault(new(mem.Bucket), func(c objstoretest.Call) objstoretest.Effect {
			if ill == nil || writes && !c.Op.Writes() {
				return objstoretest.Effect{}
			}
			return objstoretest.Effect{Action: objstoretest.Fail, Err: ill}
		})
		var v objstore.Vitals
		b := objstore.Observed(f, v.Observe)
		ctx := context.Background()
		read := func() { _, _, _ = b.Get(ctx, "k") }
		write := func() { _, _ = b.Put(ctx, "k", bytes.NewReader([]byte("x"))) }
		wants := func(when, want string) {
			t.Helper()
			if got := v.Complaint(); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		wants("nothing was asked", "")
		read()
		write()
		wants("all is well", "")
		ill, writes = objstore.Trouble(objstore.ErrFull, nil), true
		write()
		read() // works, and hides nothing
		wants("full", "store is full")
		time.Sleep(2 * time.Minute)
		wants("full, two minutes ago", "")
		write()
		wants("still full", "store is full")
		ill = nil
		write()
		wants("room was made", "")
		ill, writes = objstore.Trouble(objstore.ErrDenied, nil), false
		read()
		wants("expired", "store refuses the credentials")
		ill = errors.New("no name for it")
		read()
		wants("some error", "store does not answer")
		ill = nil
		read()
		gone, cancel := context.WithCancel(ctx)
		cancel()
		_, _, _ = b.Get(gone, "k")
		wants("a client left", "")
	})
}

func TestComplaintsTellNoSecrets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{objstore.Trouble(objstore.ErrReadOnly, errors.New("bucket secret-name")), "store is read-only"},
		{kb.E(kb.Unavailable, nil, "bucket secret-name has versioning"), "store is not fit for use: the log says why"},
		{errors.New("dial secret-name"), "store does not answer"},
	} {
		if got := objstore.Complaint(c.err); got != c.want {
			t.Errorf("Complaint(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}
