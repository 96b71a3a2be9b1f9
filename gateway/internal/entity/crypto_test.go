package entity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
)

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// pair makes a certificate of an authority with its key.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Unix(4e9, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

func public(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("PUBLIC KEY", der)
}

func TestJWTKeysFitTheirAlgorithms(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, private := pair(t)
	for _, c := range []struct{ algorithm, key, problem string }{
		{"RS256", public(t, rsaKey.Public()), ""},
		{"PS512", public(t, rsaKey.Public()), ""},
		{"RS256", encode("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), ""},
		{"ES384", public(t, p384.Public()), ""},
		{"EdDSA", public(t, edwards), ""},
		{"ES256", public(t, p384.Public()), "is a key for ES384, and the algorithm is ES256"},
		{"RS256", public(t, p384.Public()), "is a key for ES384"},
		{"EdDSA", public(t, rsaKey.Public()), "is a key for RS256"},
		{"ES256", private, "is a private key"},
		{"ES256", cert, `is a "CERTIFICATE"`},
		{"RS256", "MIIB", "is no PEM"},
		{"ES256", "", "is missing"},
	} {
		config := small()
		config.JWTs[0].Algorithm, config.JWTs[0].RSAPublicKey = c.algorithm, c.key
		compiled, problems := config.Compile(nil)
		switch {
		case c.problem == "" && (len(problems) > 0 || compiled.JWTs[0].PublicKey == nil):
			t.Errorf("%s: %v", c.algorithm, problems)
		case c.problem != "" && (len(problems) != 1 || !strings.Contains(problems[0].Message, c.problem)):
			t.Errorf("%s: %v, want %q", c.algorithm, problems, c.problem)
		}
		for _, p := range problems {
			if strings.Contains(p.String(), "MIG") || strings.Contains(p.String(), "MIIB") {
				t.Errorf("a key in the message %s", p)
			}
		}
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	cert, key := pair(t)
	_, other := pair(t)
	for _, c := range []struct {
		name    string
		cert    entity.Certificate
		problem string
	}{
		{"good", entity.Certificate{Cert: cert, Key: key}, ""},
		{"of another key", entity.Certificate{Cert: cert, Key: other}, "certificate and key cannot be used"},
		{"no key", entity.Certificate{Cert: cert}, "key: is missing"},
		{"twice", entity.Certificate{Cert: cert, Key: key, CertAlt: cert, KeyAlt: key}, "has a key of the same type"},
	} {
		config := small()
		config.Certificates = []*entity.Certificate{&c.cert}
		compiled, problems := config.Compile(nil)
		if c.problem == "" && (len(problems) > 0 || compiled.Certificates[0].Pair == nil) {
			t.Errorf("%s: %v", c.name, problems)
		} else if c.problem != "" && (len(problems) == 0 || !strings.Contains(problems[0].Message, c.problem)) {
			t.Errorf("%s: %v, want %q", c.name, problems, c.problem)
		}
	}
}
