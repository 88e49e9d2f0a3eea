package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const root = "../../.." // of the repository

// python makes the virtual environment with the checkers, once for each set
// of requirements on a machine, and returns its interpreter.
var python = sync.OnceValues(func() (string, error) {
	req, err := filepath.Abs("testdata/cfn/requirements.txt")
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(req)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(b)
	dir := filepath.Join(cache, "eino-qa", "cfn-"+hex.EncodeToString(sum[:6]))
	bin := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "cfn-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp) // what a failure leaves
	// Installing took 24 s where this was written; a slow registry takes longer.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"python3", "-m", "venv", tmp},
		{filepath.Join(tmp, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r", req},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s\n(these tests need python3 with venv, and PyPI)", strings.Join(args, " "), err, out)
		}
	}
	// Another test run may have been quicker; its environment is as good.
	if err := os.Rename(tmp, dir); err != nil {
		if _, err2 := os.Stat(bin); err2 != nil {
			return "", err
		}
	}
	return bin, nil
})

// check runs the checkers over a template and returns it as CloudFormation
// gets it: without SAM's shorthand.
func check(t *testing.T, path string) template {
	t.Helper()
	py, err := python()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), py, "testdata/cfn/check.py", path)
	cmd.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0", "AWS_EC2_METADATA_DISABLED=true", "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("check %s: %v\n%s", path, err, stderr.String())
	}
	var tpl template
	if err := json.Unmarshal(out, &tpl); err != nil {
		t.Fatalf("%v: %.200s", err, out)
	}
	return tpl
}

// template is a CloudFormation template, as far as we look at it.
type template struct {
	Resources map[string]resource
}

type resource struct {
	Type       string
	Condition  string
	Properties map[string]any
}

// of returns the resources of a type.
func (t template) of(typ string) map[string]resource {
	m := map[string]resource{}
	for name, r := range t.Resources {
		if r.Type == typ {
			m[name] = r
		}
	}
	return m
}

// at walks down maps and returns what is at path, nil if nothing is.
func at(v any, path ...string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

// text shows a value with CloudFormation's functions as names: a policy's
// resource becomes "…:s3:::BUCKET/t/*".
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if s, ok := v["Fn::Sub"].(string); ok {
			return strings.NewReplacer("${AWS::StackName}-data-${AWS::AccountId}", "BUCKET", "${AWS::Partition}", "aws",
				"${AWS::Region}", "REGION", "${AWS::AccountId}", "ACCOUNT", "${AWS::StackName}", "STACK").Replace(s)
		}
		if r, ok := v["Ref"].(string); ok {
			return "REF:" + r
		}
		if g, ok := v["Fn::GetAtt"].([]any); ok {
			return fmt.Sprintf("ATT:%v", g)
		}
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// list returns v as a list: policies allow one string for a list of one.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// whenVPC takes the branch of !If [InVpc, …] that is used inside a VPC.
func whenVPC(v any) any {
	if branches, ok := at(v, "Fn::If").([]any); ok && len(branches) == 3 {
		return branches[1]
	}
	return v
}
