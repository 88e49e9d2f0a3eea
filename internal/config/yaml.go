package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlFile lays one file over a Config. It walks the syntax tree itself,
// because variables are expanded between parsing and conversion, and because
// it can name the line of every problem at once.
type yamlFile struct {
	l       *loader
	name    string
	anchors map[string]ast.Node
}

// maxFileBytes bounds the files we read; the shipped ones have 3 KiB.
const maxFileBytes = 1 << 20

// file parses data and lays its settings over l.cfg.
func (l *loader) file(name string, data []byte) {
	f := yamlFile{l: l, name: name, anchors: map[string]ast.Node{}}
	if !utf8.Valid(data) {
		l.bad("", name, "is not a text file in UTF-8")
		return
	}
	tree, err := parseYAML(data)
	if err != nil {
		f.syntax(err)
		return
	}
	docs := 0
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if docs++; docs > 1 {
			f.bad(doc.Body, "", "holds a second document after ---; one file is one document")
			return
		}
		f.section(doc.Body, "")
	}
}

// parseYAML turns a panic of the parser into an error: the file is foreign.
func parseYAML(data []byte) (tree *ast.File, err error) {
	defer func() {
		if recover() != nil {
			tree, err = nil, errors.New("is not YAML")
		}
	}()
	return parser.ParseBytes(data, 0)
}

// syntax reports the parser's error without the excerpt of the file that its
// Error method prints: the excerpt may hold a key.
func (f *yamlFile) syntax(err error) {
	at, msg := f.name, "is not YAML"
	if e, ok := errors.AsType[positionedError](err); ok {
		msg = "is not YAML: " + e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			at = fmt.Sprintf("%s:%d", f.name, t.Position.Line)
		}
	}
	f.l.bad("", at, "%s", msg)
}

// positionedError is what the parser's errors have in common.
type positionedError interface {
	error
	GetToken() *token.Token
	GetMessage() string
}

// section reads a mapping whose keys are settings or sections below path.
func (f *yamlFile) section(node ast.Node, path string) {
	node, ok := f.resolve(node, path)
	if !ok {
		return
	}
	m, ok := node.(ast.MapNode)
	if !ok {
		if _, null := node.(*ast.NullNode); null {
			return
		}
		if path == "" {
			f.bad(node, "", "is not a list of settings; write \"server:\" and below it, indented, \"port: 8080\"")
			return
		}
		f.bad(node, path, "is a section; write its settings below it, indented")
		return
	}
	for it := m.MapRange(); it.Next(); {
		f.entry(it.Key(), it.Value(), path)
	}
}

// entry reads one "key: value".
func (f *yamlFile) entry(key ast.MapKeyNode, value ast.Node, parent string) {
	if key.IsMergeKey() {
		f.bad(key, parent, "uses << to merge; write the settings out")
		return
	}
	path := join(parent, keyText(key))
	switch one := f.l.schema.byPath[path]; {
	case one != nil:
		f.leaf(one, value)
	case f.l.schema.sections[path]:
		f.section(value, path)
	default:
		hint := ""
		if g := f.l.schema.guess(path); g != "" {
			hint = fmt.Sprintf("; did you mean %s?", g)
		}
		f.bad(key, path, "unknown setting%s", hint)
	}
}

func keyText(key ast.MapKeyNode) string {
	if s, ok := key.(*ast.StringNode); ok {
		return s.Value
	}
	if t := key.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

// leaf reads the value of one setting: a scalar, or a list where the setting
// is one.
func (f *yamlFile) leaf(one *setting, value ast.Node) {
	node, ok := f.resolve(value, one.path)
	if !ok {
		return
	}
	switch node := node.(type) {
	case ast.MapNode:
		f.bad(value, one.path, "is one value, not a section")
	case *ast.SequenceNode:
		if one.field.Type.Kind() != reflect.Slice {
			f.bad(value, one.path, "is one value, not a list")
			return
		}
		f.list(one, node)
	default:
		if text, present := f.scalar(node, one.path); present && text != "" {
			f.set(one, node, text)
		}
	}
}

// list reads "- a", "- b". Items without a value are dropped, so that
// "- ${API_KEY_2}" may stand in a file while the variable is not set.
func (f *yamlFile) list(one *setting, node *ast.SequenceNode) {
	var items []string
	for _, value := range node.Values {
		item, ok := f.resolve(value, one.path)
		if !ok {
			return
		}
		switch item.(type) {
		case ast.MapNode, *ast.SequenceNode:
			f.bad(item, one.path, "is a list of single values")
			return
		}
		if text, present := f.scalar(item, one.path); present && text != "" {
			items = append(items, text)
		}
	}
	if len(items) == 0 && len(node.Values) > 0 {
		return // absent, unlike "[]"
	}
	field := one.of(&f.l.cfg)
	if one.secret {
		field.Set(reflect.ValueOf(secrets(items)))
	} else {
		field.Set(reflect.ValueOf(items))
	}
	f.l.from(one.path, f.at(node))
}

func (f *yamlFile) set(one *setting, node ast.Node, text string) {
	f.l.from(one.path, f.at(node))
	if err := f.l.schema.set(&f.l.cfg, one, text); err != nil {
		f.l.badSetting(one.path, err)
	}
}

// scalar returns the text of a scalar with its variables expanded; present is
// false for null and for variables without a value.
func (f *yamlFile) scalar(node ast.Node, path string) (text string, present bool) {
	switch n := node.(type) {
	case *ast.NullNode:
		return "", false
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value // as written: 08080 must not become 4160
	default:
		f.bad(node, path, "has a value of a kind that is not read here; write it as plain text")
		return "", false
	}
	value, present, err := expand(text, f.l.lookup)
	if err != nil {
		f.bad(node, path, "%s", err)
		return "", false
	}
	return strings.TrimSpace(value), present
}

// resolve follows anchors, aliases and tags to the node that has a value.
func (f *yamlFile) resolve(node ast.Node, path string) (ast.Node, bool) {
	const most = 32 // steps: an alias can point at itself
	for range most {
		switch n := node.(type) {
		case nil:
			return nil, false
		case *ast.AnchorNode:
			f.anchors[n.Name.String()] = n.Value
			node = n.Value
		case *ast.AliasNode:
			target, ok := f.anchors[n.Value.String()]
			if !ok {
				f.bad(n, path, "names *%s, which is defined nowhere above", n.Value.String())
				return nil, false
			}
			node = target
		case *ast.TagNode:
			node = n.Value
		default:
			return node, true
		}
	}
	f.bad(node, path, "names itself")
	return nil, false
}

func (f *yamlFile) at(node ast.Node) string {
	if t := node.GetToken(); t != nil && t.Position != nil {
		return fmt.Sprintf("%s:%d", f.name, t.Position.Line)
	}
	return f.name
}

func (f *yamlFile) bad(node ast.Node, path, format string, args ...any) {
	f.l.bad(path, f.at(node), format, args...)
}
