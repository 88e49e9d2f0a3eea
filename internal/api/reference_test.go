package api

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/api.md anew")

// TestTheReferenceSaysWhatTheDescriptionSays holds docs/api.md and
// openapi.json together.
func TestTheReferenceSaysWhatTheDescriptionSays(t *testing.T) {
	t.Parallel()
	const path = "../../docs/api.md"
	var doc description
	if err := json.Unmarshal(openapiJSON, &doc); err != nil {
		t.Fatal(err)
	}
	want := doc.markdown()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/api.md is not what openapi.json says; go test ./internal/api -run Reference -update writes it")
	}
}

// description is the part of an OpenAPI document that the reference shows.
type description struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]shape }
}

type operation struct {
	Summary    string
	Security   []map[string]any
	Parameters []struct {
		Name, In, Description string
		Required              bool
		Schema                shape
	}
	RequestBody *struct {
		Content map[string]struct{ Schema shape }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema shape }
	}
}

type shape struct {
	Ref         string `json:"$ref"`
	Type        any
	Format      string
	Description string
	Enum        []any
	Items       *shape
	Properties  map[string]shape
	Required    []string
	Default     any
	Minimum     *float64
	Maximum     *float64
	MaxLength   int
}

const referenceHead = `# HTTP API

Written from ` + "`internal/api/openapi.json`" + `, which every server shows at ` + "`/openapi.json`" + `; a test holds the two together.

- **Who asks**: ` + "`X-API-Key: KEY` or `Authorization: Bearer KEY`" + `. Keys have scopes: chat, ingest, admin, root. Routes marked *open* also work without a key where the tenant allows public chat.
- **Which tenant**: the key's own; a key bound to none names it by ` + "`X-Tenant-ID`, `?tenant=` or the body's `tenant_id`" + `, in this order; else ` + "`default`" + `.
- **Errors**: ` + "`{\"code\":400,\"message\":\"…\",\"details\":{…},\"trace_id\":\"…\"}`" + ` with the HTTP status as code. 429 and 503 carry ` + "`Retry-After`" + `. Fields we do not know are refused by name.
- **Lists**: ` + "`{\"<plural>\":[…],\"next\":\"…\"}`" + `; give ` + "`next`" + ` back as ` + "`cursor`" + ` for the next page.
- **Streams**: server-sent events with ` + "`data:`" + ` lines only, each an *Event*; comment lines keep the connection open.
- **Again, safely**: a POST that changes something takes ` + "`Idempotency-Key`" + ` where it is listed.

`

func (d description) markdown() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for _, path := range slices.SortedFunc(maps.Keys(d.Paths), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	}) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			d.Paths[path][method].markdown(&b, strings.ToUpper(method)+" "+path)
		}
	}
	b.WriteString("## Shapes\n\nFields with * are always there.\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		fmt.Fprintf(&b, "\n### %s\n\n", name)
		d.Components.Schemas[name].fields(&b)
	}
	return b.String()
}

// rank puts what visitors use before what operators use.
func rank(path string) int {
	return slices.IndexFunc([]string{"/chat", "/api/", "/models", "/admin/", "/"}, func(p string) bool { return strings.HasPrefix(path, p) })
}

func (o operation) markdown(b *strings.Builder, title string) {
	open := ""
	if slices.ContainsFunc(o.Security, func(s map[string]any) bool { return len(s) == 0 }) || len(o.Security) == 0 {
		open = " *open*"
	}
	fmt.Fprintf(b, "## %s\n\n%s.%s\n\n", title, o.Summary, open)
	for _, p := range o.Parameters {
		need := ""
		if p.Required {
			need = ", required"
		}
		fmt.Fprintf(b, "- `%s` (%s, %s%s)%s\n", p.Name, p.In, p.Schema.kind(), need, after(p.Description))
	}
	if o.RequestBody != nil {
		for _, media := range slices.Sorted(maps.Keys(o.RequestBody.Content)) {
			fmt.Fprintf(b, "- body, `%s`: %s\n", media, o.RequestBody.Content[media].Schema.kind())
		}
	}
	var refused []string
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		if status >= "400" && r.Description == "" {
			refused = append(refused, status)
			continue
		}
		fmt.Fprintf(b, "- **%s**%s", status, after(r.Description))
		for _, media := range slices.Sorted(maps.Keys(r.Content)) {
			fmt.Fprintf(b, "; `%s`: %s", media, r.Content[media].Schema.kind())
		}
		b.WriteString("\n")
	}
	if len(refused) > 0 {
		fmt.Fprintf(b, "- refused with %s: *Error*\n", strings.Join(refused, ", "))
	}
	b.WriteString("\n")
}

func after(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// kind is a shape in a few words.
func (s shape) kind() string {
	switch {
	case s.Ref != "":
		return "*" + s.Ref[strings.LastIndexByte(s.Ref, '/')+1:] + "*"
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			words[i] = fmt.Sprint(e)
		}
		return strings.Join(words, " \\| ")
	case s.Items != nil:
		return "list of " + s.Items.kind()
	}
	out := fmt.Sprint(s.Type)
	if types, ok := s.Type.([]any); ok {
		out = strings.Trim(strings.ReplaceAll(fmt.Sprint(types...), " ", " or "), "[]")
	}
	if s.Type == nil {
		out = "any"
	}
	if s.Format != "" {
		out += " " + s.Format
	}
	if s.Minimum != nil {
		out += fmt.Sprintf(", at least %g", *s.Minimum)
	}
	if s.Maximum != nil {
		out += fmt.Sprintf(", at most %g", *s.Maximum)
	}
	if s.MaxLength > 0 {
		out += fmt.Sprintf(", at most %d characters", s.MaxLength)
	}
	if s.Default != nil {
		out += fmt.Sprintf(", default %v", s.Default)
	}
	return out
}

func (s shape) fields(b *strings.Builder) {
	if len(s.Properties) == 0 {
		fmt.Fprintf(b, "%s%s\n", s.kind(), after(s.Description))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		star := ""
		if slices.Contains(s.Required, name) {
			star = "*"
		}
		p := s.Properties[name]
		fmt.Fprintf(b, "- `%s`%s %s%s\n", name, star, p.kind(), after(p.Description))
		if len(p.Properties) > 0 {
			var nested strings.Builder
			p.fields(&nested)
			for line := range strings.Lines(nested.String()) {
				b.WriteString("  " + line)
			}
		}
	}
}
