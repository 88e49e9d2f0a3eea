package emulator

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Build compiles the main package pkg to the file out as functions are
// deployed: no cgo, no RPC mode of Lambda's old runtime, no symbols. Extra
// tags are added.
func Build(ctx context.Context, pkg, out string, tags ...string) error {
	var all strings.Builder
	all.WriteString("lambda.norpc")
	for _, t := range tags {
		all.WriteString("," + t)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", all.String(), "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, b)
	}
	return nil
}
