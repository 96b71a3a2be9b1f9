package mtlsauth

import (
	"crypto/x509"
	"errors"
	"strings"
	"time"
)

// maxSent bounds how many certificates of a client are looked at.
const maxSent = 16

// verify returns the chain from the client's certificate to one of the authorities.
func (p *instance) verify(sent []*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	intermediates := p.intermediates
	if len(sent) > 1 {
		intermediates = intermediates.Clone()
		for _, c := range sent[1:min(len(sent), maxSent)] {
			intermediates.AddCert(c)
		}
	}
	chains, err := sent[0].Verify(x509.VerifyOptions{
		Roots: p.roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

// validity is when all of a chain is good.
func validity(chain []*x509.Certificate) (from, until time.Time) {
	from, until = chain[0].NotBefore, chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return from, until
}

// reason says why a certificate is not good.
func (p *instance) reason(leaf *x509.Certificate, now time.Time, err error) string {
	whose := "the certificate " + describe(leaf)
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return whose + " is not of the authorities " + nameList(p.authorities) + ", or the client does not send those between them and its own"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if invalid.Cert != nil && !invalid.Cert.Equal(leaf) {
			whose = "the certificate of the authority " + describe(invalid.Cert) + ", by which it is verified,"
			leaf = invalid.Cert
		}
		if now.Before(leaf.NotBefore) {
			return whose + " begins on " + day(leaf.NotBefore)
		}
		return whose + " has expired on " + day(leaf.NotAfter)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return whose + " is not for clients: its extended key usage has no clientAuth"
	}
	return whose + " cannot be verified: " + shorten(clean(strings.TrimPrefix(err.Error(), "x509: ")))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// describe is a certificate in a reason.
func describe(c *x509.Certificate) string {
	subject := distinguished(c.RawSubject)
	if subject == "" {
		subject = "without a subject"
	}
	return shorten(subject) + " (issued by " + shorten(distinguished(c.RawIssuer)) + ")"
}

// nameList is names in a reason.
func nameList(names []string) string {
	const most = 5
	if len(names) == 0 {
		return "a name that it has none of"
	}
	var b strings.Builder
	for i, n := range names {
		if i == most {
			b.WriteString(", …")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(shorten(clean(n)))
	}
	return b.String()
}

func shorten(text string) string {
	const most = 200
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
