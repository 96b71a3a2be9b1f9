package entity

import (
	"maps"
	"slices"

	"github.com/perdure/perdure/internal/suggest"
)

// linker makes a compiled configuration of one that parsers have built.
type linker struct {
	report
	to      *Config
	schemas Schemas
	same    map[nameKey]int // how many have the same identity
}

// Compile returns the configuration with ids, with everything connected that refers to each other, and
// what is wrong with it. It is nil if there is an error. Without schemas, the settings of plugins are taken
// as they are. C is not changed.
func (c *Config) Compile(schemas Schemas) (*Config, []Problem) {
	l := &linker{schemas: schemas, same: map[nameKey]int{}, to: &Config{ids: map[nameKey]Entity{}, keys: map[nameKey]Entity{}}}
	l.copy(c)
	l.connect()
	for e := range l.to.All() {
		l.checkMeta(e)
		l.check(e)
	}
	l.checkUse()
	SortProblems(l.problems)
	if Failed(l.problems) {
		return nil, l.problems
	}
	return l.to, l.problems
}

// copyAll copies entities, so that compiling does not change those of the parser.
func copyAll[T any](list []*T) []*T {
	copied := make([]*T, len(list))
	for i, e := range list {
		one := *e
		copied[i] = &one
	}
	return copied
}

func (l *linker) copy(c *Config) {
	to := l.to
	to.Services = copyAll(c.Services)
	to.Routes = copyAll(c.Routes)
	to.Consumers = copyAll(c.Consumers)
	to.JWTs = copyAll(c.JWTs)
	to.KeyAuths = copyAll(c.KeyAuths)
	to.ACLs = copyAll(c.ACLs)
	to.Plugins = copyAll(c.Plugins)
	to.Upstreams = copyAll(c.Upstreams)
	to.Targets = copyAll(c.Targets)
	to.Certificates = copyAll(c.Certificates)
	to.SNIs = copyAll(c.SNIs)
	to.CACertificates = copyAll(c.CACertificates)
}

// connect gives ids and resolves references, what is referred to first.
func (l *linker) connect() {
	c := l.to
	for _, cert := range c.CACertificates {
		l.enter(cert)
	}
	for _, cert := range c.Certificates {
		cert.SNIs = nil
		l.enter(cert)
	}
	for _, sni := range c.SNIs {
		l.enter(sni, sni.Name)
		if to := resolve(l, sni, "certificate", &sni.Certificate, Certificates, true); to != nil {
			to.SNIs = append(to.SNIs, sni)
		}
	}
	for _, u := range c.Upstreams {
		u.Targets = nil
		l.enter(u, u.Name)
		resolve(l, u, "client_certificate", &u.ClientCertificate, Certificates, false)
	}
	for _, t := range c.Targets {
		t.Target = withPort(t.Target)
		to := resolve(l, t, "upstream", &t.Upstream, Upstreams, true)
		l.enter(t, text(t.Upstream.ID(), t.Target))
		if to != nil {
			to.Targets = append(to.Targets, t)
		}
	}
	for _, s := range c.Services {
		l.enter(s, s.Name)
		resolve(l, s, "client_certificate", &s.ClientCertificate, Certificates, false)
		s.Upstream, _ = l.to.keys[nameKey{Upstreams, s.Host}].(*Upstream)
		l.resolveTrust(s)
	}
	for _, r := range c.Routes {
		resolve(l, r, "service", &r.Service, Services, false)
		l.enter(r, r.Name)
	}
	l.connectConsumers()
	for _, p := range c.Plugins {
		resolve(l, p, "route", &p.Route, Routes, false)
		resolve(l, p, "service", &p.Service, Services, false)
		resolve(l, p, "consumer", &p.Consumer, Consumers, false)
		l.enter(p, p.InstanceName)
		l.take(p, text("of", p.Name, p.Route.ID(), p.Service.ID(), p.Consumer.ID()), "the plugin for the same route, service and consumer")
	}
}

