package certs

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// Soon is how long before a certificate ends there is a warning.
const Soon = 30 * 24 * time.Hour

// warnings collects what will not work as meant.
type warnings struct {
	now      time.Time
	problems []entity.Problem
}

func (w *warnings) add(e entity.Entity, field, format string, args ...any) {
	w.problems = entity.Bound(w.problems, warning(e, field, format, args...))
}

func warning(e entity.Entity, field, format string, args ...any) entity.Problem {
	source := &entity.MetaOf(e).Source
	return entity.Problem{
		Severity: entity.Warning, File: source.File, Line: source.At(field), Entity: entity.Describe(e),
		Message: field + ": " + fmt.Sprintf(format, args...),
	}
}

func (w *warnings) checkCertificate(c *entity.Config, cert *entity.Certificate) {
	if cert.Pair != nil {
		w.checkTime(cert, "cert", cert.Pair.Leaf)
	}
	if cert.PairAlt != nil {
		w.checkTime(cert, "cert_alt", cert.PairAlt.Leaf)
	}
	if len(cert.SNIs) == 0 && !isClients(c, cert) {
		w.add(cert, "snis", "there are none, so the certificate is shown to nobody: name the hosts it is for, or remove it")
	}
}

// isClients reports whether a certificate is shown to upstreams.
func isClients(c *entity.Config, cert *entity.Certificate) bool {
	for _, s := range c.Services {
		if s.ClientCertificate.To == cert {
			return true
		}
	}
	for _, u := range c.Upstreams {
		if u.ClientCertificate.To == cert {
			return true
		}
	}
	return false
}

func (w *warnings) checkTime(e entity.Entity, field string, cert *x509.Certificate) {
	const day = "2006-01-02 15:04 MST"
	switch {
	case !w.now.Before(cert.NotAfter):
		w.add(e, field, "has expired on %s: it is refused; replace it", cert.NotAfter.UTC().Format(day))
	case cert.NotAfter.Sub(w.now) < Soon:
		w.add(e, field, "ends on %s, in less than 30 days: replace it before", cert.NotAfter.UTC().Format(day))
	case w.now.Before(cert.NotBefore):
		w.add(e, field, "begins on %s: it is refused until then", cert.NotBefore.UTC().Format(day))
	}
}

// checkName says whether clients that ask for a name will take the certificate.
func (w *warnings) checkName(sni *entity.SNI, cert *entity.Certificate) {
	name := normal(sni.Name)
	switch {
	case name == "*":
		return
	case strings.HasPrefix(name, "*") && name[1] != '.', strings.HasSuffix(name, "*") && name[len(name)-2] != '.':
		w.add(sni, "name", `%q is the name of nothing, since a wildcard stands for a whole label: write "*.example.com" or "example.*"`, sni.Name)
		return
	}
	for _, pair := range pairs(cert) {
		if leaf := pair.Leaf; leaf != nil && !covers(leaf, name) {
			w.add(sni, "name", "the certificate does not cover %q, it is for %s: clients refuse it", sni.Name, names(leaf))
			return
		}
	}
}

// covers reports whether a certificate is good for a name. A name with a wildcard at its end is good if there is a
// name of that form.
func covers(leaf *x509.Certificate, name string) bool {
	if rest, ok := strings.CutPrefix(name, "*"); ok {
		return leaf.VerifyHostname("any-label"+rest) == nil
	}
	if front, ok := strings.CutSuffix(name, "*"); ok {
		for _, n := range leaf.DNSNames {
			if last, ok := strings.CutPrefix(strings.ToLower(n), front); ok && !strings.Contains(last, ".") {
				return true
			}
		}
		return false
	}
	return leaf.VerifyHostname(name) == nil
}

// names are the first names that a certificate is for, as a message has them.
func names(leaf *x509.Certificate) string {
	const most = 5
	list := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		list = append(list[:len(list):len(list)], ip.String())
	}
	switch {
	case len(list) == 0:
		return "no host (it has no subject alternative name)"
	case len(list) > most:
		return fmt.Sprintf("%q and %d more", list[:most], len(list)-most)
	}
	return fmt.Sprintf("%q", list)
}
