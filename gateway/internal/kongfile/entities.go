package kongfile

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
)

func (p *parser) service(v *document.Value, in entity.Entity) {
	s := entity.NewService()
	p.preset("service", s)
	more, children := p.children(s, map[string]reader{"routes": p.route, "plugins": p.plugin})
	var address *document.Field
	more["url"] = func(f document.Field) { address = &f }
	given := p.begin(v, s, more)
	if address != nil {
		p.url(*address, s, given)
	}
	if c, ok := in.(*entity.Certificate); ok {
		s.ClientCertificate = entity.RefTo[entity.Certificate](p.identify(c, ""))
	}
	p.config.Services = append(p.config.Services, s)
	children()
}

// preset puts the defaults of _info in.
func (p *parser) preset(kind string, into any) {
	if v := p.defaults[kind]; v != nil {
		p.What = "_info.defaults." + kind
		p.Struct(v, into, nil, nil, "")
	}
}

// url reads the short form of protocol, host, port and path.
func (p *parser) url(f document.Field, s *entity.Service, given map[string]bool) {
	text, ok := p.Text(f.Value, f.Name)
	if !ok {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" {
		p.Errorf(f.Line, "url is no address; it is like http://host:port/path")
		return
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		p.Errorf(f.Line, "url can have a protocol, a host, a port and a path, and nothing else")
		return
	}
	for _, name := range []string{"protocol", "host", "port", "path"} {
		if given[name] {
			p.Errorf(f.Line, "url says the %s as well as the field %s; leave one out", name, name)
		}
	}
	s.Protocol, s.Host, s.Path = u.Scheme, u.Hostname(), u.EscapedPath()
	s.Port = map[string]int{"https": 443, "grpcs": 443}[u.Scheme]
	if s.Port == 0 {
		s.Port = 80
	}
	if u.Port() != "" {
		s.Port, _ = strconv.Atoi(u.Port())
	}
	fields := entity.MetaOf(s).Source.Fields
	for _, name := range []string{"protocol", "host", "port", "path"} {
		fields[name] = f.Line
	}
}

func (p *parser) route(v *document.Value, in entity.Entity) {
	r := entity.NewRoute()
	p.preset("route", r)
	more, children := p.children(r, map[string]reader{"plugins": p.plugin})
	for _, name := range []string{"sources", "destinations"} {
		more[name] = func(f document.Field) {
			p.Errorf(f.Line, "%s is of routes for TCP, which are not served", name)
		}
	}
	for _, name := range []string{"expression", "priority"} {
		more[name] = func(f document.Field) {
			if f.Value.Kind != document.Int || f.Value.Int != 0 {
				p.Errorf(f.Line, "%s is of Kong's router for expressions, which is not here; use paths, hosts, methods and headers", name)
			}
		}
	}
	given := p.begin(v, r, more)
	if r.GRPC() && !given["strip_path"] {
		r.StripPath = false
	}
	if s, ok := in.(*entity.Service); ok {
		p.belongs(r, &r.Service, "service", s, s.Name)
	}
	if p.legacy {
		p.migratePaths(r)
	}
	p.config.Routes = append(p.config.Routes, r)
	children()
}

// belongs makes an entity, by its field, refer to the one it stands in.
func (p *parser) belongs(e entity.Entity, ref interface {
	Set() bool
	SetKey(string)
}, field string, in entity.Entity, name string) {
	if ref.Set() {
		p.Errorf(entity.MetaOf(e).Source.At(field), "what stands in a %s cannot name a %s as well", field, field)
	}
	ref.SetKey(p.identify(in, name))
}

// migratePaths marks the paths that were regular expressions before 3.0.
func (p *parser) migratePaths(r *entity.Route) {
	r.Paths = slices.Clone(r.Paths)
	for i, path := range r.Paths {
		if strings.HasPrefix(path, "~") || !entity.LooksRegex(path) {
			continue
		}
		r.Paths[i] = "~" + path
		p.Warnf(entity.MetaOf(r).Source.At(fmt.Sprintf("paths[%d]", i)), "the path %q is taken for a regular expression; in 3.0 it is written %q", path, r.Paths[i])
	}
}

func (p *parser) consumer(v *document.Value, _ entity.Entity) {
	c := &entity.Consumer{}
	more, children := p.children(c, map[string]reader{
		"jwt_secrets": p.jwt, "keyauth_credentials": p.keyAuth, "acls": p.acl, "plugins": p.plugin,
	})
	p.begin(v, c, more)
	p.config.Consumers = append(p.config.Consumers, c)
	children()
}

// ofConsumer makes a credential belong to the consumer that it stands in.
func (p *parser) ofConsumer(e entity.Entity, ref *entity.Ref[entity.Consumer], in entity.Entity) {
	if c, ok := in.(*entity.Consumer); ok {
		p.belongs(e, ref, "consumer", c, c.Username)
	}
}

func (p *parser) jwt(v *document.Value, in entity.Entity) {
	c := entity.NewJWTCredential()
	more, _ := p.children(c, nil)
	p.begin(v, c, more)
	p.ofConsumer(c, &c.Consumer, in)
	p.config.JWTs = append(p.config.JWTs, c)
}

