package entity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// algorithms are those of jwt credentials.
var algorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
}

// Redacted is what a secret looks like to whom may not see it, with what is told apart by it. Nobody can have it as a
// secret: everybody knows it.
func Redacted(what string) string {
	if what != "" {
		what = ":" + what
	}
	return "{redacted" + what + "}"
}

// checkSecret refuses what stands for a secret in a dump.
func (l *linker) checkSecret(e Entity, field, secret string) {
	if strings.HasPrefix(secret, "{redacted") {
		l.errorf(e, field, "is what the Admin API shows instead of a secret; write the secret itself, or dump with the permission to see secrets")
	}
}

func (l *linker) checkJWT(c *JWTCredential) {
	c.PublicKey = nil
	if c.Key == "" {
		l.errorf(c, "key", "is missing: what the claim iss of the consumer's tokens is")
	}
	if !l.checkOneOf(c, "algorithm", c.Algorithm, algorithms...) {
		return
	}
	if strings.HasPrefix(c.Algorithm, "HS") {
		if c.Secret == "" {
			l.errorf(c, "secret", "is missing: tokens signed by %s are verified by it", c.Algorithm)
		}
		l.checkSecret(c, "secret", c.Secret)
		return
	}
	if c.RSAPublicKey == "" {
		l.errorf(c, "rsa_public_key", "is missing: tokens signed by %s are verified by a public key (PEM)", c.Algorithm)
		return
	}
	key, err := ParsePublicKey(c.RSAPublicKey)
	if err == nil {
		err = fits(key, c.Algorithm)
	}
	if err != nil {
		l.errorf(c, "rsa_public_key", "%v", err)
		return
	}
	c.PublicKey = key
	if key, ok := key.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		l.warnf(c, "rsa_public_key", "has %d bits; fewer than 2048 can be broken", key.N.BitLen())
	}
}

// ParsePublicKey parses a public key in PEM: of any kind (RFC 5280), or RSA (RFC 8017).
func ParsePublicKey(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New(`is no PEM: it begins with "-----BEGIN PUBLIC KEY-----", and has its line breaks`)
	}
	switch block.Type {
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("is no public key that is known here")
		}
		return key, nil
	case "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("is no RSA public key")
		}
		return key, nil
	}
	if strings.Contains(block.Type, "PRIVATE") {
		return nil, errors.New("is a private key; give the public key that belongs to it")
	}
	return nil, fmt.Errorf("is a %q, not a public key", shorten(block.Type))
}

// fits says why a key is not of an algorithm.
func fits(key crypto.PublicKey, algorithm string) error {
	var want string
	switch key := key.(type) {
	case *rsa.PublicKey:
		if algorithm[0] == 'R' || algorithm[0] == 'P' {
			return nil
		}
		want = "RS256, RS384, RS512, PS256, PS384 or PS512"
	case *ecdsa.PublicKey:
		want = map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[key.Curve.Params().BitSize]
	case ed25519.PublicKey:
		want = "EdDSA"
	}
	switch want {
	case "":
		return errors.New("is of a kind that no algorithm uses")
	case algorithm:
		return nil
	}
	return fmt.Errorf("is a key for %s, and the algorithm is %s", want, algorithm)
}

func (l *linker) checkCertificate(c *Certificate) {
	c.Pair = l.checkPair(c, "cert", c.Cert, "key", c.Key)
	c.PairAlt = nil
	if c.CertAlt == "" && c.KeyAlt == "" {
		return
	}
	c.PairAlt = l.checkPair(c, "cert_alt", c.CertAlt, "key_alt", c.KeyAlt)
	if c.Pair != nil && c.PairAlt != nil && reflect.TypeOf(c.Pair.Leaf.PublicKey) == reflect.TypeOf(c.PairAlt.Leaf.PublicKey) {
		l.errorf(c, "cert_alt", "has a key of the same type as cert; it is for another, such as ECDSA beside RSA")
	}
}

func (l *linker) checkPair(c *Certificate, certField, cert, keyField, key string) *tls.Certificate {
	if cert == "" || key == "" {
		missing, other := certField, keyField
		if key == "" {
			missing, other = keyField, certField
		}
		l.errorf(c, missing, "is missing: it goes with %s", other)
		return nil
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		l.errorf(c, certField, "certificate and key cannot be used: %s", strings.TrimPrefix(err.Error(), "tls: "))
		return nil
	}
	return &pair
}

func (l *linker) checkCA(c *CACertificate) {
	block, rest := pem.Decode([]byte(c.Cert))
	if block == nil || block.Type != "CERTIFICATE" {
		l.errorf(c, "cert", `is no certificate in PEM: it begins with "-----BEGIN CERTIFICATE-----"`)
		return
	}
	if more, _ := pem.Decode(rest); more != nil {
		l.errorf(c, "cert", "has more than one certificate; each is a ca certificate of its own")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		l.errorf(c, "cert", "is no certificate: %s", strings.TrimPrefix(err.Error(), "x509: "))
		return
	}
	if !cert.IsCA {
		l.errorf(c, "cert", "is not that of an authority: it has no basic constraint CA")
	}
	digest := sha256.Sum256(cert.Raw)
	c.CertDigest = hex.EncodeToString(digest[:])
}
