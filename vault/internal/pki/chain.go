package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
)

// The bounds of certificates from outside.
const (
	// MaxChain bounds how many certificates come together.
	MaxChain = 10
	// MaxCertificate bounds each of them, in bytes.
	MaxCertificate = 64 << 10
)

// ParseCertificates reads certificates in DER, at least one.
func ParseCertificates(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 || len(ders) > MaxChain {
		return nil, fmt.Errorf("%w: want 1 to %d certificates", ErrEncoding, MaxChain)
	}
	certs := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		if len(der) > MaxCertificate {
			return nil, fmt.Errorf("%w: a certificate has more than %d bytes", ErrEncoding, MaxCertificate)
		}
		var err error
		if certs[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
		}
	}
	return certs, nil
}

// Arrange finds the certificate of a key among certs, and those that vouch for it in their order, without the root.
// ErrKey says that none is for the key; ErrChain that one of the others is no part of the chain. The chain need not be
// complete: who verifies may know the rest.
func Arrange(certs []*x509.Certificate, key crypto.PublicKey) (leaf *x509.Certificate, chain []*x509.Certificate, err error) {
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return SameKey(c.PublicKey, key) })
	if i < 0 {
		return nil, nil, fmt.Errorf("%w: no certificate is for this key", ErrKey)
	}
	leaf = certs[i]
	rest := slices.Delete(slices.Clone(certs), i, i+1)
	// The same certificate twice, as some files have it, is one.
	drop := func(c *x509.Certificate) {
		rest = slices.DeleteFunc(rest, func(o *x509.Certificate) bool { return o.Equal(c) })
	}
	drop(leaf)
	for last := leaf; !isRoot(last); {
		next := slices.IndexFunc(rest, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if next < 0 {
			break
		}
		last = rest[next]
		if !isRoot(last) {
			chain = append(chain, last)
		}
		drop(last)
	}
	if len(rest) > 0 {
		return nil, nil, fmt.Errorf("%w: %q does not vouch for %q", ErrChain, rest[0].Subject, leaf.Subject)
	}
	return leaf, chain, nil
}

func isRoot(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}
