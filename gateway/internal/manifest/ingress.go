package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
)

// ingress are the fields of an Ingress, with those of its older forms.
type ingress struct {
	ClassName      string        `json:"ingressClassName"`
	DefaultBackend *backend      `json:"defaultBackend"`
	OldBackend     *backend      `json:"backend"` // v1beta1
	TLS            []ingressTLS  `json:"tls"`
	Rules          []ingressRule `json:"rules"`
}

type ingressTLS struct {
	Hosts      []string `json:"hosts"`
	SecretName string   `json:"secretName"`
}

type ingressRule struct {
	Host string `json:"host"`
	HTTP *struct {
		Paths []ingressPath `json:"paths"`
	} `json:"http"`
}

type ingressPath struct {
	Path     string   `json:"path"`
	PathType string   `json:"pathType"`
	Backend  *backend `json:"backend"`
}

type backend struct {
	Service *struct {
		Name string `json:"name"`
		Port struct {
			Name   string `json:"name"`
			Number int    `json:"number"`
		} `json:"port"`
	} `json:"service"`
	Resource any `json:"resource"`
	// v1beta1
	ServiceName string `json:"serviceName"`
	ServicePort any    `json:"servicePort"`
}

// target is where a path leads: a Service and one of its ports.
type target struct {
	service string
	port    string // number or name; empty is the only one
	line    int
}

func (t target) portName() string {
	if t.port == "" {
		return "implicitPort" // what Kong's controller writes
	}
	return t.port
}

func (r *reader) ingress(o *object) {
	if !r.ours(o) {
		return
	}
	var spec ingress
	lines := map[string]int{}
	r.fields(o, "spec", &spec, lines)
	old := o.version != versions["Ingress"][0]
	r.tls(o, spec.TLS, lines)

	routes := map[string]*entity.Route{}
	var order []string
	for i, rule := range spec.Rules {
		at := fmt.Sprintf("spec.rules[%d]", i)
		if rule.HTTP == nil || len(rule.HTTP.Paths) == 0 {
			if spec.DefaultBackend == nil && spec.OldBackend == nil {
				r.Errorf(lines[at], "%s has no http.paths, so it matches nothing", at)
			}
			continue
		}
		for j, path := range rule.HTTP.Paths {
			where := fmt.Sprintf("%s.http.paths[%d]", at, j)
			to, ok := r.backend(path.Backend, lines, where+".backend", old)
			if !ok {
				continue
			}
			host := strings.ReplaceAll(rule.Host, "*", "_")
			name := strings.Join([]string{o.namespace, o.name, to.service, host, to.portName()}, ".")
			route := routes[name]
			if route == nil {
				route = r.newRoute(o, name, to)
				routes[name] = route
				order = append(order, name)
				if rule.Host != "" {
					route.Hosts = []string{rule.Host}
					route.Source.Fields["hosts"] = lineOf(lines, at+".host", at)
				}
			}
			r.paths(o, route, path, lines, where, old)
		}
	}
	for _, name := range order {
		r.finishRoute(o, routes[name])
	}
	r.defaultBackend(o, &spec, lines, old)
	if len(spec.Rules) == 0 && spec.DefaultBackend == nil && spec.OldBackend == nil {
		r.Errorf(o.Line, "has neither spec.rules nor spec.defaultBackend, so it matches nothing")
	}
}

// fields reads a part of an object, which has no others but those of all objects.
func (r *reader) fields(o *object, part string, into any, lines map[string]int) {
	more := document.More{}
	for _, name := range []string{"apiVersion", "kind", "metadata", "status"} {
		more[name] = func(document.Field) {}
	}
	if part != "" {
		more[part] = func(f document.Field) { r.Struct(f.Value, into, nil, lines, part) }
		r.Struct(o.Value, &struct{}{}, more, nil, "")
		return
	}
	r.Struct(o.Value, into, more, lines, "")
}

func lineOf(lines map[string]int, fields ...string) int {
	for _, f := range fields {
		if line := lines[f]; line > 0 {
			return line
		}
	}
	return 0
}

// newRoute makes a route with the defaults that Kong's controller has for an Ingress, which are not those of
// Kong. If its service leads nowhere, it has none, and is read to find what else is wrong.
func (r *reader) newRoute(o *object, name string, to target) *entity.Route {
	route := entity.NewRoute()
	route.Source = o.source()
	route.Name = name
	route.StripPath, route.PreserveHost = false, true
	if service := r.service(o, to); service != nil {
		route.Service = entity.RefTo[entity.Service](service.Name)
	}
	route.Tags = r.tags(o)
	return route
}

