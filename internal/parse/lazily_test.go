package parse

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestEveryPatternCompiles: a broken one would panic only when it is used.
func TestEveryPatternCompiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			lit, isLit := call.Args[0].(*ast.BasicLit)
			if fn, ok := call.Fun.(*ast.Ident); !ok || fn.Name != "lazily" || !isLit {
				return true
			}
			n++
			expr, err := strconv.Unquote(lit.Value)
			if err == nil {
				_, err = regexp.Compile(expr)
			}
			if err != nil {
				t.Errorf("%s: %s: %v", name, lit.Value, err)
			}
			return true
		})
	}
	if n < 10 {
		t.Errorf("%d patterns were found, want more", n)
	}
}
