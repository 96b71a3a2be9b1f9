package manifest

import (
	"slices"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

// kongIngress finds the KongIngress of an object: by the annotation, or for an Ingress by its name.
func (r *reader) kongIngress(o *object) *object {
	if a, ok := o.annotation("override"); ok {
		k := r.find("KongIngress", o.namespace, a.value)
		if k == nil {
			r.Errorf(a.line, "there is no KongIngress %q in the namespace %q%s", a.value, o.namespace, suggest.Hint(a.value, r.names("KongIngress", o.namespace)))
		}
		return k
	}
	if o.kind == "Ingress" {
		return r.find("KongIngress", o.namespace, o.name)
	}
	return nil
}

// parts are those of a KongIngress, with the fields of each.
var parts = map[string][]string{
	"route": {
		"methods", "headers", "protocols", "regex_priority", "strip_path", "preserve_host", "https_redirect_status_code",
		"path_handling", "snis", "request_buffering", "response_buffering",
	},
	"proxy": {"protocol", "path", "retries", "connect_timeout", "read_timeout", "write_timeout"},
	"upstream": {
		"host_header", "algorithm", "slots", "healthchecks", "hash_on", "hash_fallback", "hash_on_header",
		"hash_fallback_header", "hash_on_cookie", "hash_on_cookie_path", "hash_on_query_arg", "hash_fallback_query_arg",
		"hash_on_uri_capture", "hash_fallback_uri_capture",
	},
}

// part reads a part of a KongIngress into an entity.
func (r *reader) part(k *object, name string, into any, lines map[string]int) map[string]bool {
	given := map[string]bool{}
	if k == nil {
		return given
	}
	r.within(k, func() {
		more := document.More{}
		for _, other := range []string{"apiVersion", "kind", "metadata", "status", "route", "proxy", "upstream"} {
			more[other] = func(document.Field) {}
		}
		r.Struct(k.Value, &struct{}{}, more, nil, "")
		v := k.Get(name)
		if !v.IsSet() {
			return
		}
		for _, f := range v.Fields {
			if !slices.Contains(parts[name], f.Name) {
				r.Errorf(f.Line, "there is no field %q%s", name+"."+f.Name, suggest.Hint(f.Name, parts[name]))
				return
			}
		}
		given = r.Struct(v, into, nil, lines, "")
	})
	return given
}

// overrideRoute applies the part of a KongIngress that is older than annotations.
func (r *reader) overrideRoute(o *object, route *entity.Route) {
	k := r.kongIngress(o)
	if given := r.part(k, "route", route, nil); len(given) > 0 {
		r.old(k, "route", "route of a KongIngress is old; today the Ingress has annotations, such as konghq.com/strip-path")
	}
	s := r.services[route.Service.Key]
	if s == nil {
		return
	}
	if given := r.part(k, "proxy", s, nil); len(given) > 0 {
		r.old(k, "proxy", "proxy of a KongIngress is old; today the Service has annotations, such as konghq.com/path")
	}
}

// overrideService applies a KongIngress that a Service names.
func (r *reader) overrideService(o *object, s *entity.Service, u *entity.Upstream) {
	k := r.kongIngress(o)
	if given := r.part(k, "proxy", s, nil); len(given) > 0 {
		r.old(k, "proxy", "proxy of a KongIngress is old; today the Service has annotations, such as konghq.com/path")
	}
	if given := r.part(k, "upstream", u, nil); len(given) > 0 {
		u.SetHash(given["algorithm"])
		r.old(k, "upstream", "upstream of a KongIngress is old; today it is a KongUpstreamPolicy, which the Service names by konghq.com/upstream-policy")
	}
}

// old warns of a part of a KongIngress.
func (r *reader) old(k *object, part, message string) {
	r.within(k, func() { r.Warnf(k.Get(part).Line, "%s", message) })
}

// policyHash are the fields of what a KongUpstreamPolicy hashes.
type policyHash struct {
	Input      string `json:"input"`
	Header     string `json:"header"`
	Cookie     string `json:"cookie"`
	CookiePath string `json:"cookiePath"`
	QueryArg   string `json:"queryArg"`
	URICapture string `json:"uriCapture"`
}

// kind is what is hashed, as Kong calls it.
func (h *policyHash) kind() string {
	switch {
	case h.Header != "":
		return "header"
	case h.Cookie != "":
		return "cookie"
	case h.QueryArg != "":
		return "query_arg"
	case h.URICapture != "":
		return "uri_capture"
	case h.Input != "":
		return h.Input
	}
	return "none"
}

// policy applies the KongUpstreamPolicy that a Service names.
func (r *reader) policy(o *object, u *entity.Upstream) {
	a, ok := o.annotation("upstream-policy")
	if !ok {
		return
	}
	k := r.find("KongUpstreamPolicy", o.namespace, a.value)
	if k == nil {
		r.Errorf(a.line, "there is no KongUpstreamPolicy %q in the namespace %q%s", a.value, o.namespace,
			suggest.Hint(a.value, r.names("KongUpstreamPolicy", o.namespace)))
		return
	}
	r.within(k, func() { r.readPolicy(k, u) })
}

// readPolicy reads a KongUpstreamPolicy into an upstream.
func (r *reader) readPolicy(k *object, u *entity.Upstream) {
	spec := k.Get("spec")
	r.fields(k, "spec", &struct {
		Algorithm      any `json:"algorithm"`
		Slots          any `json:"slots"`
		Healthchecks   any `json:"healthchecks"`
		HashOn         any `json:"hashOn"`
		HashOnFallback any `json:"hashOnFallback"`
		StickySessions any `json:"stickySessions"`
	}{}, nil)
	if !spec.IsSet() {
		return
	}
	if v := spec.Get("stickySessions"); v.IsSet() {
		r.Errorf(v.Line, "stickySessions are of Kong Enterprise; hashOn: {cookie: NAME} keeps a client at its server")
	}
	var on, fallback policyHash
	more := document.More{
		"stickySessions": func(document.Field) {},
		"hashOn":         func(f document.Field) { r.Struct(f.Value, &on, nil, nil, f.Name) },
		"hashOnFallback": func(f document.Field) { r.Struct(f.Value, &fallback, nil, nil, f.Name) },
		"healthchecks": func(f document.Field) {
			r.Camel = true
			r.Struct(f.Value, &u.Healthchecks, nil, nil, f.Name)
			r.Camel = false
		},
	}
	fields := struct {
		Algorithm *string `json:"algorithm"`
		Slots     *int    `json:"slots"`
	}{&u.Algorithm, &u.Slots}
	given := r.Struct(spec, &fields, more, nil, "spec")
	u.Algorithm, u.Slots = *fields.Algorithm, *fields.Slots
	u.HashOn, u.HashFallback = on.kind(), fallback.kind()
	u.HashOnHeader, u.HashOnCookie, u.HashOnQueryArg, u.HashOnURICapture = on.Header, first(on.Cookie, fallback.Cookie), on.QueryArg, on.URICapture
	u.HashFallbackHeader, u.HashFallbackQueryArg, u.HashFallbackURICapture = fallback.Header, fallback.QueryArg, fallback.URICapture
	if path := first(on.CookiePath, fallback.CookiePath); path != "" {
		u.HashOnCookiePath = path
	}
	u.SetHash(given["algorithm"])
}
