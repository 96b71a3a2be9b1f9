package mtlsauth

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// The fields that tell an upstream about a certificate without a consumer of its own. What a client sends under
// these names never gets there.
const (
	headerDN  = "X-Client-Cert-Dn"
	headerSAN = "X-Client-Cert-San"
)

// Kong's answers.
const (
	notSent = "No required TLS certificate was sent"
	failed  = "TLS certificate failed verification"
)

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) {
	x.Request.Fields.DeleteFunc(isCertificate)
	p.auth.Authenticate(x, p.find)
}

// isCertificate reports whether a field would be taken for one about the certificate: many servers do not tell "_"
// from "-".
func isCertificate(field, _ []byte) bool {
	if len(field) != len(headerDN) && len(field) != len(headerSAN) || field[0]|0x20 != 'x' {
		return false
	}
	clean := bytes.ReplaceAll(field, []byte("_"), []byte("-"))
	return bytes.EqualFold(clean, []byte(headerDN)) || bytes.EqualFold(clean, []byte(headerSAN))
}

func refuse(message, reason string) *plugin.Refusal {
	return &plugin.Refusal{Status: http.StatusUnauthorized, Body: plugin.Message{Message: message}, Reason: reason}
}

func (p *instance) find(x *proxy.Exchange) *plugin.Refusal {
	switch {
	case x.DryRun && (x.TLS == nil || len(x.TLS.PeerCertificates) == 0):
		return refuse(notSent, "nobody has sent this request, and so no certificate: who is let in cannot be explained without one")
	case x.TLS == nil:
		return refuse(notSent, "the request has come without TLS, and so without a certificate")
	case len(x.TLS.PeerCertificates) > 0:
		return p.decide(x, x.TLS.PeerCertificates)
	case x.TLS.ServerName != "" && !x.CertificateAsked:
		return &plugin.Refusal{Status: http.StatusMisdirectedRequest, Body: plugin.Message{Message: "Misdirected request"}, Reason: "the client was not asked " +
			"for a certificate on this connection, which is for " + shorten(x.TLS.ServerName) + ": it is to open another one for " + shorten(x.Request.Host)}
	case !x.CertificateAsked:
		return refuse(notSent, "the client was not asked for a certificate, since it has sent no name in its handshake (SNI)")
	}
	return refuse(notSent, "the client was asked for a certificate, and has sent none")
}

// decide finds out who the certificate is of, and sets it.
func (p *instance) decide(x *proxy.Exchange, sent []*x509.Certificate) *plugin.Refusal {
	now := p.clock.Now()
	digest := sha256.Sum256(sent[0].Raw)
	who := p.known.get(digest)
	if who == nil || now.Before(who.from) || now.After(who.until) {
		chain, err := p.verify(sent, now)
		if err != nil {
			return refuse(failed, p.reason(sent[0], now, err))
		}
		who = p.identify(chain)
		p.known.put(digest, who)
	}
	if who.refusal != nil {
		return who.refusal
	}
	plugin.SetConsumer(x, who.consumer, &who.credential, who.identifier)
	if who.tell {
		tell(x, headerDN, who.dn)
		tell(x, headerSAN, who.san)
	}
	if x.Explain {
		x.Note(name, who.note)
	}
	return nil
}

func tell(x *proxy.Exchange, field, value string) {
	if value != "" {
		x.Request.Fields.Add(field, value)
	}
}

// identify finds the consumer of a verified certificate.
func (p *instance) identify(chain []*x509.Certificate) *identity {
	leaf := chain[0]
	subjects, fromCN := subjectNames(leaf)
	who := &identity{dn: distinguished(leaf.RawSubject), san: clean(strings.Join(subjects, ", "))}
	who.from, who.until = validity(chain)
	described := "the certificate " + describe(leaf)
	if p.skip {
		who.tell = true
		who.credential = credential{id: who.dn}
		if who.dn == "" {
			who.credential.id = who.san
		}
		if group := p.group(leaf, who.dn); group != "" {
			who.credential.groups = []string{group}
		}
		who.note = described + " is good, and no consumer is looked for"
		return who
	}
	for _, subject := range subjects {
		for _, way := range p.by {
			if c := p.consumers.find(way, subject); c != nil {
				who.set(c)
				who.note = described + " is good, and " + shorten(clean(subject)) + " is the " + way + " of the consumer " + c.Label()
				return who
			}
		}
	}
	missing := described + " is good, but no consumer has " + nameList(subjects) + " as " + strings.Join(p.by, " or ")
	if !fromCN && leaf.Subject.CommonName != "" {
		missing += " (its common name is not looked for, since it has alternative names)"
	}
	if p.fallback == nil {
		who.refusal = refuse(failed, missing)
		return who
	}
	who.set(p.fallback)
	who.tell = true
	who.note = missing + ": it goes on as the default consumer " + p.fallback.Label()
	return who
}

func (c *consumers) find(way, subject string) *entity.Consumer {
	if way == "username" {
		return c.username[subject]
	}
	return c.customID[subject]
}

// group is the group that a certificate puts its owner into, for the plugin acl.
func (p *instance) group(leaf *x509.Certificate, dn string) string {
	switch p.groupBy {
	case "CN":
		return clean(leaf.Subject.CommonName)
	case "DN":
		return dn
	}
	return ""
}
