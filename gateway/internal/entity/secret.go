package entity

import (
	"slices"
	"strings"
)

// secretWords are parts of the names of settings of plugins whose values are not shown.
var secretWords = []string{"secret", "password", "token", "credential", "private", "api_key"}

// SecretSetting reports whether the value of a setting of a plugin may be a secret, by its name.
func SecretSetting(name string) bool {
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(strings.ToLower(name), word) })
}

// SecretHeader reports whether the value of a header field of that name may be a secret.
func SecretHeader(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return SecretSetting(name) || strings.Contains(name, "auth") || strings.Contains(name, "cookie") || strings.Contains(name, "key")
}

// WithoutSecrets returns a setting of a plugin, or all of them, with a text instead of what sounds secret: by the name of the
// setting, or by that of a header in a list of "name:value".
func WithoutSecrets(name string, value any, instead string) any {
	switch v := value.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		c := make(map[string]any, len(v))
		for name, value := range v {
			c[name] = WithoutSecrets(name, value, instead)
		}
		return c
	case []any:
		c := make([]any, 0, len(v))
		for _, value := range v {
			if text, is := value.(string); is {
				if field, _, pair := strings.Cut(text, ":"); pair && SecretHeader(field) {
					value = field + ":" + instead
				}
			}
			c = append(c, WithoutSecrets(name, value, instead))
		}
		return c
	case string:
		if v != "" && SecretSetting(name) {
			return instead
		}
	}
	return value
}