func (p *parser) keyAuth(v *document.Value, in entity.Entity) {
	c := &entity.KeyAuth{}
	more, _ := p.children(c, nil)
	more["ttl"] = func(f document.Field) {
		if f.Value.Kind != document.Int || f.Value.Int != 0 {
			p.Errorf(f.Line, "ttl cannot be kept, since a file does not say when it began; remove the credential when it ends")
		}
	}
	p.begin(v, c, more)
	p.ofConsumer(c, &c.Consumer, in)
	p.config.KeyAuths = append(p.config.KeyAuths, c)
}

func (p *parser) acl(v *document.Value, in entity.Entity) {
	g := &entity.ACLGroup{}
	more, _ := p.children(g, nil)
	p.begin(v, g, more)
	p.ofConsumer(g, &g.Consumer, in)
	p.config.ACLs = append(p.config.ACLs, g)
}

func (p *parser) plugin(v *document.Value, in entity.Entity) {
	plugin := entity.NewPlugin()
	more, _ := p.children(plugin, nil)
	var shared *document.Value
	more["_config"] = func(f document.Field) {
		name, ok := p.Text(f.Value, "_config")
		if shared = p.shared[name]; ok && shared == nil {
			p.Errorf(f.Line, "there is no %q in _plugin_configs", name)
		}
	}
	for _, name := range []string{"consumer_group", "ordering", "condition", "partials"} {
		more[name] = func(f document.Field) {
			if f.Value.IsSet() {
				p.Errorf(f.Line, "%s is of Kong Enterprise, and is not here", name)
			}
		}
	}
	more["run_on"] = func(f document.Field) {
		p.Warnf(f.Line, "run_on is ignored: there is no service mesh")
	}
	p.begin(v, plugin, more)
	if plugin.Config == nil {
		plugin.Config = map[string]any{}
	}
	if shared != nil {
		for name, value := range shared.PlainMap() {
			if _, own := plugin.Config[name]; !own {
				plugin.Config[name] = value
			}
		}
	}
	switch in := in.(type) {
	case *entity.Service:
		p.belongs(plugin, &plugin.Service, "service", in, in.Name)
	case *entity.Route:
		p.belongs(plugin, &plugin.Route, "route", in, in.Name)
	case *entity.Consumer:
		p.belongs(plugin, &plugin.Consumer, "consumer", in, in.Username)
	}
	p.config.Plugins = append(p.config.Plugins, plugin)
}

func (p *parser) upstream(v *document.Value, _ entity.Entity) {
	u := entity.NewUpstream()
	p.preset("upstream", u)
	more, children := p.children(u, map[string]reader{"targets": p.target})
	given := p.begin(v, u, more)
	u.SetHash(given["algorithm"])
	p.config.Upstreams = append(p.config.Upstreams, u)
	children()
}

func (p *parser) target(v *document.Value, in entity.Entity) {
	t := entity.NewTarget()
	p.preset("target", t)
	more, _ := p.children(t, nil)
	p.begin(v, t, more)
	if u, ok := in.(*entity.Upstream); ok {
		p.belongs(t, &t.Upstream, "upstream", u, u.Name)
	}
	p.config.Targets = append(p.config.Targets, t)
}

func (p *parser) certificate(v *document.Value, _ entity.Entity) {
	c := &entity.Certificate{}
	more, children := p.children(c, map[string]reader{"services": p.service})
	var names *document.Field
	more["snis"] = func(f document.Field) { names = &f }
	p.begin(v, c, more)
	p.config.Certificates = append(p.config.Certificates, c)
	if names != nil {
		p.snis(*names, c)
	}
	children()
}

// snis reads the names of a certificate: texts, as the Admin API has them, or entities.
func (p *parser) snis(f document.Field, c *entity.Certificate) {
	if f.Value.Kind != document.List {
		p.Errorf(f.Line, "snis must be a list, and is %s", f.Value.Kind)
		return
	}
	outer := p.What
	for i, item := range f.Value.Items {
		if item.Kind == document.Map {
			p.sni(item, c)
			p.What = outer
			continue
		}
		if name, ok := p.Text(item, fmt.Sprintf("snis[%d]", i)); ok {
			sni := &entity.SNI{Name: name, Certificate: entity.RefTo[entity.Certificate](p.identify(c, ""))}
			sni.Source = entity.Source{File: p.File, Line: item.Line}
			p.config.SNIs = append(p.config.SNIs, sni)
		}
	}
}

func (p *parser) sni(v *document.Value, in entity.Entity) {
	s := &entity.SNI{}
	more, _ := p.children(s, nil)
	p.begin(v, s, more)
	if c, ok := in.(*entity.Certificate); ok {
		p.belongs(s, &s.Certificate, "certificate", c, "")
	}
	p.config.SNIs = append(p.config.SNIs, s)
}

func (p *parser) caCertificate(v *document.Value, _ entity.Entity) {
	c := &entity.CACertificate{}
	more, _ := p.children(c, nil)
	p.begin(v, c, more)
	p.config.CACertificates = append(p.config.CACertificates, c)
}
