package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// CheckKey reports why a public key is none that certificates here have: RSA of 2048 to 8192 bits (more takes seconds to
// use), ECDSA on P-256, P-384 and P-521, Ed25519. It matches ErrKey.
func CheckKey(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 8192 || n%8 != 0 {
			return fmt.Errorf("%w: RSA of %d bits; want 2048 to 8192", ErrKey, n)
		}
		if k.E < 3 || k.E%2 == 0 {
			return fmt.Errorf("%w: RSA with a bad exponent", ErrKey)
		}
		return nil
	case *ecdsa.PublicKey:
		switch k.Curve.Params().Name {
		case "P-256", "P-384", "P-521":
			return nil
		}
		return fmt.Errorf("%w: curve %s; want P-256, P-384 or P-521", ErrKey, k.Curve.Params().Name)
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("%w: %T; want RSA, ECDSA or Ed25519", ErrKey, public)
}

// SameKey reports whether two public keys are the same one.
func SameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// keyID is the identifier of a public key in certificates: method 1 of RFC 7093.
func keyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	sum := sha256.Sum256(info.Key.Bytes)
	return sum[:20], nil
}
