package config

import (
	"log/slog"
)

// hidden stands for the value of a secret wherever one is printed. Load
// refuses it as a value, so printed settings cannot be mistaken for real ones.
const hidden = "[secret]"

// Secret is a value that cannot be printed by accident: every way to format it
// shows whether it is set and no more. The zero value is an unset secret.
type Secret struct {
	// A pointer, because fmt cannot call our methods on an unexported field
	// of another struct: there it prints an address instead of the value.
	v *string
}

// NewSecret hides v. An empty v is an unset secret.
func NewSecret(v string) Secret {
	if v == "" {
		return Secret{}
	}
	return Secret{&v}
}

// Reveal returns the value, for the one call that needs it.
func (s Secret) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.v != nil }

// Equal compares values. It takes time that depends on them: for checking a
// caller's key use crypto/subtle on hashes.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() }

// String returns "[secret]", or "" for an unset secret.
func (s Secret) String() string {
	if s.v == nil {
		return ""
	}
	return hidden
}

// GoString is String for %#v.
func (s Secret) GoString() string { return `config.Secret("` + s.String() + `")` }

// MarshalText is String for encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is String for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// UnmarshalText sets the value.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
