package transform

import (
	"net/url"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// parameter is one of a query. What is not changed stays as it was sent.
type parameter struct{ name, raw string }

func newParameter(name, value string) parameter {
	return parameter{name, url.QueryEscape(name) + "=" + url.QueryEscape(value)}
}

func parseQuery(query string) (list []parameter) {
	for pair := range strings.SplitSeq(query, "&") {
		if pair != "" {
			name, _, _ := strings.Cut(pair, "=")
			list = append(list, parameter{plugin.Unescape(name), pair})
		}
	}
	return list
}

func has(list []parameter, name string) bool {
	return slices.ContainsFunc(list, func(p parameter) bool { return p.name == name })
}

func without(list []parameter, name string) []parameter {
	return slices.DeleteFunc(list, func(p parameter) bool { return p.name == name })
}

// query changes the query that the upstream is asked.
func (r rules) query(x *proxy.Exchange) {
	list := parseQuery(x.Target.Query)
	for _, rule := range r["remove"] {
		list = without(list, rule.name)
	}
	for _, rule := range r["rename"] {
		if to := rule.value.render(x); to != rule.name && has(list, rule.name) {
			list = without(list, to)
			for i, p := range list {
				if p.name == rule.name {
					_, value, _ := strings.Cut(p.raw, "=")
					list[i] = parameter{to, url.QueryEscape(to) + "=" + value}
				}
			}
		}
	}
	for _, rule := range r["replace"] {
		if has(list, rule.name) {
			list = append(without(list, rule.name), newParameter(rule.name, rule.value.render(x)))
		}
	}
	for _, rule := range r["add"] {
		if !has(list, rule.name) {
			list = append(list, newParameter(rule.name, rule.value.render(x)))
		}
	}
	for _, rule := range r["append"] {
		list = append(list, newParameter(rule.name, rule.value.render(x)))
	}
	raw := make([]string, len(list))
	for i, p := range list {
		raw[i] = p.raw
	}
	x.Target.Query = strings.Join(raw, "&")
	x.Target.HasQuery = x.Target.Query != "" || x.Target.HasQuery && x.Request.Query == ""
}
