package pki

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
)

// MaxBundle bounds PEM and PKCS #12 from outside, in bytes.
const MaxBundle = 256 << 10

// Bundle is a certificate with its key and with those that vouch for it, as it travels in a file.
type Bundle struct {
	Key         crypto.Signer // nil where only the certificate is
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // without the root
}

// Decode reads what Azure Key Vault imports: PEM as text, or PKCS #12 in base64. It returns the content type too. The
// password is that of the PKCS #12.
func Decode(value, password string) (*Bundle, string, error) {
	if len(value) > 2*MaxBundle {
		return nil, "", fmt.Errorf("%w: more than %d bytes", ErrEncoding, 2*MaxBundle)
	}
	if strings.Contains(value, "-----BEGIN ") {
		b, err := DecodePEM([]byte(value))
		return b, TypePEM, err
	}
	der, err := base64.StdEncoding.DecodeString(strings.Map(withoutSpace, value))
	if err != nil {
		return nil, "", fmt.Errorf("%w: neither PEM nor PKCS #12 in base64", ErrEncoding)
	}
	if strings.Contains(string(der), "-----BEGIN ") { // as some clients send PEM
		b, err := DecodePEM(der)
		return b, TypePEM, err
	}
	b, err := DecodePFX(der, password)
	return b, TypePFX, err
}

func withoutSpace(r rune) rune {
	if strings.ContainsRune(" \t\r\n", r) {
		return -1
	}
	return r
}

// Encode writes the bundle as the value of a certificate's secret: PEM, or PKCS #12 in base64 without a password, as
// Azure Key Vault has it.
func (b *Bundle) Encode(contentType string) (string, error) {
	if contentType == TypePEM {
		text, err := b.PEM()
		return string(text), err
	}
	der, err := b.PFX("")
	return base64.StdEncoding.EncodeToString(der), err
}

// PEM writes the key (PKCS #8), the certificate and the chain.
func (b *Bundle) PEM() ([]byte, error) {
	var out bytes.Buffer
	if b.Key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(b.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		defer clear(der)
		if err := pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
			return nil, err
		}
	}
	for _, c := range append([]*x509.Certificate{b.Certificate}, b.Chain...) {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// DecodePEM reads a key and at least one certificate, in any order. The key may be in PKCS #8, PKCS #1 or SEC 1. What is
// encrypted is refused: PEM has no encryption that is worth it.
func DecodePEM(text []byte) (*Bundle, error) {
	if len(text) > MaxBundle {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrEncoding, MaxBundle)
	}
	var key crypto.Signer
	var ders [][]byte
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, fmt.Errorf("%w: the key is encrypted; decrypt it first: openssl pkey -in FILE -out FILE.clear", ErrEncoding)
		case block.Type == "CERTIFICATE":
			ders = append(ders, block.Bytes)
		case block.Type == "PRIVATE KEY" || block.Type == "RSA PRIVATE KEY" || block.Type == "EC PRIVATE KEY":
			if key != nil {
				return nil, fmt.Errorf("%w: more than one private key", ErrEncoding)
			}
			var err error
			if key, err = ParseKey(block.Type, block.Bytes); err != nil {
				return nil, err
			}
		case block.Type == "EC PARAMETERS": // OpenSSL writes them before the key, which has them too
		default:
			return nil, fmt.Errorf("%w: PEM block %.40q; want CERTIFICATE and PRIVATE KEY", ErrEncoding, block.Type)
		}
	}
	if key == nil {
		return nil, fmt.Errorf("%w: it has no private key; want the blocks PRIVATE KEY and CERTIFICATE", ErrEncoding)
	}
	certs, err := ParseCertificates(ders)
	if err != nil {
		return nil, err
	}
	return bundleOf(key, certs)
}

// ParseKey reads a private key from the block of a PEM file that has this type, and checks it.
func ParseKey(blockType string, der []byte) (crypto.Signer, error) {
	var parsed any
	var err error
	switch blockType {
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(der)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(der)
	default:
		parsed, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the private key is malformed", ErrEncoding) // the parser's error may have a part of it
	}
	return checkPrivate(parsed)
}

func checkPrivate(parsed any) (crypto.Signer, error) {
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %T does not sign", ErrKey, parsed)
	}
	if err := CheckKey(key.Public()); err != nil {
		return nil, err
	}
	if k, ok := key.(*rsa.PrivateKey); ok {
		if err := k.Validate(); err != nil {
			return nil, fmt.Errorf("%w: the RSA key does not fit together", ErrKey)
		}
	}
	return key, nil
}

func bundleOf(key crypto.Signer, certs []*x509.Certificate) (*Bundle, error) {
	leaf, chain, err := Arrange(certs, key.Public())
	if err != nil {
		return nil, err
	}
	return &Bundle{Key: key, Certificate: leaf, Chain: chain}, nil
}
