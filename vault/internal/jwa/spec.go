package jwa

import (
	"crypto/elliptic"
	"fmt"

	"github.com/perdure/perdure/vault/internal/model"
)

// The types of keys (RFC 7518, section 6.1; RFC 8037 for OKP).
const (
	RSA = "RSA"
	EC  = "EC"
	OKP = "OKP"
	Oct = "oct"
)

// Ed25519 is the one curve of OKP that there is.
const Ed25519 = "Ed25519"

// Bounds of symmetric keys, in bits. AES takes 128, 192 and 256; HMAC at least the length of its hash (RFC 7518, section 3.2).
const (
	MinOct = 128
	MaxOct = 4096
)

// Spec says what a key is, but not which one.
type Spec struct {
	Type  string // RSA, EC, OKP or oct
	Size  int    // of RSA and oct, in bits; 0 for 2048 and 256
	Curve string // of EC and OKP; empty for P-256 and Ed25519
}

// Normal returns the spec with its defaults filled in, or a *model.FieldError.
func (s Spec) Normal() (Spec, error) {
	sized := s.Type == RSA || s.Type == Oct
	switch {
	case sized && s.Curve != "":
		return s, &model.FieldError{Field: "crv", Detail: fmt.Sprintf("a key of type %s has a key_size and no curve", s.Type)}
	case !sized && s.Size != 0 && (s.Type == EC || s.Type == OKP):
		return s, &model.FieldError{Field: "key_size", Detail: fmt.Sprintf("a key of type %s has a curve and no size", s.Type)}
	}
	switch s.Type {
	case RSA:
		if s.Size == 0 {
			s.Size = 2048
		}
		return s, checkRSASize(s.Size)
	case Oct:
		if s.Size == 0 {
			s.Size = 256
		}
		return s, checkOctSize(s.Size)
	case EC:
		if s.Curve == "" {
			s.Curve = "P-256"
		}
		_, err := curveOf(s.Curve)
		return s, err
	case OKP:
		if s.Curve == "" {
			s.Curve = Ed25519
		}
		return s, checkOKPCurve(s.Curve)
	}
	return s, &model.FieldError{Field: "kty", Detail: fmt.Sprintf("want RSA, EC, OKP or oct, not %.20q", s.Type)}
}

func checkRSASize(bits int) error {
	if bits != 2048 && bits != 3072 && bits != 4096 {
		return &model.FieldError{Field: "key_size", Detail: fmt.Sprintf("want 2048, 3072 or 4096 bits for RSA, not %d", bits)}
	}
	return nil
}

func checkOctSize(bits int) error {
	if bits < MinOct || bits > MaxOct || bits%8 != 0 {
		return &model.FieldError{Field: "key_size", Detail: fmt.Sprintf("want whole bytes, %d to %d bits, for oct, not %d bits", MinOct, MaxOct, bits)}
	}
	return nil
}

func checkOKPCurve(name string) error {
	if name != Ed25519 {
		return &model.FieldError{Field: "crv", Detail: fmt.Sprintf("want Ed25519 for OKP, not %.20q", name)}
	}
	return nil
}

func curveOf(name string) (elliptic.Curve, error) {
	switch name {
	case "P-256":
		return elliptic.P256(), nil
	case "P-384":
		return elliptic.P384(), nil
	case "P-521":
		return elliptic.P521(), nil
	case "P-256K", "secp256k1", "SECP256K1":
		return nil, &model.FieldError{Field: "crv", Detail: "P-256K (secp256k1) is not offered: there is no implementation of it here that withstands timing attacks; want P-256, P-384 or P-521"}
	}
	return nil, &model.FieldError{Field: "crv", Detail: fmt.Sprintf("want P-256, P-384 or P-521 for EC, not %.20q", name)}
}