// finishRoute applies the annotations of the Ingress.
func (r *reader) finishRoute(o *object, route *entity.Route) {
	r.overrideRoute(o, route)
	m := &route.Source
	r.setting(o, "strip-path", &route.StripPath, m, "strip_path")
	r.setting(o, "preserve-host", &route.PreserveHost, m, "preserve_host")
	r.setting(o, "request-buffering", &route.RequestBuffering, m, "request_buffering")
	r.setting(o, "response-buffering", &route.ResponseBuffering, m, "response_buffering")
	r.setting(o, "regex-priority", &route.RegexPriority, m, "regex_priority")
	r.setting(o, "path-handling", &route.PathHandling, m, "path_handling")
	if r.setting(o, "methods", &route.Methods, m, "methods") {
		for i, method := range route.Methods {
			route.Methods[i] = strings.ToUpper(method)
		}
	}
	r.setting(o, "snis", &route.SNIs, m, "snis")
	r.setting(o, "protocols", &route.Protocols, m, "protocols")
	if a, ok := o.annotation("ingress.kubernetes.io/force-ssl-redirect"); ok && a.value == "true" {
		route.HTTPSRedirectStatusCode = 302
		route.Protocols = secured(route.Protocols)
		m.Fields["protocols"], m.Fields["https_redirect_status_code"] = a.line, a.line
	}
	r.setting(o, "https-redirect-status-code", &route.HTTPSRedirectStatusCode, m, "https_redirect_status_code")
	var aliases []string
	if r.setting(o, "host-aliases", &aliases, m, "hosts") {
		for _, alias := range aliases {
			if !slices.Contains(route.Hosts, alias) {
				route.Hosts = append(route.Hosts, alias)
			}
		}
	}
	r.headers(o, route)
	if route.GRPC() {
		route.StripPath = false
	}
	r.attach(o, func(u *uses) {
		if route.Service.Set() {
			u.routes = append(u.routes, route.Name)
		}
	})
	r.rewrite(o, route)
	if route.Service.Set() {
		r.config.Routes = append(r.config.Routes, route)
	}
}

// secured returns the protocols with TLS.
func secured(protocols []string) []string {
	var tls []string
	for _, p := range protocols {
		if p == "grpc" || p == "grpcs" {
			p = "grpcs"
		} else {
			p = "https"
		}
		if !slices.Contains(tls, p) {
			tls = append(tls, p)
		}
	}
	return tls
}

// headers reads the annotations konghq.com/headers.NAME.
func (r *reader) headers(o *object, route *entity.Route) {
	separator := ","
	if a, ok := o.annotation("headers-separator"); ok && a.value != "" {
		separator = a.value
	}
	for name := range o.annotations {
		header, ok := strings.CutPrefix(name, "headers.")
		if !ok || header == "" {
			continue
		}
		a, _ := o.annotation(name)
		if a.value == "" {
			r.Errorf(a.line, "the annotation %s%s has no value to match", kong, name)
			continue
		}
		if route.Headers == nil {
			route.Headers = map[string][]string{}
		}
		for value := range strings.SplitSeq(a.value, separator) {
			route.Headers[header] = append(route.Headers[header], strings.TrimSpace(value))
		}
		route.Source.Fields["headers."+header] = a.line
	}
}

// backend reads where a path leads.
func (r *reader) backend(b *backend, lines map[string]int, at string, old bool) (target, bool) {
	line := lineOf(lines, at, strings.TrimSuffix(at, ".backend"))
	switch {
	case b == nil:
		r.Errorf(line, "%s is missing", at)
		return target{}, false
	case b.Resource != nil:
		r.Errorf(line, "%s.resource is not supported; name a Service", at)
		return target{}, false
	case b.ServiceName != "" || b.ServicePort != nil:
		if !old {
			r.Errorf(line, "%s.serviceName is of v1beta1; in v1 it is service: {name: %s, port: …}", at, b.ServiceName)
			return target{}, false
		}
		to := target{service: b.ServiceName, line: line}
		if n, ok := b.ServicePort.(float64); ok {
			to.port = strconv.Itoa(int(n))
		} else if text, ok := b.ServicePort.(string); ok {
			to.port = text
		}
		if to.service == "" {
			r.Errorf(line, "%s.serviceName is missing", at)
			return target{}, false
		}
		return to, true
	case b.Service == nil || b.Service.Name == "":
		r.Errorf(line, "%s.service.name is missing", at)
		return target{}, false
	}
	to := target{service: b.Service.Name, port: b.Service.Port.Name, line: line}
	if b.Service.Port.Number != 0 {
		if to.port != "" {
			r.Errorf(line, "%s.service.port has a name as well as a number; leave one out", at)
		}
		to.port = strconv.Itoa(b.Service.Port.Number)
	}
	return to, true
}

