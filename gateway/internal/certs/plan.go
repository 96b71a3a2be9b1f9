package certs

import (
	"crypto/ecdsa"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// Fallback gives the certificate for names that the configuration has none for, and for clients that send no name.
// Nil, and no error, is that there is none.
type Fallback = func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// Plan is the certificates of a configuration. It is not changed once it is made.
type Plan struct {
	names    map[string][]*tls.Certificate // by SNI in small letters, wildcards as they are written
	fallback Fallback
	clients  *clientAuth
}

// Build makes a plan of a compiled configuration, and says what will not work as meant at a time: certificates that
// have expired or end soon, names that they do not cover. It touches nothing that is in use. Without a certificate
// and a fallback the handshake is refused with the alert unrecognized_name (RFC 6066 section 3).
func Build(c *entity.Config, fallback Fallback, now time.Time) (*Plan, []entity.Problem) {
	p := &Plan{names: make(map[string][]*tls.Certificate, len(c.SNIs)), fallback: fallback}
	var problems []entity.Problem
	p.clients, problems = newClientAuth(c)
	w := &warnings{now: now, problems: problems}
	for _, cert := range c.Certificates {
		w.checkCertificate(c, cert)
	}
	for _, ca := range c.CACertificates {
		if cert := Authority(ca); cert != nil {
			w.checkTime(ca, "cert", cert)
		}
	}
	first := map[string]*entity.SNI{}
	for _, sni := range c.SNIs {
		cert := sni.Certificate.To
		if cert == nil || cert.Pair == nil {
			continue // Compile lets none through
		}
		name := normal(sni.Name)
		if other := first[name]; other != nil {
			w.add(sni, "name", "%q is the name of another sni at %s as well, whose certificate is shown: remove one of them", sni.Name, &other.Source)
			continue
		}
		first[name] = sni
		p.names[name] = pairs(cert)
		w.checkName(sni, cert)
	}
	return p, w.problems
}

// pairs are the certificates in the order in which they are preferred: ECDSA costs a fraction of RSA.
func pairs(c *entity.Certificate) []*tls.Certificate {
	if c.PairAlt == nil {
		return []*tls.Certificate{c.Pair}
	}
	if _, ok := c.PairAlt.Leaf.PublicKey.(*ecdsa.PublicKey); ok {
		return []*tls.Certificate{c.PairAlt, c.Pair}
	}
	return []*tls.Certificate{c.Pair, c.PairAlt}
}

// normal is a name as it is compared.
func normal(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// find returns the certificates for a name, in Kong's order: the name itself, with a wildcard for its first label,
// for its last one, and for all names.
func (p *Plan) find(name string) []*tls.Certificate {
	name = normal(name)
	if name != "" {
		if found := p.names[name]; found != nil {
			return found
		}
		if dot := strings.IndexByte(name, '.'); dot > 0 {
			if found := p.names["*"+name[dot:]]; found != nil {
				return found
			}
		}
		if dot := strings.LastIndexByte(name, '.'); dot > 0 {
			if found := p.names[name[:dot]+".*"]; found != nil {
				return found
			}
		}
	}
	return p.names["*"]
}

// certificate implements tls.Config.GetCertificate.
func (p *Plan) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	found := p.find(hello.ServerName)
	switch len(found) {
	case 0:
		if p.fallback == nil {
			return nil, nil //nolint:nilnil // that is how crypto/tls is told to say unrecognized_name
		}
		cert, err := p.fallback(hello)
		if err != nil {
			return nil, fmt.Errorf("certs: the certificate for names without one: %w", err)
		}
		return cert, nil
	case 1:
		return found[0], nil
	}
	any := *hello
	any.ServerName = "" // the name has been found: what counts is the type of the key
	for _, cert := range found {
		if any.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	return found[0], nil // the alert says why not
}
