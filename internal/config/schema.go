package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caarlos0/env/v11"
)

// setting is one leaf of Config.
type setting struct {
	path   string // "server.port"
	env    string // "SERVER_PORT"
	owner  string // Go type and field, "Server.Port", for the documentation
	field  reflect.StructField
	index  []int // of the field in Config
	secret bool
}

// schema knows every setting.
type schema struct {
	settings []setting // in the order of the struct, which is the order of printing
	byPath   map[string]*setting
	byEnv    map[string]*setting
	sections map[string]bool // "server", "server.tls"
	parse    map[reflect.Type]env.ParserFunc
}

// knownSettings returns the schema of Config, which nobody changes. Making it
// walks through some hundred fields, so it is made once.
var knownSettings = sync.OnceValue(func() *schema {
	const usual = 160 // settings: none is moved while they are gathered
	s := &schema{
		settings: make([]setting, 0, usual),
		byPath:   make(map[string]*setting, usual),
		byEnv:    make(map[string]*setting, usual),
		sections: map[string]bool{"": true},
		parse:    parsers(),
	}
	s.add(reflect.TypeFor[Config](), "", nil)
	for i := range s.settings {
		one := &s.settings[i]
		s.byPath[one.path], s.byEnv[one.env] = one, one
	}
	return s
})

func (s *schema) add(t reflect.Type, prefix string, index []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "-" {
			continue
		}
		path, at := join(prefix, name), append(slices.Clone(index), i)
		if s.parse[f.Type] == nil {
			s.sections[path] = true
			s.add(f.Type, path, at)
			continue
		}
		s.settings = append(s.settings, setting{
			path: path, env: envName(path), owner: t.Name() + "." + f.Name, field: f, index: at,
			secret: f.Type == reflect.TypeFor[Secret]() || f.Type == reflect.TypeFor[[]Secret](),
		})
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// envName is the environment variable of a path: server.port → SERVER_PORT.
func envName(path string) string {
	return strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// of returns the setting's field in c.
func (one *setting) of(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(one.index)
}

// set parses text into the setting's field in c.
func (s *schema) set(c *Config, one *setting, text string) error {
	v, err := s.parse[one.field.Type](text)
	if err != nil {
		return one.complain(text, err.Error())
	}
	one.of(c).Set(reflect.ValueOf(v))
	return nil
}

// complain makes the sentence about a bad value; a secret's value is not in it.
func (one *setting) complain(value, what string) error {
	if one.secret {
		return fmt.Errorf("the value %s", what)
	}
	return fmt.Errorf("%s %s", quote(value), what)
}

// quote keeps a wrong value readable in one line of an error.
func quote(value string) string {
	const most = 60 // runes: what fits beside the rest of the sentence
	if r := []rune(value); len(r) > most {
		value = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", value)
}

// check holds c's value against the setting's min, max and allow tags.
func (s *schema) check(c *Config, one *setting) error {
	tag, v := one.field.Tag, one.of(c)
	if allow, ok := tag.Lookup("allow"); ok {
		return checkWord(v.String(), strings.Split(allow, "|"), one)
	}
	if tag.Get("min") == "" {
		return nil
	}
	lo, err := s.parse[one.field.Type](tag.Get("min"))
	if err != nil {
		return fmt.Errorf("tag min of %s: %w", one.path, err)
	}
	hi, err := s.parse[one.field.Type](tag.Get("max"))
	if err != nil {
		return fmt.Errorf("tag max of %s: %w", one.path, err)
	}
	if compare(v.Interface(), lo) < 0 || compare(v.Interface(), hi) > 0 {
		return fmt.Errorf("%s is out of range; use %s to %s", show(v.Interface()), show(lo), show(hi))
	}
	return nil
}

func checkWord(got string, allowed []string, one *setting) error {
	if got == "" || slices.Contains(allowed, got) {
		return nil // empty: nobody set it, derive will
	}
	hint := ""
	if best := nearest(strings.ToLower(got), allowed); best != "" {
		hint = fmt.Sprintf("; did you mean %s?", best)
	}
	return one.complain(got, "is not one of "+strings.Join(allowed, ", ")+hint)
}

func compare(a, b any) int {
	switch a := a.(type) {
	case int:
		return cmp.Compare(a, b.(int))
	case float64:
		return cmp.Compare(a, b.(float64))
	case Bytes:
		return cmp.Compare(a, b.(Bytes))
	case time.Duration:
		return cmp.Compare(a, b.(time.Duration))
	}
	return 0
}

// show writes a value the way the file would: 30s, not 30000000000.
func show(v any) string {
	if d, ok := v.(time.Duration); ok {
		return showDuration(d)
	}
	return fmt.Sprint(v)
}

// showDuration drops the zero parts that Duration.String writes: 1h, not 1h0m0s.
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
