package pki

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// MaxIterations bounds how often a password is hashed to open PKCS #12 from outside, for all its parts together: a file
// could say any number, and keep us busy for years. Programs write 2,048 to 600,000, three times.
const MaxIterations = 2_000_000

// PFX writes the bundle as PKCS #12 (RFC 7292) encrypted by AES-256, as OpenSSL 3 and Windows Server 2019 do. The password
// may be empty.
func (b *Bundle) PFX(password string) ([]byte, error) {
	if b.Key == nil {
		return nil, fmt.Errorf("%w: PKCS #12 without a key is not written; use PEM", ErrEncoding)
	}
	der, err := pkcs12.Modern2023.Encode(b.Key, b.Certificate, b.Chain, password)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return der, nil
}

// DecodePFX reads PKCS #12 with one key and at least one certificate, in the encryption of today and in those of before
// (triple DES, RC2). ErrPassword says that the password is another one.
func DecodePFX(der []byte, password string) (*Bundle, error) {
	if len(der) > MaxBundle {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrEncoding, MaxBundle)
	}
	sum := int64(0)
	if err := countIterations(der, &sum, 0); err != nil {
		return nil, err
	}
	parsed, leaf, others, err := pkcs12.DecodeChain(der, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption):
		return nil, fmt.Errorf("%w: PKCS #12", ErrPassword)
	case err != nil:
		return nil, fmt.Errorf("%w: PKCS #12: %w", ErrEncoding, err)
	}
	key, err := checkPrivate(parsed)
	if err != nil {
		return nil, err
	}
	if len(others) >= MaxChain {
		return nil, fmt.Errorf("%w: more than %d certificates", ErrEncoding, MaxChain)
	}
	return bundleOf(key, append([]*x509.Certificate{leaf}, others...))
}

// countIterations walks through everything that can be seen without the password, adds up the iterations, and refuses too
// many: wherever a salt is followed by a number, which is what all schemes of PKCS #12 and PKCS #5 have.
func countIterations(der []byte, sum *int64, depth int) error {
	const maxDepth = 24
	if depth > maxDepth {
		return fmt.Errorf("%w: PKCS #12 is nested too deeply", ErrEncoding)
	}
	salted := false
	for len(der) > 0 {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			if depth == 0 {
				return fmt.Errorf("%w: not PKCS #12 in DER", ErrEncoding)
			}
			return nil // what looked like DER is a string of bytes
		}
		der = rest
		octets := v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
		if salted && v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger {
			var n int64
			if _, err := asn1.Unmarshal(v.FullBytes, &n); err != nil || n > MaxIterations-*sum {
				return fmt.Errorf("%w: PKCS #12 with more than %d iterations", ErrEncoding, MaxIterations)
			}
			*sum += max(n, 0)
		}
		salted = octets
		if v.IsCompound || octets {
			if err := countIterations(v.Bytes, sum, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
