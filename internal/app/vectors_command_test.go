//go:build !function

package app

import (
	"errors"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/dense"
)

func TestVectorsStatusSaysWhatMilvusItselfSays(t *testing.T) {
	t.Parallel()
	use := dense.SpaceStatus{Space: "m/8", Dims: 8, InUse: true, Blocks: 2, Outside: 1, Sent: 20, Pending: 1, Dropped: 3}
	old := dense.SpaceStatus{Space: "old/8", Dims: 8, Blocks: 2}
	for name, tt := range map[string]struct {
		rows int
		err  error
		want string
		not  string
	}{
		"all there":     {20, nil, "milvus answers: 20 rows of the tenant in c", "lost"},
		"more than all": {30, nil, "milvus answers: 30 rows of the tenant in c", "lost"},
		"some lost":     {7, nil, "milvus answers: 7 rows of the tenant in c; some were lost", "does not tell"},
		"dead":          {0, errors.New("the vector index cannot be reached"), "milvus does not tell what it holds in c: the vector index cannot be reached", "answers"},
	} {
		var out strings.Builder
		asked := 0
		printVectors(&out, "t1", dense.Status{Chunks: 20, Model: "m", Remote: true, Spaces: []dense.SpaceStatus{use, old}}, func(s dense.SpaceStatus) (string, int, error) {
			asked++
			return "c", tt.rows, tt.err
		})
		got := out.String()
		if !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) || asked != 1 || !strings.Contains(got, "1 of the 2 blocks, 20 vectors; batches: 1 pending, 3 abandoned") {
			t.Errorf("%s, asked %d times:\n%s", name, asked, got)
		}
	}
}
