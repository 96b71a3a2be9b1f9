package jwa

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	"github.com/perdure/perdure/vault/internal/model"
)

// Key is a private or a symmetric key. It is safe for concurrent use, and does not print itself.
type Key struct {
	spec Spec
	// One of these.
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
	oct []byte
}

// Generate makes a key. RSA takes from a tenth of a second to several: not in a unit of work.
func Generate(s Spec) (*Key, error) {
	s, err := s.Normal()
	if err != nil {
		return nil, err
	}
	k := &Key{spec: s}
	switch s.Type {
	case RSA:
		k.rsa, err = rsa.GenerateKey(rand.Reader, s.Size)
	case EC:
		curve, _ := curveOf(s.Curve) // Normal has looked
		k.ec, err = ecdsa.GenerateKey(curve, rand.Reader)
	case OKP:
		_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	case Oct:
		k.oct = make([]byte, s.Size/8)
		_, _ = rand.Read(k.oct) // never fails
	}
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	return k, nil
}

// New returns a key that was made elsewhere: an *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, or the []byte of a
// symmetric key. It is checked as an imported one is.
func New(private any) (*Key, error) {
	switch p := private.(type) {
	case *rsa.PrivateKey:
		return newRSA(p)
	case *ecdsa.PrivateKey:
		return newEC(p)
	case ed25519.PrivateKey:
		if len(p) != ed25519.PrivateKeySize || !ed25519.NewKeyFromSeed(p.Seed()).Equal(p) {
			return nil, inconsistent()
		}
		return &Key{spec: Spec{Type: OKP, Curve: Ed25519}, ed: p}, nil
	case []byte:
		if err := checkOctSize(len(p) * 8); err != nil {
			return nil, err
		}
		return &Key{spec: Spec{Type: Oct, Size: len(p) * 8}, oct: append([]byte(nil), p...)}, nil
	}
	return nil, &model.FieldError{Field: "kty", Detail: fmt.Sprintf("a key of the type %T cannot be kept", private)}
}

func newRSA(p *rsa.PrivateKey) (*Key, error) {
	if p.N == nil {
		return nil, inconsistent()
	}
	if err := checkRSASize(p.N.BitLen()); err != nil {
		return nil, err
	}
	switch {
	case len(p.Primes) != 2:
		return nil, &model.FieldError{Field: "key", Detail: "want an RSA key of two primes"}
	case p.E < 1<<16+1:
		return nil, &model.FieldError{Field: "e", Detail: "want a public exponent of at least 65537"}
	}
	p.Precompute()
	if p.Validate() != nil { // its text could tell of the key
		return nil, inconsistent()
	}
	return &Key{spec: Spec{Type: RSA, Size: p.N.BitLen()}, rsa: p}, nil
}

func newEC(p *ecdsa.PrivateKey) (*Key, error) {
	if p.Curve == nil {
		return nil, inconsistent()
	}
	name := p.Curve.Params().Name
	curve, err := curveOf(name)
	if err != nil {
		return nil, err
	}
	d, err := p.Bytes()
	if err != nil {
		return nil, inconsistent()
	}
	defer clear(d)
	own, err := ecdsa.ParseRawPrivateKey(curve, d) // with the point that belongs to d
	if err != nil || !own.PublicKey.Equal(&p.PublicKey) {
		return nil, inconsistent()
	}
	return &Key{spec: Spec{Type: EC, Curve: name}, ec: own}, nil
}

func inconsistent() error {
	return &model.FieldError{Field: "key", Detail: "the parts of the key do not belong together"}
}

// Spec says what the key is, with no defaults left open.
func (k *Key) Spec() Spec { return k.spec }

// String says what the key is and not which one, so that a log line or an error cannot hold it.
func (k *Key) String() string {
	if k.spec.Curve != "" {
		return k.spec.Type + " " + k.spec.Curve
	}
	return fmt.Sprintf("%s %d", k.spec.Type, k.spec.Size)
}

// Format implements fmt.Formatter: no verb prints the key itself.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// Signer is the key for those who sign certificates; model.ErrOperation for oct.
func (k *Key) Signer() (crypto.Signer, error) {
	switch k.spec.Type {
	case RSA:
		return k.rsa, nil
	case EC:
		return k.ec, nil
	case OKP:
		return k.ed, nil
	}
	return nil, fmt.Errorf("%w: a symmetric key has no public one", model.ErrOperation)
}

// PublicKey is an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey; nil for oct.
func (k *Key) PublicKey() crypto.PublicKey {
	s, err := k.Signer()
	if err != nil {
		return nil
	}
	return s.Public()
}

// The first byte of an encoded key.
const (
	encodedPKCS8 = 1
	encodedOct   = 2
)

// Encode returns the key for storage, to be sealed: Decode reads it. It is a byte for the format, then PKCS #8 (RFC 5208), or
// the bytes of a symmetric key.
func (k *Key) Encode() ([]byte, error) {
	if k.spec.Type == Oct {
		return append([]byte{encodedOct}, k.oct...), nil
	}
	s, err := k.Signer()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(s)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	defer clear(der)
	return append([]byte{encodedPKCS8}, der...), nil
}

// errEncoded says nothing of what stands there, which may be a key.
var errEncoded = errors.New("a stored key cannot be read")

// Decode returns the key that Encode wrote.
func Decode(encoded []byte) (*Key, error) {
	if len(encoded) == 0 {
		return nil, errEncoded
	}
	var private any
	switch rest := encoded[1:]; encoded[0] {
	case encodedOct:
		private = rest
	case encodedPKCS8:
		p, err := x509.ParsePKCS8PrivateKey(rest)
		if err != nil {
			return nil, errEncoded
		}
		private = p
	default:
		return nil, errEncoded
	}
	k, err := New(private)
	if err != nil {
		return nil, errEncoded
	}
	return k, nil
}

// bigInt reads an unsigned number, the first byte first.
func bigInt(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
