package deploy

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDeployingAsksForItsToolsFirst: who lacks one learns it before minutes
// are spent on packing, which would fail here.
func TestDeployingAsksForItsToolsFirst(t *testing.T) {
	t.Parallel()
	mk, err := exec.LookPath("make")
	if err != nil {
		t.Skip("make is not installed")
	}
	for target, says := range map[string]string{"deploy-aws": "the SAM CLI is missing", "deploy-aliyun": "Serverless Devs is missing"} {
		cmd := exec.CommandContext(t.Context(), mk, target, "GO=false", "VERSION=test")
		cmd.Dir, cmd.Env = root, []string{"PATH=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) || strings.Contains(string(out), "dist/") {
			t.Errorf("make %s without its tool: %v\n%s", target, err, out)
		}
	}
}
