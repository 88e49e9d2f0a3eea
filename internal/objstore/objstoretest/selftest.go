package objstoretest

import (
	"context"
	"errors"
	"testing"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

func selfTest(t *testing.T, b objstore.Bucket) {
	create(t, b, "keep/me", "x")
	for _, prefix := range []string{"", "keep", "keep/", "control/self"} {
		if err := objstore.SelfTest(t.Context(), b, prefix); err != nil {
			t.Errorf("SelfTest(%q) = %v", prefix, err)
		}
	}
	wantList(t, b, "", "", 10, []string{"keep/me"}, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := objstore.SelfTest(ctx, b, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("SelfTest with an ended context = %v", err)
	}
}
