package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

// MaxRequest bounds a certificate request, in bytes.
const MaxRequest = 64 << 10

// basicConstraints is the extension of that name (RFC 5280, section 4.2.1.9).
type basicConstraints struct {
	IsCA       bool `asn1:"optional"`
	MaxPathLen int  `asn1:"optional,default:-1"`
}

// Request makes a certificate request (PKCS #10, RFC 2986) of what a policy says. It is signed by the key that the
// certificate is for.
func Request(p *model.Policy, key crypto.Signer) ([]byte, error) {
	c, err := contentOf(p)
	if err != nil {
		return nil, err
	}
	if err := CheckKey(key.Public()); err != nil {
		return nil, err
	}
	t := &x509.CertificateRequest{RawSubject: c.subject}
	if c.altNames != nil {
		t.ExtraExtensions = append(t.ExtraExtensions, *c.altNames)
	}
	if c.usage != 0 {
		e, err := usageExtension(c.usage)
		if err != nil {
			return nil, err
		}
		t.ExtraExtensions = append(t.ExtraExtensions, e)
	}
	if len(c.extUsage) > 0 {
		der, err := asn1.Marshal(c.extUsage)
		if err != nil {
			return nil, err
		}
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidExtKeyUsage, Value: der})
	}
	if c.authority {
		der, err := asn1.Marshal(basicConstraints{IsCA: true, MaxPathLen: -1})
		if err != nil {
			return nil, err
		}
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidBasicConstraints, Critical: true, Value: der})
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, t, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return der, nil
}

// ParseRequest reads a certificate request in DER, and checks that the key it is for signed it.
func ParseRequest(der []byte) (*x509.CertificateRequest, error) {
	if len(der) > MaxRequest {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrRequest, MaxRequest)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if err := CheckKey(r.PublicKey); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: not signed by its own key", ErrRequest)
	}
	return r, nil
}

// contentOfRequest is what a request asks a certificate to say: its subject, alternative names and usages.
func contentOfRequest(r *x509.CertificateRequest) (*content, error) {
	c := &content{subject: r.RawSubject, usage: usageOf(r.Extensions), extUsage: extUsagesOf(r.Extensions)}
	for _, e := range r.Extensions {
		switch {
		case e.Id.Equal(oidAltName):
			c.altNames = &pkix.Extension{Id: e.Id, Critical: len(r.Subject.Names) == 0, Value: e.Value}
		case e.Id.Equal(oidBasicConstraints):
			var b basicConstraints
			if rest, err := asn1.Unmarshal(e.Value, &b); err != nil || len(rest) > 0 {
				return nil, fmt.Errorf("%w: malformed basic constraints", ErrRequest)
			}
			c.authority = b.IsCA
		}
	}
	if len(r.Subject.Names) == 0 && (c.altNames == nil || c.authority) {
		return nil, fmt.Errorf("%w: it has no subject", ErrRequest)
	}
	if n := len(r.DNSNames) + len(r.EmailAddresses) + len(r.IPAddresses) + len(r.URIs); n > MaxAltNames {
		return nil, fmt.Errorf("%w: more than %d alternative names", ErrRequest, MaxAltNames)
	}
	return c, nil
}