func (l *linker) connectConsumers() {
	c := l.to
	for _, consumer := range c.Consumers {
		consumer.JWTs, consumer.KeyAuths, consumer.Groups = nil, nil, nil
		l.enter(consumer, consumer.Username)
		if consumer.CustomID != "" {
			l.take(consumer, text("custom_id", consumer.CustomID), "the custom_id")
		}
	}
	for _, cred := range c.JWTs {
		to := resolve(l, cred, "consumer", &cred.Consumer, Consumers, true)
		l.enter(cred, cred.Key)
		if to != nil {
			to.JWTs = append(to.JWTs, cred)
		}
	}
	for _, cred := range c.KeyAuths {
		to := resolve(l, cred, "consumer", &cred.Consumer, Consumers, true)
		l.enter(cred, cred.Key)
		if to != nil {
			to.KeyAuths = append(to.KeyAuths, cred)
		}
	}
	for _, group := range c.ACLs {
		to := resolve(l, group, "consumer", &group.Consumer, Consumers, true)
		l.enter(group, text(group.Consumer.ID(), group.Group))
		if to != nil {
			to.Groups = append(to.Groups, group)
		}
	}
}

// nouns are what the key of a kind is called.
var nouns = map[Kind]string{
	Consumers: "the username", JWTs: "the key", KeyAuths: "the key", Plugins: "the instance_name",
	Targets: "the address in the same upstream", ACLs: "the group of the same consumer",
}

// enter gives an entity its id and its key, which no other may have.
func (l *linker) enter(e Entity, key ...string) {
	l.giveID(e)
	if len(key) > 0 && key[0] != "" {
		l.take(e, key[0], first(nouns[e.Kind()], "the name"))
	}
}

// take enters an entity by a key. What the key is called goes into the message if it is taken; the key
// itself does not, since it may be secret.
func (l *linker) take(e Entity, key, noun string) {
	k := nameKey{e.Kind(), key}
	if other, taken := l.to.keys[k]; taken {
		l.errorf(e, "", "%s is taken by %s at %s", noun, Describe(other), &other.meta().Source)
		return
	}
	l.to.keys[k] = e
}

// resolve finds what an entity refers to in a field.
func resolve[T any](l *linker, e Entity, field string, ref *Ref[T], kind Kind, required bool) *T {
	ref.To = nil
	if !ref.Set() {
		if required {
			l.errorf(e, field, "is missing: the %s it belongs to", kind.One())
		}
		return nil
	}
	found, ok := any(l.to.Lookup(kind, ref.Key)).(*T)
	if !ok {
		l.errorf(e, field, "there is no %s %q%s", kind.One(), ref.Key, suggest.Hint(ref.Key, l.labels(kind)))
		return nil
	}
	ref.To = found
	return found
}

func (l *linker) resolveTrust(s *Service) {
	s.Trust = nil
	for i, id := range s.CACertificates {
		found, ok := l.to.ids[nameKey{CACertificates, id}].(*CACertificate)
		if !ok {
			l.errorf(s, index("ca_certificates", i), "there is no ca certificate with the id %q", id)
			continue
		}
		s.Trust = append(s.Trust, found)
	}
}

