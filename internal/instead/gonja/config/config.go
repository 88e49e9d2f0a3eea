// Package config has the names of gonja's settings that eino uses.
package config

// Config is no setting at all.
type Config struct{}

// DefaultConfig is the Config.
var DefaultConfig = Config{}
