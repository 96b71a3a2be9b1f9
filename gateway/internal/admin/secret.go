package admin

import (
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// redacted stands for a secret.
var redacted = entity.Redacted("")

// show returns an entity as this request may see it.
func (q *request) show(e entity.Entity) any {
	if q.secrets {
		return e
	}
	switch e := e.(type) {
	case *entity.KeyAuth:
		c := *e
		c.Key = entity.Redacted(e.ID) // clients such as decK fail if two have the same key
		return c
	case *entity.JWTCredential:
		c := *e
		hide(&c.Secret)
		return c
	case *entity.Certificate:
		c := *e
		hide(&c.Key, &c.KeyAlt)
		return c
	case *entity.Plugin:
		c := *e
		c.Config, _ = hideSettings("", e.Config).(map[string]any)
		return c
	case *entity.Upstream:
		c := *e
		c.Healthchecks.Active.Headers = hideHeaders(e.Healthchecks.Active.Headers)
		return c
	case *entity.Route:
		c := *e
		c.Headers = hideHeaders(e.Headers)
		return c
	}
	return e
}

func hide(secrets ...*string) {
	for _, s := range secrets {
		if *s != "" {
			*s = redacted
		}
	}
}

// hideSettings hides what sounds secret in the settings of a plugin: by the name of the setting, or by that of a
// header in a list of "name:value".
func hideSettings(name string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		c := make(map[string]any, len(v))
		for name, value := range v {
			c[name] = hideSettings(name, value)
		}
		return c
	case []any:
		c := make([]any, 0, len(v))
		for _, value := range v {
			if text, is := value.(string); is {
				if field, _, pair := strings.Cut(text, ":"); pair && secretHeader(field) {
					value = field + ":" + redacted
				}
			}
			c = append(c, hideSettings(name, value))
		}
		return c
	case string:
		if v != "" && entity.SecretSetting(name) {
			return redacted
		}
	}
	return value
}

func hideHeaders(headers map[string][]string) map[string][]string {
	if headers == nil {
		return nil
	}
	c := make(map[string][]string, len(headers))
	for name, values := range headers {
		if secretHeader(name) {
			values = []string{redacted}
		}
		c[name] = values
	}
	return c
}

// secretHeader reports whether the value of a field of that name may be a secret.
func secretHeader(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return entity.SecretSetting(name) || strings.Contains(name, "auth") || strings.Contains(name, "cookie") || strings.Contains(name, "key")
}