// labels are the names that entities of a kind can be referred to by; none when nobody will read them.
func (l *linker) labels(kind Kind) []string {
	if len(l.problems) > MaxProblems {
		return nil
	}
	var names []string
	for e := range l.to.All() {
		if e.Kind() == kind {
			names = append(names, e.Label())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkUse says what is there and does nothing.
func (l *linker) checkUse() {
	hosts := map[string]bool{}
	for _, s := range l.to.Services {
		hosts[s.Host] = true
	}
	for _, u := range l.to.Upstreams {
		if len(u.Targets) == 0 {
			l.warnf(u, "", "has no targets: requests to it are answered with 503")
		}
		if !hosts[u.Name] {
			l.warnf(u, "", "is used by no service: a service uses it by having its name as host")
		}
	}
	answered := map[*Route]bool{}
	everywhere := false
	for _, p := range l.to.Plugins {
		if p.Name != "request-termination" || !p.Enabled {
			continue
		}
		answered[p.Route.To] = true
		everywhere = everywhere || p.Global()
	}
	for _, r := range l.to.Routes {
		if !r.Service.Set() && !answered[r] && !everywhere {
			l.warnf(r, "", "has no service and no plugin request-termination: its requests are answered with 503")
		}
	}
	l.checkConsumers()
	for _, p := range l.to.Plugins {
		if p.Name == "mtls-auth" {
			l.checkAuthorities(p)
		}
	}
}

// checkAuthorities checks that there are the authorities by which clients' certificates are verified.
func (l *linker) checkAuthorities(p *Plugin) {
	ids, _ := p.Config["ca_certificates"].([]any)
	for i, id := range ids {
		key, _ := id.(string)
		if _, ok := l.to.ids[nameKey{CACertificates, key}].(*CACertificate); !ok {
			l.errorf(p, index("config.ca_certificates", i), "there is no ca certificate with the id %q%s", shorten(key), suggest.Hint(key, l.labels(CACertificates)))
		}
	}
}

// checkConsumers finds consumers that no request can be from.
func (l *linker) checkConsumers() {
	known := map[*Consumer]bool{}
	found := false // by what is in a token or in a client's certificate
	for _, p := range l.to.Plugins {
		skip, _ := p.Config["skip_consumer_lookup"].(bool)
		found = found || p.Enabled && (p.Name == "openid-connect" || p.Name == "mtls-auth" && !skip)
		for _, field := range []string{"anonymous", "default_consumer"} {
			key, _ := p.Config[field].(string)
			if key == "" {
				continue
			}
			consumer := l.to.Consumer(key)
			if consumer == nil {
				l.errorf(p, "config."+field, "there is no consumer %q%s", key, suggest.Hint(key, l.labels(Consumers)))
				continue
			}
			known[consumer] = true
		}
	}
	if found {
		return
	}
	for _, consumer := range l.to.Consumers {
		if name := consumer.Username; name != "" && l.to.keys[nameKey{Consumers, name}] != Entity(consumer) {
			continue // the name is another's, who has the credentials: that is the mistake
		}
		named := consumer.Username != "" || consumer.CustomID != ""
		if named && !known[consumer] && len(consumer.JWTs) == 0 && len(consumer.KeyAuths) == 0 {
			l.errorf(consumer, "", "has no credentials, so no request can be from it: give it a jwt or a key-auth credential, or remove it")
		}
	}
}

// checkPlugin checks a plugin's settings by its schema, which fills in the defaults.
func (l *linker) checkPlugin(p *Plugin) {
	l.checkProtocols(p, p.Protocols)
	if p.InstanceName != "" {
		l.checkName(p, "instance_name", p.InstanceName)
	}
	switch names := l.names(); {
	case p.Name == "":
		l.errorf(p, "name", "is missing")
	case l.schemas == nil:
	case !slices.Contains(names, p.Name):
		l.errorf(p, "name", "there is no plugin %q%s", p.Name, suggest.Hint(p.Name, names))
	default:
		config, problems := l.schemas.Check(p.Name, maps.Clone(p.Config))
		for _, problem := range problems {
			severity, field := Error, "config"
			if problem.Warning {
				severity = Warning
			}
			if problem.Field != "" {
				field += "." + problem.Field
			}
			l.add(severity, p, field, "%s", problem.Message)
		}
		if config != nil {
			p.Config = config
		}
	}
}

func (l *linker) names() []string {
	if l.schemas == nil {
		return nil
	}
	names := slices.Clone(l.schemas.Names())
	slices.Sort(names)
	return names
}
