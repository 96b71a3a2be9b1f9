package admin

import "github.com/perdure/perdure/gateway/internal/entity"

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
		c.Config, _ = entity.WithoutSecrets("", e.Config, redacted).(map[string]any)
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

func hideHeaders(headers map[string][]string) map[string][]string {
	if headers == nil {
		return nil
	}
	c := make(map[string][]string, len(headers))
	for name, values := range headers {
		if entity.SecretHeader(name) {
			values = []string{redacted}
		}
		c[name] = values
	}
	return c
}