// The types of paths.
var pathTypes = []string{"Exact", "Prefix", "ImplementationSpecific"}

var slashes = regexp.MustCompile(`/{2,}`)

// paths adds what matches a path of an Ingress to a route.
func (r *reader) paths(o *object, route *entity.Route, p ingressPath, lines map[string]int, at string, old bool) {
	line := lineOf(lines, at+".path", at)
	path := slashes.ReplaceAllString(p.Path, "/")
	if path == "" {
		path = "/"
	}
	if !strings.HasPrefix(path, "/") {
		r.Errorf(line, "%s.path %q does not begin with /", at, p.Path)
		return
	}
	prefix := "/~"
	if a, ok := o.annotation("regex-prefix"); ok && a.value != "" {
		prefix = a.value
	}
	var matches []string
	kind := p.PathType
	if kind == "" {
		kind = "ImplementationSpecific"
		if !old {
			r.Warnf(line, "%s.pathType is missing, which Kubernetes refuses; it is taken as %s", at, kind)
		}
	}
	switch kind {
	case "Exact":
		matches = []string{"~/" + regexp.QuoteMeta(strings.TrimLeft(path, "/")) + "$"}
	case "Prefix":
		base := strings.Trim(path, "/")
		if base == "" {
			matches = []string{"/"}
			break
		}
		matches = []string{"/" + base + "/", "~/" + regexp.QuoteMeta(base) + "$"}
		if strings.HasPrefix(path, prefix) {
			r.Warnf(line, "%s.path is a regular expression, which only the pathType ImplementationSpecific has", at)
		}
	case "ImplementationSpecific":
		matches = []string{r.regex(path, prefix, old, line)}
	default:
		r.Errorf(lineOf(lines, at+".pathType", at), "%s.pathType %q is none of %s", at, kind, strings.Join(pathTypes, ", "))
		return
	}
	for _, m := range matches {
		if !slices.Contains(route.Paths, m) {
			route.Source.Fields[fmt.Sprintf("paths[%d]", len(route.Paths))] = line
			route.Paths = append(route.Paths, m)
		}
	}
}

// regex writes a path that is a regular expression as Kong does.
func (r *reader) regex(path, prefix string, old bool, line int) string {
	if rest, ok := strings.CutPrefix(path, prefix); ok {
		return "~" + rest
	}
	if old && entity.LooksRegex(path) {
		r.Warnf(line, "the path %q is taken for a regular expression, as Kong before 3.0 did; today it is written %q", path, prefix+path)
		return "~" + path
	}
	return path
}

// defaultBackend makes the route that matches what no other does. There is one in all.
func (r *reader) defaultBackend(o *object, spec *ingress, lines map[string]int, old bool) {
	b, at := spec.DefaultBackend, "spec.defaultBackend"
	if spec.OldBackend != nil {
		if !old {
			r.Errorf(lines["spec.backend"], "spec.backend is of v1beta1; in v1 it is spec.defaultBackend")
			return
		}
		b, at = spec.OldBackend, "spec.backend"
		r.Warnf(lines[at], "spec.backend is old; today it is spec.defaultBackend: {service: {name: …, port: {number: …}}}")
	}
	if b == nil {
		return
	}
	to, ok := r.backend(b, lines, at, old)
	if !ok {
		return
	}
	if r.first != nil {
		r.Warnf(lines[at], "%s is passed over: that of %s at %s:%d is first, and there is one in all", at, r.first.describe(), r.first.file, r.first.Line)
		return
	}
	route := r.newRoute(o, o.namespace+"."+o.name, to)
	r.first = o
	route.Paths = []string{"/"}
	r.finishRoute(o, route)
}
