package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

// TestDocumentation keeps docs/configuration.md the same as the comments, tags
// and defaults of this package.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	const path = "../../docs/configuration.md"
	want := document(t)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, path); got != want {
		t.Errorf("docs/configuration.md is not what the package says; run: go test ./internal/config -run TestDocumentation -update")
	}
}

const docHead = `# Settings

Made from the package by ` + "`go test ./internal/config -run TestDocumentation -update`" + `; edit the comments there.

Settings come from four places, the later ones winning:

1. the defaults below;
2. a YAML file: ` + "`-config FILE`, else `CONFIG_PATH`, else `" + DefaultFile + "`" + ` where it exists;
3. a file ` + "`.env`" + ` in the folder the server is started in;
4. the environment. A setting's variable is its path in capitals: ` + "`server.port` is `SERVER_PORT`" + `.

An empty variable counts as absent. ` + "`bin/server -validate`" + ` prints the settings in effect, each
with the place it comes from and without secrets, or every bad setting at once, and exits with code 2.

In the YAML file:

- a value may name variables: ` + "`${NAME}` or `${NAME:-default}`; `$$` is a `$`" + `. They are replaced after the
  file was parsed, so what a variable holds never becomes YAML. A value that is nothing but a variable without a
  value counts as absent; such a variable inside other text is an error;
- unknown settings are refused with a suggestion;
- durations have units (` + "`500ms`, `30s`, `5m`, `1h`, `7d`" + `), sizes may have (` + "`512KiB`, `10M`" + `, powers of 1024), lists
  may also be written in one line with commas.

In ` + "`.env`" + `: ` + "`NAME=value`" + ` a line, comments, an ` + "`export`" + ` prefix, 'single' and "double" quotes; a ` + "`$`" + ` is a ` + "`$`" + `.

Secrets (marked) are never printed or logged. Sample values such as ` + "`your_api_key`" + ` are refused.
Besides the variables below, ` + "`API_KEY_1`, `API_KEY_2`" + ` (added to ` + "`security.api_keys`), `ROOT_KEY`" + ` and, for the
store, the variables of AWS and Alibaba Cloud are read.
`

// document writes the whole file.
func document(t *testing.T) string {
	t.Helper()
	comments := fieldComments(t)
	var b strings.Builder
	b.WriteString(docHead)
	s, c := knownSettings(), Default()
	open := ""
	for i := range s.settings {
		one := &s.settings[i]
		section := one.path[:strings.LastIndex(one.path, ".")]
		owner, _, _ := strings.Cut(one.owner, ".")
		if section != open {
			open = section
			fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| setting | environment | default | |\n|---|---|---|---|\n", section, plain(comments[owner], owner))
		}
		_, field, _ := strings.Cut(one.owner, ".")
		text := plain(comments[one.owner], field)
		if text == "" {
			t.Errorf("%s has no comment", one.owner)
		}
		if one.secret {
			text += " Secret."
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s%s |\n", one.path, one.env, cell(yamlValue(one.of(&c).Interface())), strings.ReplaceAll(text, "|", "\\|"), bounds(one))
	}
	return b.String()
}

func cell(value string) string {
	if value == `""` || value == "[]" {
		return ""
	}
	return "`" + strings.Trim(value, `"`) + "`"
}

// bounds writes what the tags allow.
func bounds(one *setting) string {
	tag := one.field.Tag
	switch {
	case tag.Get("allow") != "":
		return " One of `" + strings.ReplaceAll(tag.Get("allow"), "|", "`, `") + "`."
	case tag.Get("min") != "":
		return fmt.Sprintf(" %s to %s.", tag.Get("min"), tag.Get("max"))
	}
	return ""
}

// plain makes a sentence of the documentation from a doc comment: without the
// name it begins with.
func plain(comment, name string) string {
	text := strings.Join(strings.Fields(comment), " ")
	for _, verb := range []string{" is ", " are ", " "} {
		if rest, ok := strings.CutPrefix(text, name+verb); ok {
			text = rest
			break
		}
	}
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// fieldComments reads the doc comments of this package's structs and fields.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	comments := map[string]string{}
	for _, name := range []string{"config.go", "sections.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				return true
			}
			spec := decl.Specs[0].(*ast.TypeSpec)
			comments[spec.Name.Name] = decl.Doc.Text()
			if body, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range body.Fields.List {
					for _, id := range f.Names {
						comments[spec.Name.Name+"."+id.Name] = f.Doc.Text()
					}
				}
			}
			return true
		})
	}
	return comments
}
