package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// warn collects what is allowed and still worth a line at the start.
func (l *loader) warn() {
	c := &l.cfg
	say := func(format string, args ...any) {
		c.Run.Warnings = append(c.Run.Warnings, fmt.Sprintf(format, args...))
	}
	if c.Server.Mode == Debug && c.PublicChat() && c.Server.Host != "localhost" && !net.ParseIP(c.Server.Host).IsLoopback() {
		say("server.mode is debug and server.host is %s: whoever reaches this machine can chat without a key; set server.mode: release for real use", c.Server.Host)
	}
	for _, k := range c.Security.APIKeys {
		if len(k.Reveal()) < 16 { // 96 bits in base 64
			say("security.api_keys holds a key of fewer than 16 characters; make one with: openssl rand -hex 24")
			break
		}
	}
	if (c.Run.Platform == "lambda" || c.Run.Platform == "fc") && c.Storage.URL == "" {
		say("storage.url is empty: on a function the local disk is lost with the instance; set STORAGE_URL to s3://… or oss://…")
	}
	if c.Storage.URL != "" && l.isSet("database.base_path") && strings.HasPrefix(c.Storage.URL, "file://") {
		say("storage.url and database.base_path are both set; documents live in storage.url")
	}
	for _, name := range l.nearMisses() {
		say("%s", name)
	}
}

// nearMisses finds variables that look like a setting with a slip of the
// finger: one cannot refuse unknown variables, but this is what they are
// looked for first.
func (l *loader) nearMisses() []string {
	var names []string
	for name := range l.schema.byEnv {
		names = append(names, name)
	}
	slices.Sort(names)
	var found []string
	for name := range l.vars {
		section, _, _ := strings.Cut(name, "_")
		if l.schema.byEnv[name] != nil || !l.schema.sections[strings.ToLower(section)] && l.varFrom[name] == "" {
			continue
		}
		const slip = 2 // letters; more is another word
		for _, known := range names {
			if distance(name, known, slip) <= slip {
				found = append(found, fmt.Sprintf("%s is not a setting; did you mean %s?", name, known))
				break
			}
		}
	}
	slices.Sort(found)
	return found
}
