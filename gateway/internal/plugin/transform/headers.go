package transform

import (
	"strings"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// headers changes header fields.
func (r rules) headers(fields *h1.Fields, x *proxy.Exchange) {
	for _, rule := range r["remove"] {
		fields.Del(rule.name)
	}
	for _, rule := range r["rename"] {
		rename(fields, rule.name, rule.value.render(x))
	}
	for _, rule := range r["replace"] {
		if fields.Has(rule.name) {
			fields.Set(rule.name, rule.value.render(x))
		}
	}
	for _, rule := range r["add"] {
		if !fields.Has(rule.name) {
			fields.Add(rule.name, rule.value.render(x))
		}
	}
	for _, rule := range r["append"] {
		fields.Add(rule.name, rule.value.render(x))
	}
}

// rename gives fields another name, in place of those that had it.
func rename(fields *h1.Fields, from, to string) {
	values := fields.Values(from)
	if len(values) == 0 {
		return
	}
	fields.Del(from)
	fields.Del(to)
	for _, v := range values {
		fields.Add(to, v)
	}
}

// isHost reports whether a rule is about Host, which is no field here.
func isHost(r rule) bool { return strings.EqualFold(r.name, "host") }
