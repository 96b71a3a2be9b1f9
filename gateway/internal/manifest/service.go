package manifest

import (
	"net"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

// serviceSpec are the fields of a Service. Most of them are of a cluster's concern.
type serviceSpec struct {
	Type         string        `json:"type"`
	ExternalName string        `json:"externalName"`
	Ports        []servicePort `json:"ports"`

	Selector                      any    `json:"selector"`
	ClusterIP                     string `json:"clusterIP"`
	ClusterIPs                    any    `json:"clusterIPs"`
	ExternalIPs                   any    `json:"externalIPs"`
	SessionAffinity               string `json:"sessionAffinity"`
	SessionAffinityConfig         any    `json:"sessionAffinityConfig"`
	LoadBalancerIP                string `json:"loadBalancerIP"`
	LoadBalancerSourceRanges      any    `json:"loadBalancerSourceRanges"`
	LoadBalancerClass             string `json:"loadBalancerClass"`
	AllocateLoadBalancerNodePorts any    `json:"allocateLoadBalancerNodePorts"`
	ExternalTrafficPolicy         string `json:"externalTrafficPolicy"`
	InternalTrafficPolicy         string `json:"internalTrafficPolicy"`
	TrafficDistribution           string `json:"trafficDistribution"`
	HealthCheckNodePort           any    `json:"healthCheckNodePort"`
	PublishNotReadyAddresses      any    `json:"publishNotReadyAddresses"`
	IPFamilies                    any    `json:"ipFamilies"`
	IPFamilyPolicy                string `json:"ipFamilyPolicy"`
}

type servicePort struct {
	Name        string `json:"name"`
	Port        int    `json:"port"`
	TargetPort  any    `json:"targetPort"`
	NodePort    int    `json:"nodePort"`
	Protocol    string `json:"protocol"`
	AppProtocol string `json:"appProtocol"`
}

// service returns Kong's service for a port of a Service, with its upstream and targets. Nil is one that
// does not lead anywhere, which has been reported.
func (r *reader) service(from *object, to target) *entity.Service {
	name := strings.Join([]string{from.namespace, to.service, to.portName()}, ".")
	if o := r.find("Service", from.namespace, to.service); o != nil {
		r.reached[o] = true
	}
	if s, done := r.services[name]; done {
		return s
	}
	s := r.newService(from, to, name)
	r.services[name] = s
	return s
}

func (r *reader) newService(from *object, to target, name string) *entity.Service {
	o := r.find("Service", from.namespace, to.service)
	override := r.override(from.namespace, to)
	if o == nil && override == nil {
		r.Errorf(to.line, "there is no Service %q in the namespace %q%s", to.service, from.namespace,
			suggest.Hint(to.service, r.names("Service", from.namespace)))
		return nil
	}
	s := entity.NewService()
	s.Name, s.Path = name, "/"
	s.Host = strings.Join([]string{to.service, from.namespace, to.portName(), "svc"}, ".")
	s.Source = entity.Source{File: from.file, Line: to.line}
	var port servicePort
	if o != nil {
		s.Source = o.source()
		s.Tags = r.tags(o)
		var ok bool
		if port, ok = r.port(from, o, to); !ok {
			return nil
		}
		s.Port = port.Port
	} else if n, err := strconv.Atoi(to.port); err == nil {
		s.Port = n
	}
	found := r.addresses(o, override, to, port)
	if len(found.targets) == 0 {
		if !found.failed {
			r.Errorf(to.line, "the Service %q has no address outside a cluster; say where it is by its annotation %s: http://127.0.0.1:PORT, or by a document of kind ServiceAddresses",
				to.service, addressAnnotation)
		}
		return nil
	}
	if found.protocol != "" {
		s.Protocol = found.protocol
	}
	if found.path != "" {
		s.Path = found.path
	}
	if strings.HasPrefix(s.Protocol, "grpc") {
		s.Path = ""
	}
	u := r.upstream(s, found)
	if o != nil {
		r.within(o, func() { r.annotateService(o, s, u) })
	}
	r.config.Services = append(r.config.Services, s)
	r.config.Upstreams = append(r.config.Upstreams, u)
	return s
}

// upstream makes the upstream with its targets.
func (r *reader) upstream(s *entity.Service, found *addresses) *entity.Upstream {
	u := entity.NewUpstream()
	u.Name, u.Tags, u.Source = s.Host, s.Tags, entity.Source{File: s.Source.File, Line: s.Source.Line, Fields: map[string]int{}}
	seen := map[string]bool{}
	for _, address := range found.targets {
		if seen[address] {
			continue
		}
		seen[address] = true
		t := entity.NewTarget()
		t.Target, t.Upstream, t.Tags = address, entity.RefTo[entity.Upstream](u.Name), s.Tags
		t.Source = found.source
		r.config.Targets = append(r.config.Targets, t)
	}
	return u
}

// spec reads the part of a Service that matters here.
func (r *reader) spec(o *object) (spec serviceSpec) {
	r.within(o, func() { r.fields(o, "spec", &spec, map[string]int{}) })
	return spec
}

// port finds the port of a Service that an Ingress names.
func (r *reader) port(from, o *object, to target) (servicePort, bool) {
	spec := r.spec(o)
	var names []string
	for _, p := range spec.Ports {
		number := strconv.Itoa(p.Port)
		if to.port == number || to.port != "" && to.port == p.Name || to.port == "" && len(spec.Ports) == 1 {
			return p, true
		}
		names = append(names, number)
		if p.Name != "" {
			names = append(names, p.Name)
		}
	}
	if n, err := strconv.Atoi(to.port); err == nil && spec.ExternalName != "" && len(spec.Ports) == 0 {
		return servicePort{Port: n}, true
	}
	if to.port == "" {
		r.Errorf(to.line, "the port of the Service %q is missing%s", to.service, suggest.Hint("", names))
	} else {
		r.Errorf(to.line, "the Service %q has no port %q%s", to.service, to.port, suggest.Hint(to.port, names))
	}
	return servicePort{}, false
}

// annotateService applies the annotations of a Service.
func (r *reader) annotateService(o *object, s *entity.Service, u *entity.Upstream) {
	r.overrideService(o, s, u)
	m := &s.Source
	if r.setting(o, "protocol", &s.Protocol, m, "protocol") && strings.HasPrefix(s.Protocol, "grpc") {
		s.Path = ""
	}
	r.setting(o, "path", &s.Path, m, "path")
	r.setting(o, "connect-timeout", &s.ConnectTimeout, m, "connect_timeout")
	r.setting(o, "read-timeout", &s.ReadTimeout, m, "read_timeout")
	r.setting(o, "write-timeout", &s.WriteTimeout, m, "write_timeout")
	r.setting(o, "retries", &s.Retries, m, "retries")
	r.setting(o, "host-header", &u.HostHeader, &u.Source, "host_header")
	verify, depth := false, 0
	if r.setting(o, "tls-verify", &verify, m, "tls_verify") {
		s.TLSVerify = &verify
	}
	if r.setting(o, "tls-verify-depth", &depth, m, "tls_verify_depth") {
		s.TLSVerifyDepth = &depth
	}
	var secret string
	if r.setting(o, "client-cert", &secret, m, "client_certificate") {
		if id := r.certificate(o.namespace, secret, m.Fields["client_certificate"]); id != "" {
			s.ClientCertificate = entity.RefTo[entity.Certificate](id)
		}
	}
	r.trust(o, s)
	r.policy(o, u)
	r.attach(o, func(u *uses) { u.services = append(u.services, s.Name) })
}

// trust reads the authorities that a Service's servers are verified by.
func (r *reader) trust(o *object, s *entity.Service) {
	for kind, name := range map[string]string{"Secret": "ca-certificates-secrets", "ConfigMap": "ca-certificates-configmaps"} {
		a, ok := o.annotation(name)
		if !ok {
			continue
		}
		s.Source.Fields["ca_certificates"] = a.line
		for _, secret := range split(a.value) {
			of := r.find(kind, o.namespace, secret)
			if of == nil {
				r.Errorf(a.line, "there is no %s %q%s", kind, secret, suggest.Hint(secret, r.names(kind, o.namespace)))
				continue
			}
			data := r.secretData(of)
			if data["id"].text == "" {
				r.Errorf(a.line, "the %s %q has no id, which a ca certificate has", kind, secret)
				continue
			}
			s.CACertificates = append(s.CACertificates, data["id"].text)
		}
	}
}

func joinPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
