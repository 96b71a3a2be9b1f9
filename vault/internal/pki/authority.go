package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
)

// backdate is how long before now a certificate begins, for clocks that are behind; as Azure Key Vault has it.
const backdate = 10 * time.Minute

// Authority signs certificates and revocation lists.
type Authority struct {
	Certificate *x509.Certificate
	// Chain has those that vouch for it, from the next one up, with or without the root. Their limits hold.
	Chain []*x509.Certificate
	// Key is the private key of Certificate.
	Key crypto.Signer
}

// Issue says what an authority adds to a certificate that it signs.
type Issue struct {
	Now time.Time
	// CRL is where clients find the revocation list; empty for nowhere.
	CRL string
}

// Profile says what an authority makes of a request that came from outside.
type Profile struct {
	Issue
	// ValidityMonths and ValidityDays are as in model.X509Properties: one of both.
	ValidityMonths, ValidityDays int
	// Authority lets the request ask for an authority, with at most PathLen authorities below it.
	Authority bool
	PathLen   int
}

// SelfSigned makes a certificate that its own key signs: for tests and local work, or the root of an authority, which
// may have any number of authorities below it.
func SelfSigned(p *model.Policy, key crypto.Signer, now time.Time) (*x509.Certificate, error) {
	c, err := contentOf(p)
	if err != nil {
		return nil, err
	}
	from := start(now)
	t, err := c.template(key.Public(), from, validUntil(&p.X509, from))
	if err != nil {
		return nil, err
	}
	t.MaxPathLen = -1
	return create(t, t, key.Public(), key)
}

// Issue makes a certificate of what a policy says, for a public key whose request was checked. It ends no later than the
// authority and those above it. An authority that is made so signs certificates of others, but no further authorities.
func (a *Authority) Issue(p *model.Policy, public crypto.PublicKey, o Issue) (*x509.Certificate, error) {
	c, err := contentOf(p)
	if err != nil {
		return nil, err
	}
	return a.sign(c, public, &p.X509, 0, o)
}

// Sign makes a certificate of what a request asks for, within the profile.
func (a *Authority) Sign(r *x509.CertificateRequest, p Profile) (*x509.Certificate, error) {
	c, err := contentOfRequest(r)
	if err != nil {
		return nil, err
	}
	if !p.Authority {
		if c.authority {
			return nil, fmt.Errorf("%w: it asks for an authority", ErrRequest)
		}
		c.usage &^= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	} else if c.authority {
		c.usage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	x := model.X509Properties{ValidityMonths: p.ValidityMonths, ValidityDays: p.ValidityDays}
	if _, err := checkValidity(&x); err != nil {
		return nil, err
	}
	if x.ValidityDays == 0 && x.ValidityMonths == 0 {
		x.ValidityMonths = 12
	}
	return a.sign(c, r.PublicKey, &x, p.PathLen, p.Issue)
}

func (a *Authority) sign(c *content, public crypto.PublicKey, x *model.X509Properties, pathLen int, o Issue) (*x509.Certificate, error) {
	if err := a.check(o.Now); err != nil {
		return nil, err
	}
	if c.authority && a.Certificate.MaxPathLen == 0 && a.Certificate.MaxPathLenZero {
		return nil, fmt.Errorf("%w: %q may have no authority below it", ErrAuthority, a.Certificate.Subject)
	}
	from := start(o.Now)
	to := validUntil(x, from)
	for _, above := range append([]*x509.Certificate{a.Certificate}, a.Chain...) {
		if from.Before(above.NotBefore) {
			from = above.NotBefore
		}
		if to.After(above.NotAfter) {
			to = above.NotAfter
		}
	}
	t, err := c.template(public, from, to)
	if err != nil {
		return nil, err
	}
	if c.authority {
		t.MaxPathLen, t.MaxPathLenZero = pathLen, pathLen == 0
	}
	if o.CRL != "" {
		t.CRLDistributionPoints = []string{o.CRL}
	}
	cert, err := create(t, a.Certificate, public, a.Key)
	if err != nil {
		return nil, err
	}
	if err := a.allows(cert, o.Now); err != nil {
		return nil, err
	}
	return cert, nil
}

// check reports why the authority signs nothing at a time.
func (a *Authority) check(now time.Time) error {
	c := a.Certificate
	switch {
	case !c.IsCA || !c.BasicConstraintsValid || c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("%w: %q is none", ErrAuthority, c.Subject)
	case !SameKey(c.PublicKey, a.Key.Public()):
		return fmt.Errorf("%w: the key of %q is another one", ErrAuthority, c.Subject)
	case now.Before(c.NotBefore):
		return fmt.Errorf("%w: %q begins at %s", ErrAuthority, c.Subject, c.NotBefore.Format(time.RFC3339))
	case !now.Before(c.NotAfter):
		return fmt.Errorf("%w: %q has ended at %s", ErrAuthority, c.Subject, c.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// allows verifies a new certificate as a client would, so that what no client takes is not issued: limits of names,
// usages and lengths all the way up.
func (a *Authority) allows(cert *x509.Certificate, now time.Time) error {
	above := append([]*x509.Certificate{a.Certificate}, a.Chain...)
	if len(cert.DNSNames) == 0 && !cert.IsCA && isHost(cert.Subject.CommonName, true) {
		// Some clients still take the common name for the host's, where no limit would be looked at.
		for _, c := range above {
			if len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains) > 0 {
				return fmt.Errorf("%w: %q has limits of host names; say %q among the DNS names of the policy", ErrAuthority, c.Subject, cert.Subject.CommonName)
			}
		}
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for i, c := range above {
		if i == len(above)-1 {
			roots.AddCert(c)
		} else {
			between.AddCert(c)
		}
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("%w: %q does not allow it: %w", ErrAuthority, a.Certificate.Subject, err)
	}
	return nil
}

func start(now time.Time) time.Time { return now.UTC().Add(-backdate).Truncate(time.Second) }

// template is a certificate for a key, as CreateCertificate takes it.
func (c *content) template(public crypto.PublicKey, from, to time.Time) (*x509.Certificate, error) {
	if err := CheckKey(public); err != nil {
		return nil, err
	}
	id, err := keyID(public)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serialNumber(), RawSubject: c.subject, NotBefore: from, NotAfter: to,
		KeyUsage: c.usage, UnknownExtKeyUsage: c.extUsage, SubjectKeyId: id,
		BasicConstraintsValid: true, IsCA: c.authority,
	}
	if c.altNames != nil {
		t.ExtraExtensions = append(t.ExtraExtensions, *c.altNames)
	}
	return t, nil
}

func create(t, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	return x509.ParseCertificate(der)
}

// serialNumber returns 127 random bits below a one, so that it is positive and of one length.
func serialNumber() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:])
}
