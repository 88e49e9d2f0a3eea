package config

import "strings"

// isPlaceholder reports whether value is a sample from a guide, an example
// file or another project's defaults rather than a secret. Such values are on
// the internet: a server that accepts one is open.
func isPlaceholder(value string) bool {
	v := strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace(strings.ToLower(strings.TrimSpace(value)))
	v = strings.TrimPrefix(v, "sk_") // "sk-your-key" has the shape of a model key
	switch v {
	case "admin_key", "api_key", "apikey", "root_key", "secret", "password", "minioadmin", "redacted":
		return true
	}
	for _, prefix := range []string{
		"your_", "my_api_key", "changeme", "change_me", "change_this", "replace_me", "replace_with", "insert_your",
		"put_your", "default_api_key", "placeholder", "<", "[secret", "***", "…",
	} {
		if strings.HasPrefix(v, prefix) {
			return true
		}
	}
	for _, part := range []string{"your_key", "your_api", "your_secret", "_key_here", "_secret_here", "_token_here"} {
		if strings.Contains(v, part) {
			return true
		}
	}
	if rest, ok := strings.CutPrefix(v, "api_key_"); ok && len(rest) <= 1 {
		return true // api_key_1
	}
	return len(v) >= 3 && strings.Count(v, v[:1]) == len(v) // "xxxxxxxx"
}
