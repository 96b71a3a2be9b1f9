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
		if rename(fields, rule.name, rule.value.render(x)) {
			rule.mark(fields, x)
		}
	}
	for _, rule := range r["replace"] {
		if fields.Has(rule.name) {
			fields.Set(rule.name, rule.value.render(x))
			rule.mark(fields, x)
		}
	}
	for _, rule := range r["add"] {
		if !fields.Has(rule.name) {
			fields.Add(rule.name, rule.value.render(x))
			rule.mark(fields, x)
		}
	}
	for _, rule := range r["append"] {
		fields.Add(rule.name, rule.value.render(x))
		rule.mark(fields, x)
	}
}

// mark remembers that a field of the request is not as the client has sent it.
func (r *rule) mark(fields *h1.Fields, x *proxy.Exchange) {
	if fields == x.Request.Fields {
		x.SetValue(r.added, true)
	}
}

// rename gives fields another name, in place of those that had it. It reports whether there are any.
func rename(fields *h1.Fields, from, to string) bool {
	values := fields.Values(from)
	if len(values) == 0 {
		return false
	}
	fields.Del(from)
	fields.Del(to)
	for _, v := range values {
		fields.Add(to, v)
	}
	return true
}

// isHost reports whether a rule is about Host, which is no field here.
func isHost(r rule) bool { return strings.EqualFold(r.name, "host") }
