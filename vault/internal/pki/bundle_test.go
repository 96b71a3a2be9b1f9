package pki_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/perdure/perdure/vault/internal/pki"
)

// bundle is a leaf with its key and its intermediate, and the root's certificate.
func bundle(t testing.TB) (*pki.Bundle, *x509.Certificate) {
	t.Helper()
	top := root(t, "CN=Root")
	middle := below(t, top, "CN=Middle")
	key := ecKey(t, elliptic.P256())
	end := leaf(t, middle, policy(t, "CN=end"), key.Public())
	return &pki.Bundle{Key: key, Certificate: end, Chain: []*x509.Certificate{middle.Certificate}}, top.Certificate
}

func TestPFX(t *testing.T) {
	t.Parallel()
	b, _ := bundle(t)
	der, err := b.PFX("secret word")
	if err != nil {
		t.Fatal(err)
	}
	text := mustOpenSSL(t, map[string][]byte{"b.pfx": der}, "pkcs12", "-in", "b.pfx", "-passin", "pass:secret word", "-nodes", "-info")
	if !strings.Contains(text, "AES-256-CBC") || strings.Count(text, "BEGIN CERTIFICATE") != 2 || strings.Count(text, "BEGIN PRIVATE KEY") != 1 {
		t.Error(text)
	}
	same(t, der, "secret word", b)
	if _, err := pki.DecodePFX(der, "another"); !errors.Is(err, pki.ErrPassword) {
		t.Errorf("another password: %v", err)
	}
	value, err := b.Encode(pki.TypePFX)
	if err != nil {
		t.Fatal(err)
	}
	got, kind, err := pki.Decode(value, "")
	if err != nil || kind != pki.TypePFX || !got.Certificate.Equal(b.Certificate) {
		t.Errorf("as a secret: %v, %v", kind, err)
	}
	plain, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	mustOpenSSL(t, map[string][]byte{"b.pfx": plain}, "pkcs12", "-in", "b.pfx", "-passin", "pass:", "-nodes")

	// What older programs wrote, and a file whose number of iterations would never end.
	for name, encoder := range map[string]*pkcs12.Encoder{"triple DES": pkcs12.LegacyDES, "RC2": pkcs12.LegacyRC2, "2026": pkcs12.Modern2026} {
		der, err := encoder.Encode(b.Key, b.Certificate, b.Chain, "old")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, der, "old", b)
	}
	der, err = pkcs12.LegacyDES.WithIterations(pki.MaxIterations/2).Encode(b.Key, b.Certificate, nil, "old")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pki.DecodePFX(der, "old"); !errors.Is(err, pki.ErrEncoding) || !strings.Contains(err.Error(), "iterations") {
		t.Errorf("many iterations: %v", err)
	}
}

func same(t *testing.T, der []byte, password string, want *pki.Bundle) {
	t.Helper()
	got, err := pki.DecodePFX(der, password)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Certificate.Equal(want.Certificate) || len(got.Chain) != 1 || !got.Chain[0].Equal(want.Chain[0]) || !pki.SameKey(got.Key.Public(), want.Key.Public()) {
		t.Error("another bundle came back")
	}
}

func TestPFXOfOpenSSL(t *testing.T) {
	t.Parallel()
	b, top := bundle(t)
	text, err := b.PEM()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"b.pem": text, "root.pem": certPEM(top)}
	der := mustOpenSSL(t, files, "pkcs12", "-export", "-in", "b.pem", "-certfile", "root.pem", "-passout", "pass:word")
	same(t, []byte(der), "word", b)
}

func TestPEM(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]crypto.Signer{"rsa": rsaKey(), "ec": ecKey(t, elliptic.P521()), "ed25519": edKey(t)} {
		c, err := pki.SelfSigned(policy(t, "CN=pem"), key, now)
		if err != nil {
			t.Fatal(err)
		}
		b := &pki.Bundle{Key: key, Certificate: c}
		text, err := b.Encode(pki.TypePEM)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{"b.pem": []byte(text)}
		mustOpenSSL(t, files, "pkey", "-in", "b.pem", "-noout")
		texts := []string{text, base64.StdEncoding.EncodeToString([]byte(text))}
		if name != "ed25519" { // PKCS #1 and SEC 1, before or after the certificate
			traditional := mustOpenSSL(t, files, "pkey", "-in", "b.pem", "-traditional")
			if !strings.Contains(traditional, strings.ToUpper(name)+" PRIVATE KEY") {
				t.Fatal(traditional)
			}
			texts = append(texts, traditional+string(certPEM(c)), string(certPEM(c))+traditional)
		}
		for _, text := range texts {
			got, kind, err := pki.Decode(text, "")
			if err != nil || kind != pki.TypePEM || !got.Certificate.Equal(c) || !pki.SameKey(got.Key.Public(), key.Public()) {
				t.Errorf("%s: %v %v", name, kind, err)
			}
		}
		for _, args := range [][]string{{"pkcs8", "-topk8", "-in", "b.pem", "-passout", "pass:x"}, {"rsa", "-aes256", "-traditional", "-in", "b.pem", "-passout", "pass:x"}} {
			if args[0] == "rsa" && name != "rsa" {
				continue
			}
			encrypted := mustOpenSSL(t, files, args...)
			_, _, err := pki.Decode(encrypted[strings.Index(encrypted, "-----BEGIN"):]+string(certPEM(c)), "x")
			if !errors.Is(err, pki.ErrEncoding) || !strings.Contains(err.Error(), "openssl pkey -in") {
				t.Errorf("encrypted: %v", err)
			}
		}
	}
}

func TestWhatIsNoBundle(t *testing.T) {
	t.Parallel()
	b, top := bundle(t)
	text, err := b.PEM()
	if err != nil {
		t.Fatal(err)
	}
	key, certs := string(text[:strings.Index(string(text), "-----BEGIN CERT")]), string(text[strings.Index(string(text), "-----BEGIN CERT"):])
	for name, test := range map[string]struct {
		value string
		err   error
	}{
		"nothing":        {"", pki.ErrEncoding},
		"no base64":      {"?", pki.ErrEncoding},
		"no key":         {certs, pki.ErrEncoding},
		"no certificate": {key, pki.ErrEncoding},
		"two keys":       {key + key + certs, pki.ErrEncoding},
		"other key":      {key + string(certPEM(top)), pki.ErrKey},
		"other block":    {key + certs + string(pem.EncodeToMemory(&pem.Block{Type: "X", Bytes: []byte("x")})), pki.ErrEncoding},
		"broken key":     {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})) + certs, pki.ErrEncoding},
		"too many":       {key + strings.Repeat(certs, pki.MaxChain), pki.ErrEncoding},
		"too long":       {strings.Repeat("A", 2*pki.MaxBundle+4), pki.ErrEncoding},
	} {
		if _, _, err := pki.Decode(test.value, ""); !errors.Is(err, test.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodePEM(f *testing.F) {
	b, _ := bundle(f)
	text, err := b.PEM()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("-----BEGIN EC PARAMETERS-----\n-----END EC PARAMETERS-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := pki.DecodePEM([]byte(text)); err == nil {
			if _, err := b.PEM(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDecodePFX(f *testing.F) {
	b, _ := bundle(f)
	der, err := b.PFX("")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	if der, err = pkcs12.Passwordless.Encode(b.Key, b.Certificate, nil, ""); err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		_, _ = pki.DecodePFX(der, "")
	})
}
