package certs

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// MTLSAuth is the name of the plugin for which clients are asked for a certificate.
const MTLSAuth = "mtls-auth"

// maxSubjects bounds the names of authorities that a client is sent, in bytes: a handshake message is to stay small.
const maxSubjects = 16 << 10

// clientAuth says for which names clients are asked for a certificate: those that a route with the plugin mtls-auth
// can have, bound to it, to its service or to everything. A route without SNIs can have any.
//
// Whether the certificate is good is decided by the plugin, which knows the route. A client without one is not
// refused by the handshake.
type clientAuth struct {
	any   *asked // of routes without SNIs
	exact map[string]*asked
	wild  []wildcard
}

// asked is what the plugins of a name say.
type asked struct {
	send        bool // the names of the authorities
	authorities []*x509.Certificate
}

type wildcard struct {
	pattern string
	asked   *asked
}

func newClientAuth(c *entity.Config) (*clientAuth, []entity.Problem) {
	a := &clientAuth{exact: map[string]*asked{}}
	global, service, route, problems := plugins(c)
	for _, r := range c.Routes {
		for _, list := range [][]*asked{global, service[r.Service.To], route[r]} {
			for _, one := range list {
				a.add(r, one)
			}
		}
	}
	return a, problems
}

// plugins are those that ask for certificates, by what they are bound to.
func plugins(c *entity.Config) (global []*asked, service map[*entity.Service][]*asked, route map[*entity.Route][]*asked, problems []entity.Problem) {
	service, route = map[*entity.Service][]*asked{}, map[*entity.Route][]*asked{}
	for _, p := range c.Plugins {
		if p.Name != MTLSAuth || !p.Enabled {
			continue
		}
		one := &asked{authorities: authorities(c, p)}
		one.send, _ = p.Config["send_ca_dn"].(bool)
		if one.send && one.size() > maxSubjects {
			problems = append(problems, warning(p, "config.send_ca_dn", "the names of the authorities are more than %d bytes, and are not sent", maxSubjects))
			one.send = false
		}
		switch {
		case p.Route.Set():
			route[p.Route.To] = append(route[p.Route.To], one)
		case p.Service.Set():
			service[p.Service.To] = append(service[p.Service.To], one)
		default:
			global = append(global, one)
		}
	}
	delete(service, nil) // a route without a service has none
	return global, service, route, problems
}

// authorities are the certificates of a plugin's setting ca_certificates; the plugin says what is wrong with it.
func authorities(c *entity.Config, p *entity.Plugin) (list []*x509.Certificate) {
	ids, _ := p.Config["ca_certificates"].([]any)
	for _, id := range ids {
		key, _ := id.(string)
		if ca, ok := c.Lookup(entity.CACertificates, key).(*entity.CACertificate); ok {
			if cert := Authority(ca); cert != nil {
				list = append(list, cert)
			}
		}
	}
	return list
}

// Authority parses the certificate of an authority, nil if it is none.
func Authority(ca *entity.CACertificate) *x509.Certificate {
	block, _ := pem.Decode([]byte(ca.Cert))
	if block == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return cert
}

func (a *asked) size() (n int) {
	for _, c := range a.authorities {
		n += len(c.RawSubject) + 2
	}
	return n
}

// with adds what another plugin says. If one sends the names of its authorities, those of the others are sent too:
// a client that does not find its own among them would send no certificate.
func (a *asked) with(other *asked) *asked {
	if a == nil || other == a {
		return other
	}
	sum := &asked{send: a.send || other.send, authorities: slices.Clone(a.authorities)}
	for _, c := range other.authorities {
		if !slices.ContainsFunc(sum.authorities, c.Equal) {
			sum.authorities = append(sum.authorities, c)
		}
	}
	sum.send = sum.send && sum.size() <= maxSubjects
	return sum
}

func (a *clientAuth) add(r *entity.Route, one *asked) {
	if len(r.SNIs) == 0 {
		a.any = a.any.with(one)
		return
	}
	for _, sni := range r.SNIs {
		name := normal(sni)
		if !strings.HasPrefix(name, "*") && !strings.HasSuffix(name, "*") {
			a.exact[name] = a.exact[name].with(one)
			continue
		}
		i := slices.IndexFunc(a.wild, func(w wildcard) bool { return w.pattern == name })
		if i < 0 {
			a.wild = append(a.wild, wildcard{name, one})
			continue
		}
		a.wild[i].asked = a.wild[i].asked.with(one)
	}
}

// Asks reports whether a client that asks for a name is asked for a certificate: one where a route with the plugin
// mtls-auth can have the name.
func (p *Plan) Asks(name string) bool { return p.clients.find(name) != nil }

// find returns what all plugins say that a name can have, nil if there is none.
func (a *clientAuth) find(name string) *asked {
	found := a.any
	if name == "" {
		return found
	}
	name = normal(name)
	if one := a.exact[name]; one != nil {
		found = found.with(one)
	}
	for i := range a.wild {
		if matches(a.wild[i].pattern, name) {
			found = found.with(a.wild[i].asked)
		}
	}
	return found
}

// matches reports whether a route's SNI is a name, as the router has it: a wildcard stands for one label or more.
func matches(pattern, name string) bool {
	if len(name) < len(pattern) {
		return false
	}
	if rest, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(name, rest)
	}
	return strings.HasPrefix(name, strings.TrimSuffix(pattern, "*"))
}
