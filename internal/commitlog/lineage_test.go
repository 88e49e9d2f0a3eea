package commitlog

import (
	"bytes"
	"errors"
	"testing"
)

func TestSwapUndoAndDelete(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t, Config{})
	st := grow(t, l, 6)
	ctx := t.Context()
	h, err := l.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	to, err := l.Fork(ctx, h.Generation, h.Lineage, 3)
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Fork(ctx, h.Generation, h.Lineage, 4)
	if err != nil {
		t.Fatal(err)
	}
	next, err := l.Swap(ctx, h, to)
	if err != nil || next.Lineage != to || next.Seal != 8 {
		t.Fatalf("swap: %+v %v", next, err)
	}
	if again, err := l.Swap(ctx, h, to); err != nil || again != next {
		t.Errorf("the same swap again: %+v %v", again, err)
	}
	if _, err := l.Swap(ctx, h, other); !errors.Is(err, ErrSealed) {
		t.Errorf("a second swap of the same lineage: %v, want ErrSealed", err)
	}
	if _, err := trySet(l, st, 8); !errors.Is(err, ErrConflict) {
		t.Errorf("commit after the seal: %v, want ErrConflict", err)
	}
	if _, _, err := l.Catchup(ctx, st, nil); !errors.Is(err, ErrSealed) {
		t.Errorf("catch up over the seal: %v, want ErrSealed", err)
	}
	if _, err := l.Snapshot(ctx, h.Lineage); !errors.Is(err, ErrSealed) {
		t.Errorf("snapshot of a sealed lineage: %v, want ErrSealed", err)
	}
	if v, err := page2(ctx, l, to, 0); err != nil || v != 3 {
		t.Errorf("after the swap: %d %v, want 3", v, err)
	}
	undone, err := l.Undo(ctx, next)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := page2(ctx, l, undone.Lineage, 0); err != nil || v != 7 {
		t.Errorf("after undo: %d %v, want 7", v, err)
	}
	gone, err := l.Delete(ctx, undone)
	if err != nil || !gone.Deleted {
		t.Fatalf("delete: %+v %v", gone, err)
	}
	if _, err := l.Load(ctx, 1<<20); !errors.Is(err, ErrDeleted) {
		t.Errorf("load after delete: %v, want ErrDeleted", err)
	}
	back, err := l.Undo(ctx, gone)
	if err != nil || back.Deleted {
		t.Fatalf("undo of the deletion: %+v %v", back, err)
	}
	if v, err := page2(ctx, l, back.Lineage, 0); err != nil || v != 7 {
		t.Errorf("after that: %d %v, want 7", v, err)
	}
	if err := l.Retire(ctx, h.Lineage); err != nil {
		t.Fatal(err)
	}
	if _, err := trySet(l, st, 8); !errors.Is(err, ErrStale) || !errors.Is(err, ErrUnknown) {
		t.Errorf("commit into a retired lineage: %v, want ErrStale and ErrUnknown", err)
	}
	heads, err := l.Heads(ctx)
	if err != nil || len(heads) != 5 {
		t.Errorf("%d pointers, %v; want 5", len(heads), err)
	}
}

func TestWhoeverMeetsASealCompletesThePointer(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t, Config{})
	st := grow(t, l, 2)
	h, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to, err := l.Fork(t.Context(), h.Generation, h.Lineage, st.TXID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.putSeal(t.Context(), h, Seal{Successor: to}); err != nil { // and killed there
		t.Fatal(err)
	}
	ld, err := l.Load(t.Context(), 1<<20)
	if err != nil || ld.Head.Lineage != to || ld.Head.Generation != 2 {
		t.Errorf("load: %+v %v, want %s", ld, err, to)
	}
}

func TestAnImportIsReadBackByteForByte(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t, Config{})
	grow(t, l, 0)
	h, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := append(emptyPage(), bytes.Repeat([]byte{7}, 3*PageSize)...)
	db[31] = 4
	lin, err := l.Import(t.Context(), h.Generation, bytes.NewReader(db), int64(len(db)))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := l.WriteDatabase(t.Context(), lin, 0, &got); err != nil || !bytes.Equal(got.Bytes(), db) {
		t.Errorf("%d bytes differ from %d: %v", got.Len(), len(db), err)
	}
	for _, bad := range [][]byte{nil, db[:5000], bytes.Repeat([]byte{1}, PageSize)} {
		if _, err := l.Import(t.Context(), h.Generation, bytes.NewReader(bad), int64(len(bad))); !errors.Is(err, ErrNotDatabase) {
			t.Errorf("import of %d bytes: %v, want ErrNotDatabase", len(bad), err)
		}
	}
}
