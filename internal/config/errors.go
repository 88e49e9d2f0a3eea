package config

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with the settings.
type Problem struct {
	Setting string // path, "server.port"; empty where no setting is meant
	Where   string // "config/config.yaml:3", "SERVER_PORT", ".env:2"; empty for a default
	Msg     string // what is wrong and what to write instead; never the value of a secret
}

// String is one line: where, setting, message.
func (p Problem) String() string {
	var parts []string
	if p.Where != "" {
		parts = append(parts, p.Where)
	}
	if p.Setting != "" && p.Setting != p.Where {
		parts = append(parts, p.Setting)
	}
	return strings.Join(append(parts, p.Msg), ": ")
}

// Error is every problem with the settings at once. Programs exit with code 2.
type Error struct {
	Problems []Problem // at least one, in the order they were met
}

// Error writes one problem a line.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "bad setting: " + e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d bad settings:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}
