package objstoretest_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestToolsAreThePinnedOnes(t *testing.T) {
	t.Parallel()
	bin := objstoretest.Tool(t, "versitygw", "github.com/versity/versitygw/cmd/versitygw")
	out, err := exec.Command("go", "version", "-m", bin).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "mod\tgithub.com/versity/versitygw\tv1.8.0") && !strings.Contains(string(out), "dep\tgithub.com/versity/versitygw\tv1.8.0") {
		t.Errorf("%s is %s, %v", bin, out, err)
	}
}
