package transform

import (
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/gateway/internal/router"
)

// Request returns the plugin request-transformer.
func Request() *plugin.Kind {
	fields := []plugin.Field{
		{Name: "http_method", Type: plugin.String, Check: plugin.Unsupported("the method passes as it is")},
	}
	for _, action := range actions {
		inner := []plugin.Field{bodies("body"), part(action, "headers", true), part(action, "querystring", true)}
		if action == "replace" {
			inner = append(inner, plugin.Field{Name: "uri", Type: plugin.String, Check: func(value any) string {
				if _, err := parse(value.(string)); err != nil {
					return err.Error()
				}
				return ""
			}})
		}
		fields = append(fields, plugin.Field{Name: action, Type: plugin.Record, Fields: inner})
	}
	return &plugin.Kind{Name: "request-transformer", Priority: 801, Schema: plugin.Schema{Fields: fields}, New: newRequest}
}

type request struct {
	uri            *template // nil for none
	host           *template
	fields, params rules
	changesParams  bool
}

func newRequest(s plugin.Setup) (any, error) {
	p := &request{}
	p.fields, _ = newRules(s.Values, "headers", true)
	p.params, p.changesParams = newRules(s.Values, "querystring", true)
	if text := s.Values.Record("replace").String("uri"); text != "" {
		p.uri, _ = parse(text) // checked by the schema
	}
	for _, r := range p.fields["replace"] {
		if isHost(r) {
			p.host = r.value
		}
	}
	for action, list := range p.fields { // the other actions have no effect on Host
		p.fields[action] = slices.DeleteFunc(list, isHost)
	}
	return p, nil
}

// Access implements proxy.Access.
func (p *request) Access(x *proxy.Exchange) {
	if p.uri != nil {
		// What comes from the request leads nowhere else: it has no dot segments, and no query.
		path := p.uri.render(x)
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		x.Target.Path = router.Escape(router.Normalize(withoutDots(path)))
		x.Note("request-transformer", "the upstream is asked for "+x.Target.Path)
	}
	if p.host != nil {
		if host := p.host.render(x); isAuthority(host) {
			x.Target.Host = host
		} else {
			x.Note("request-transformer", "what Host would become is no host; it stays")
		}
	}
	p.fields.headers(x.Request.Fields, x)
	if p.changesParams {
		p.params.query(x)
	}
}

// withoutDots leaves dot segments out, instead of following them: out of "/files/$(query_params.name)" nobody gets by "../secrets".
func withoutDots(path string) string {
	if !strings.Contains(path, ".") && !strings.Contains(strings.ToLower(path), "%2e") {
		return path
	}
	segments := strings.Split(path, "/")
	return strings.Join(slices.DeleteFunc(segments, func(segment string) bool {
		if len(segment) > len("%2e%2e") {
			return false
		}
		decoded := strings.ReplaceAll(strings.ToLower(segment), "%2e", ".")
		return decoded == "." || decoded == ".."
	}), "/")
}

// isAuthority reports whether a text has characters of a host and a port alone.
func isAuthority(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:[]", r))
	})
}
