package pki_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

// now is when the tests are, which is when openssl looks at certificates too.
var now = time.Now()

// openssl runs the program on files, which are there by their names.
func openssl(t testing.TB, files map[string][]byte, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustOpenSSL(t testing.TB, files map[string][]byte, args ...string) string {
	t.Helper()
	out, err := openssl(t, files, args...)
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return out
}

func certPEM(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

// keys makes the one RSA key of the tests once: it takes time.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func ecKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// policy is one for a subject that Complete fills in and Check takes.
func policy(t testing.TB, subject string, change ...func(*model.Policy)) *model.Policy {
	t.Helper()
	p := &model.Policy{X509: model.X509Properties{Subject: subject}}
	for _, fn := range change {
		fn(p)
	}
	p = pki.Complete(p)
	if err := pki.Check(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func authority(p *model.Policy) {
	p.X509.KeyUsage = []string{"keyCertSign"}
	p.X509.ValidityMonths = 120
}

func dns(names ...string) func(*model.Policy) {
	return func(p *model.Policy) { p.X509.DNSNames = names }
}

// root makes an authority that signs itself.
func root(t testing.TB, subject string) *pki.Authority {
	t.Helper()
	key := ecKey(t, elliptic.P384())
	c, err := pki.SelfSigned(policy(t, subject, authority), key, now)
	if err != nil {
		t.Fatal(err)
	}
	return &pki.Authority{Certificate: c, Key: key}
}

// below makes an authority that another one has signed.
func below(t testing.TB, a *pki.Authority, subject string) *pki.Authority {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	c, err := a.Issue(policy(t, subject, authority), key.Public(), pki.Issue{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return &pki.Authority{Certificate: c, Chain: append([]*x509.Certificate{a.Certificate}, a.Chain...), Key: key}
}

func leaf(t testing.TB, a *pki.Authority, p *model.Policy, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	c, err := a.Issue(p, public, pki.Issue{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
