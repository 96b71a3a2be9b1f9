// Package mtlsauth is Kong's plugin mtls-auth: who shows a certificate of one of the plugin's authorities in TLS's
// handshake is the consumer that the certificate names (RFC 5280, RFC 8446 section 4.4.2).
//
// The handshake asks for a certificate where a route with the plugin can have the name that the client asks for;
// package certs says for which. Whether it is good is decided here, by the authorities of the plugin that the
// request's route has, and not by the handshake, whose verdict does not count.
//
// Revocation is not checked: neither lists (CRL) nor responders (OCSP) are asked. Kong's default of
// revocation_check_mode is IGNORE_CA_ERROR; a configuration that says so, or STRICT, is refused, one that says
// nothing works with a warning, as with SKIP.
//
// A request without a certificate on a connection whose client was not asked for one is answered with 421, which has
// the client try again on a connection of its own, where it is asked (RFC 9110 section 15.5.20): the connection is
// from before the plugin was there, or it is one of HTTP/2 for another host (RFC 9113 section 9.1.1). A client that
// sends no name in its handshake would not be asked there either. All other refusals are Kong's 401.
package mtlsauth

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/perdure/perdure/gateway/internal/certs"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/internal/clock"
)

const name = certs.MTLSAuth

// Kind returns the plugin.
func Kind() *plugin.Kind {
	noRevocation := "revocation is not checked here; remove it"
	return &plugin.Kind{
		Name: name, Priority: 1600, NoConsumer: true, New: newInstance,
		Schema: plugin.Schema{Check: check, Fields: []plugin.Field{
			{Name: "anonymous", Type: plugin.String},
			{Name: "consumer_by", Type: plugin.Array, Default: []any{"username", "custom_id"},
				Elements: &plugin.Field{Type: plugin.String, OneOf: []string{"username", "custom_id"}}},
			{Name: "ca_certificates", Type: plugin.Array, Required: true, Elements: &plugin.Field{Type: plugin.String}},
			{Name: "skip_consumer_lookup", Type: plugin.Boolean, Default: false, Required: true},
			{Name: "allow_partial_chain", Type: plugin.Boolean, Default: false, Required: true},
			{Name: "authenticated_group_by", Type: plugin.String, Default: "CN", OneOf: []string{"CN", "DN"}},
			{Name: "revocation_check_mode", Type: plugin.String, OneOf: []string{"SKIP", "IGNORE_CA_ERROR", "STRICT"}, Check: checkMode},
			{Name: "send_ca_dn", Type: plugin.Boolean, Default: false, Required: true},
			{Name: "default_consumer", Type: plugin.String},
			// What is of caches and of revocation alone.
			{Name: "cache_ttl", Type: plugin.Number, Ignored: true},
			{Name: "cert_cache_ttl", Type: plugin.Number, Ignored: true},
			{Name: "http_timeout", Type: plugin.Number, Ignored: true},
			{Name: "ssl_verify", Type: plugin.Boolean, Ignored: true},
			{Name: "http_proxy_host", Type: plugin.String, Refused: noRevocation},
			{Name: "http_proxy_port", Type: plugin.Integer, Refused: noRevocation},
			{Name: "https_proxy_host", Type: plugin.String, Refused: noRevocation},
			{Name: "https_proxy_port", Type: plugin.Integer, Refused: noRevocation},
			{Name: "san_dirname_matcher", Type: plugin.Array, Refused: "directory names are not looked at; remove it"},
		}},
	}
}

func checkMode(value any) string {
	if value != "SKIP" {
		return "revocation is not checked here (neither CRL nor OCSP): write SKIP, and let the authority issue certificates that live for days"
	}
	return ""
}

func check(v plugin.Values) (problems []entity.FieldProblem) {
	if len(v.Strings("ca_certificates")) == 0 {
		problems = append(problems, entity.FieldProblem{Field: "ca_certificates", Message: "is empty: name the authorities of the clients by the ids of ca_certificates"})
	}
	if v.String("revocation_check_mode") == "" {
		problems = append(problems, entity.FieldProblem{Field: "revocation_check_mode", Warning: true, Message: "is IGNORE_CA_ERROR in Kong, whereas here " +
			"revocation is not checked: a certificate is good until it ends; write SKIP to say that this is known"})
	}
	if !v.Bool("skip_consumer_lookup") && len(v.Strings("consumer_by")) == 0 && v.String("default_consumer") == "" {
		problems = append(problems, entity.FieldProblem{Field: "consumer_by", Warning: true,
			Message: "is empty, and there is no default_consumer: nobody is let in; write username, custom_id or both"})
	}
	return problems
}

// consumers are all by what names them.
type consumers struct{ username, customID map[string]*entity.Consumer }

type instance struct {
	auth                 plugin.Authentication
	clock                clock.Clock
	roots, intermediates *x509.CertPool
	authorities          []string // their names, for reasons
	by                   []string
	consumers            consumers
	skip                 bool
	groupBy              string
	fallback             *entity.Consumer // the default
	known                cache
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	p := &instance{
		auth: plugin.NewAuthentication(s), clock: s.Clock, by: v.Strings("consumer_by"), skip: v.Bool("skip_consumer_lookup"),
		groupBy: v.String("authenticated_group_by"), fallback: s.Config.Consumer(v.String("default_consumer")),
		consumers: plugin.Once(s, name+" consumers", func() consumers {
			all := consumers{map[string]*entity.Consumer{}, map[string]*entity.Consumer{}}
			for _, c := range s.Config.Consumers {
				all.username[c.Username], all.customID[c.CustomID] = c, c
			}
			delete(all.username, "")
			delete(all.customID, "")
			return all
		}),
	}
	return p, p.trust(s.Config, v)
}

// trust sorts the authorities: those that have signed themselves end a chain, others do if chains may be partial.
func (p *instance) trust(c *entity.Config, v plugin.Values) error {
	p.roots, p.intermediates = x509.NewCertPool(), x509.NewCertPool()
	ends := 0
	for _, id := range v.Strings("ca_certificates") {
		ca, _ := c.Lookup(entity.CACertificates, id).(*entity.CACertificate)
		if ca == nil {
			return fmt.Errorf("ca_certificates: there is no ca certificate with the id %q", shorten(id))
		}
		cert := certs.Authority(ca)
		if cert == nil {
			return fmt.Errorf("ca_certificates: the ca certificate %q cannot be read", id)
		}
		p.authorities = append(p.authorities, distinguished(cert.RawSubject))
		if v.Bool("allow_partial_chain") || cert.CheckSignatureFrom(cert) == nil {
			p.roots.AddCert(cert)
			ends++
		} else {
			p.intermediates.AddCert(cert)
		}
	}
	if ends == 0 {
		return errors.New("ca_certificates: none of them is a root, that has signed itself: add the root, or set allow_partial_chain: true")
	}
	return nil
}
