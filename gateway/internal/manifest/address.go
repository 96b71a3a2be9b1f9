package manifest

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
)

// addressAnnotation says where a Service is: a URL, or several with commas between them. With "." and a port
// (its number or name) behind, it is for that port alone.
const addressAnnotation = perdure + "url"

// addresses is where a port of a Service leads.
type addresses struct {
	protocol, path string
	targets        []string
	source         entity.Source
	failed         bool // something has been reported
}

// addresses finds out where a port of a Service leads. O may be nil where there is an override.
func (r *reader) addresses(o *object, override *document.Field, to target, port servicePort) *addresses {
	found := &addresses{}
	if override != nil {
		r.overridden(override, found)
		return found
	}
	found.source = entity.Source{File: o.file, Line: o.Line}
	r.within(o, func() {
		for _, name := range []string{addressAnnotation + "." + to.port, addressAnnotation + "." + port.Name, addressAnnotation} {
			if a, ok := o.annotation(name); ok {
				found.source.Line = a.line
				r.urls(split(a.value), a.line, "the annotation "+name, found)
				return
			}
		}
		spec := r.spec(o)
		if spec.ExternalName != "" {
			found.targets = []string{joinPort(spec.ExternalName, port.Port)}
			return
		}
		r.endpoints(o, port, found)
	})
	return found
}

// urls reads addresses, which agree in all but host and port.
func (r *reader) urls(texts []string, line int, what string, found *addresses) {
	if len(texts) == 0 {
		found.failed = true
		r.Errorf(line, "%s is empty; it is like http://127.0.0.1:9000", what)
	}
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			found.failed = true
			r.Errorf(line, "%s is no address; it is like http://127.0.0.1:9000", what)
			return
		}
		port := u.Port()
		switch u.Scheme {
		case "http", "grpc":
			port = first(port, "80")
		case "https", "grpcs":
			port = first(port, "443")
		default:
			found.failed = true
			r.Errorf(line, "%s has the protocol %q; it can be http, https, grpc, grpcs", what, u.Scheme)
			return
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			found.failed = true
			r.Errorf(line, "%s has no port", what)
			return
		}
		path := u.EscapedPath()
		if len(found.targets) > 0 && (found.protocol != u.Scheme || found.path != path) {
			found.failed = true
			r.Errorf(line, "%s has addresses that differ in protocol or path, which one service cannot have", what)
			return
		}
		found.protocol, found.path = u.Scheme, path
		found.targets = append(found.targets, joinPort(u.Hostname(), n))
	}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// endpoints are the fields of Endpoints and of an EndpointSlice.
type endpoints struct {
	Subsets []struct {
		Addresses []struct {
			IP        string `json:"ip"`
			Hostname  string `json:"hostname"`
			NodeName  string `json:"nodeName"`
			TargetRef any    `json:"targetRef"`
		} `json:"addresses"`
		NotReady any             `json:"notReadyAddresses"`
		Ports    []endpointsPort `json:"ports"`
	} `json:"subsets"`
	AddressType string `json:"addressType"`
	Endpoints   []struct {
		Addresses  []string `json:"addresses"`
		Conditions struct {
			Ready       *bool `json:"ready"`
			Serving     *bool `json:"serving"`
			Terminating *bool `json:"terminating"`
		} `json:"conditions"`
		Hostname           string `json:"hostname"`
		NodeName           string `json:"nodeName"`
		Zone               string `json:"zone"`
		Hints              any    `json:"hints"`
		TargetRef          any    `json:"targetRef"`
		DeprecatedTopology any    `json:"deprecatedTopology"`
		Topology           any    `json:"topology"`
	} `json:"endpoints"`
	Ports []endpointsPort `json:"ports"`
}

type endpointsPort struct {
	Name        string `json:"name"`
	Port        int    `json:"port"`
	Protocol    string `json:"protocol"`
	AppProtocol string `json:"appProtocol"`
}

// endpoints finds the addresses of a Service in manifests of Endpoints and EndpointSlice.
func (r *reader) endpoints(o *object, port servicePort, found *addresses) {
	for _, e := range r.order {
		named := e.kind == "Endpoints" && e.key() == o.key() ||
			e.kind == "EndpointSlice" && e.namespace == o.namespace && e.labels["kubernetes.io/service-name"] == o.name
		if !named {
			continue
		}
		var all endpoints
		r.within(e, func() { r.fields(e, "", &all, nil) })
		found.source = entity.Source{File: e.file, Line: e.Line}
		for _, s := range all.Subsets {
			for _, a := range s.Addresses {
				addTargets(found, a.IP, s.Ports, port)
			}
		}
		for _, s := range all.Endpoints {
			if s.Conditions.Ready != nil && !*s.Conditions.Ready {
				continue
			}
			for _, a := range s.Addresses {
				addTargets(found, a, all.Ports, port)
			}
		}
	}
}

func addTargets(found *addresses, ip string, ports []endpointsPort, port servicePort) {
	for _, p := range ports {
		if p.Name == port.Name {
			found.targets = append(found.targets, joinPort(ip, p.Port))
		}
	}
}

// override finds what a document of kind ServiceAddresses says of a Service.
func (r *reader) override(namespace string, to target) *document.Field {
	for _, o := range r.order {
		if o.kind != "ServiceAddresses" {
			continue
		}
		services := o.Get("services")
		if !services.IsSet() {
			continue
		}
		for i := range services.Fields {
			f := &services.Fields[i]
			name, of := f.Name, o.namespace
			if before, after, ok := strings.Cut(name, "/"); ok {
				of, name = before, after
			}
			if of == namespace && (name == to.service || name == to.service+":"+to.port) {
				r.overrides[f] = o
				return f
			}
		}
	}
	return nil
}

// overridden reads an address, or a list of them.
func (r *reader) overridden(f *document.Field, found *addresses) {
	o := r.overrides[f]
	found.source = entity.Source{File: o.file, Line: f.Line}
	r.within(o, func() {
		var texts []string
		if f.Value.Kind == document.List {
			for i, item := range f.Value.Items {
				if text, ok := r.Text(item, fmt.Sprintf("services.%s[%d]", f.Name, i)); ok {
					texts = append(texts, text)
				}
			}
		} else if text, ok := r.Text(f.Value, "services."+f.Name); ok {
			texts = split(text)
		}
		r.urls(texts, f.Line, "services."+f.Name, found)
	})
}

// checkOverrides says which addresses no Ingress asked for.
func (r *reader) checkOverrides(o *object) {
	more := document.More{}
	for _, name := range []string{"apiVersion", "kind", "metadata", "services"} {
		more[name] = func(document.Field) {}
	}
	r.Struct(o.Value, &struct{}{}, more, nil, "")
	services := o.Get("services")
	if !services.IsSet() {
		r.Errorf(o.Line, "services is missing: the addresses by the names of Services, such as NAMESPACE/NAME: http://127.0.0.1:9000")
		return
	}
	for i := range services.Fields {
		if f := &services.Fields[i]; r.overrides[f] == nil {
			r.Warnf(f.Line, "no Ingress leads to the Service %q", f.Name)
		}
	}
}
