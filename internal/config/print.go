package config

import (
	"encoding/json"
	"strings"
	"time"
)

// String is Redacted, so that no way of printing a Config shows a secret.
func (c Config) String() string { return c.Redacted() }

// Redacted writes the effective settings as YAML, each with the place its
// value comes from unless that is the default. Secrets are shown as set or
// not; Load refuses what stands there instead of them.
func (c Config) Redacted() string {
	var b strings.Builder
	if c.Run.File == "" {
		b.WriteString("# no settings file\n")
	} else {
		b.WriteString("# settings file: " + c.Run.File + "\n")
	}
	var open []string
	s := knownSettings()
	for i := range s.settings {
		one := &s.settings[i]
		parts := strings.Split(one.path, ".")
		sections, key := parts[:len(parts)-1], parts[len(parts)-1]
		same := 0
		for same < len(open) && same < len(sections) && open[same] == sections[same] {
			same++
		}
		for ; same < len(sections); same++ {
			b.WriteString(strings.Repeat("  ", same) + sections[same] + ":\n")
		}
		open = sections
		b.WriteString(strings.Repeat("  ", len(sections)) + key + ": " + yamlValue(one.of(&c).Interface()))
		if origin := c.Run.Origin[one.path]; origin != "" {
			b.WriteString(" # " + origin)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func yamlValue(v any) string {
	switch v := v.(type) {
	case string:
		return yamlString(v)
	case Secret:
		return yamlString(v.String())
	case []string:
		return yamlList(v)
	case []Secret:
		var words []string
		for _, s := range v {
			words = append(words, s.String())
		}
		return yamlList(words)
	case time.Duration:
		return showDuration(v)
	}
	return show(v)
}

func yamlList(items []string) string {
	words := make([]string, 0, len(items))
	for _, item := range items {
		words = append(words, yamlString(item))
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// isPlain reports whether s needs no quotes: it is made of harmless characters
// and cannot be taken for a number, a truth value or null.
func isPlain(s string) bool {
	switch strings.ToLower(s) {
	case "", "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '/'
		if !letter && (i == 0 || c != '_' && c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

func yamlString(s string) string {
	if isPlain(s) {
		return s
	}
	s = strings.ReplaceAll(s, "$", "$$") // Load expands variables
	quoted, err := json.Marshal(s)       // JSON's strings are YAML's double-quoted ones
	if err != nil {
		return `""`
	}
	return string(quoted)
}
