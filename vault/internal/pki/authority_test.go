package pki_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

func TestSelfSignedIsTakenByOpenSSL(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]crypto.Signer{
		"rsa": rsaKey(), "p256": ecKey(t, elliptic.P256()), "p384": ecKey(t, elliptic.P384()), "p521": ecKey(t, elliptic.P521()), "ed25519": edKey(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := policy(t, `CN=example.com,OU=Web+L=Köln,O="Example, Inc.",C=DE`, func(p *model.Policy) {
				p.X509.DNSNames = []string{"example.com", "*.example.com"}
				p.X509.Emails = []string{"who@example.com"}
				p.X509.IPAddresses = []string{"192.0.2.1", "2001:0db8::1"}
				p.X509.URIs = []string{"https://example.com/path", "urn:example:1"}
				p.X509.UPNs = []string{"user@domain.example"}
			})
			c, err := pki.SelfSigned(p, key, now)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string][]byte{"c.pem": certPEM(c)}
			mustOpenSSL(t, files, "verify", "-x509_strict", "-CAfile", "c.pem", "-purpose", "sslserver", "-verify_hostname", "www.example.com", "c.pem")
			text := mustOpenSSL(t, files, "x509", "-in", "c.pem", "-noout", "-text", "-nameopt", "RFC2253")
			for _, want := range []string{
				`Subject: CN=example.com,L=K\C3\B6ln+OU=Web,O=Example\, Inc.,C=DE`, "DNS:example.com", "DNS:*.example.com", "email:who@example.com",
				"IP Address:192.0.2.1", "IP Address:2001:DB8:0:0:0:0:0:1", "URI:https://example.com/path", "URI:urn:example:1", "othername: UPN::user@domain.example",
				"Digital Signature, Key Encipherment", "TLS Web Server Authentication, TLS Web Client Authentication", "CA:FALSE",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
			if got := c.NotAfter.Sub(c.NotBefore); got < 364*24*time.Hour || got > 367*24*time.Hour {
				t.Errorf("good for %v", got)
			}
		})
	}
}

func TestChainIsTakenByOpenSSL(t *testing.T) {
	t.Parallel()
	top := root(t, "CN=Root,O=Example")
	middle := below(t, top, "CN=Intermediate,O=Example")
	key := ecKey(t, elliptic.P256())
	c := leaf(t, middle, policy(t, "CN=leaf.example.com", dns("leaf.example.com")), key.Public())
	files := map[string][]byte{"root.pem": certPEM(top.Certificate), "middle.pem": certPEM(middle.Certificate), "leaf.pem": certPEM(c)}
	mustOpenSSL(t, files, "verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "middle.pem", "-purpose", "sslserver", "-verify_hostname", "leaf.example.com", "leaf.pem")
	if out, err := openssl(t, files, "verify", "-CAfile", "root.pem", "leaf.pem"); err == nil {
		t.Errorf("taken without the intermediate: %s", out)
	}
	if text := mustOpenSSL(t, files, "x509", "-in", "middle.pem", "-noout", "-text"); !strings.Contains(text, "CA:TRUE, pathlen:0") || !strings.Contains(text, "Certificate Sign, CRL Sign") {
		t.Error(text)
	}
	// One that is made so makes no further authorities.
	if _, err := middle.Issue(policy(t, "CN=Below", authority), key.Public(), pki.Issue{Now: now}); !errors.Is(err, pki.ErrAuthority) {
		t.Errorf("an authority below pathlen 0: %v", err)
	}
	if _, err := (&pki.Authority{Certificate: c, Key: key}).Issue(policy(t, "CN=Below"), key.Public(), pki.Issue{Now: now}); !errors.Is(err, pki.ErrAuthority) {
		t.Errorf("signed by a leaf: %v", err)
	}
	if _, err := (&pki.Authority{Certificate: top.Certificate, Key: key}).Issue(policy(t, "CN=Below"), key.Public(), pki.Issue{Now: now}); !errors.Is(err, pki.ErrAuthority) {
		t.Errorf("signed with another key: %v", err)
	}
}

// The intermediate's request goes to a root that is elsewhere, and comes back as a certificate.
func TestRequestSignedElsewhere(t *testing.T) {
	t.Parallel()
	top := root(t, "CN=Offline Root")
	key := ecKey(t, elliptic.P256())
	csr, err := pki.Request(policy(t, "CN=Intermediate", authority), key)
	if err != nil {
		t.Fatal(err)
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
	text := mustOpenSSL(t, map[string][]byte{"csr.pem": file}, "req", "-in", "csr.pem", "-verify", "-noout", "-text")
	for _, want := range []string{"CN = Intermediate", "CA:TRUE", "Certificate Sign, CRL Sign"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	r, err := pki.ParseRequest(csr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := top.Sign(r, pki.Profile{Issue: pki.Issue{Now: now}}); !errors.Is(err, pki.ErrRequest) {
		t.Errorf("an authority without being allowed to: %v", err)
	}
	c, err := top.Sign(r, pki.Profile{Issue: pki.Issue{Now: now}, Authority: true, ValidityMonths: 60})
	if err != nil {
		t.Fatal(err)
	}
	middle := &pki.Authority{Certificate: c, Chain: []*x509.Certificate{top.Certificate}, Key: key}

	// And openssl makes a request that the intermediate signs.
	files := map[string][]byte{}
	out := mustOpenSSL(t, files, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null",
		"-subj", "/O=Example/CN=db.example.com", "-addext", "subjectAltName=DNS:db.example.com", "-addext", "keyUsage=digitalSignature,keyCertSign", "-addext", "extendedKeyUsage=serverAuth")
	block, _ := pem.Decode([]byte(out[strings.Index(out, "-----BEGIN CERT"):]))
	if r, err = pki.ParseRequest(block.Bytes); err != nil {
		t.Fatal(err)
	}
	end, err := middle.Sign(r, pki.Profile{Issue: pki.Issue{Now: now, CRL: "https://crl.example/x"}, ValidityDays: 30})
	if err != nil {
		t.Fatal(err)
	}
	if end.IsCA || end.KeyUsage != x509.KeyUsageDigitalSignature || len(end.ExtKeyUsage) != 1 || end.CRLDistributionPoints[0] != "https://crl.example/x" {
		t.Errorf("CA %v, usage %v, %v, %v", end.IsCA, end.KeyUsage, end.ExtKeyUsage, end.CRLDistributionPoints)
	}
	files = map[string][]byte{"root.pem": certPEM(top.Certificate), "middle.pem": certPEM(c), "leaf.pem": certPEM(end)}
	mustOpenSSL(t, files, "verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "middle.pem", "-verify_hostname", "db.example.com", "leaf.pem")

	// A request that was changed on the way is not signed.
	broken := append([]byte(nil), csr...)
	broken[len(broken)-1] ^= 1
	if _, err := pki.ParseRequest(broken); !errors.Is(err, pki.ErrRequest) {
		t.Errorf("a changed request: %v", err)
	}
}

// constrained is an authority with limits of names, which come from outside: no policy says them.
func constrained(t *testing.T) *pki.Authority {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Limited"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLen: -1, PermittedDNSDomainsCritical: true,
		PermittedDNSDomains: []string{"example.com"}, PermittedIPRanges: []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pki.Authority{Certificate: c, Key: key}
}

func TestLimitsOfNames(t *testing.T) {
	t.Parallel()
	a := constrained(t)
	under := below(t, a, "CN=Below the limits")
	key := ecKey(t, elliptic.P256())
	for _, test := range []struct {
		subject string
		change  func(*model.Policy)
		ok      bool
	}{
		{"CN=a", dns("www.example.com"), true},
		{"CN=a", dns("www.example.org"), false},
		{"CN=a", dns("www.example.com", "notexample.com"), false},
		{"CN=a", func(p *model.Policy) {
			p.X509.IPAddresses = []string{"10.1.2.3"}
			p.X509.DNSNames = []string{"a.example.com"}
		}, true},
		{"CN=a", func(p *model.Policy) { p.X509.IPAddresses = []string{"192.0.2.1"} }, false},
		{"CN=www.example.org", func(*model.Policy) {}, false}, // as the name of a host that nobody checks
		{"CN=somebody else", func(*model.Policy) {}, true},
	} {
		for name, a := range map[string]*pki.Authority{"at": a, "below": under} {
			c, err := a.Issue(policy(t, test.subject, test.change), key.Public(), pki.Issue{Now: now})
			if test.ok != (err == nil) || err != nil && !errors.Is(err, pki.ErrAuthority) {
				t.Errorf("%s: %+v: %v", name, test, err)
			}
			if c != nil && (c.NotAfter.After(a.Certificate.NotAfter) || c.NotBefore.Before(a.Certificate.NotBefore)) {
				t.Errorf("good from %v to %v, its authority to %v", c.NotBefore, c.NotAfter, a.Certificate.NotAfter)
			}
		}
	}
	for _, at := range []time.Time{now.Add(-2 * time.Hour), now.Add(24 * time.Hour)} {
		if _, err := a.Issue(policy(t, "CN=a", dns("www.example.com")), key.Public(), pki.Issue{Now: at}); !errors.Is(err, pki.ErrAuthority) {
			t.Errorf("at %v: %v", at, err)
		}
	}
}

func TestRevocationList(t *testing.T) {
	t.Parallel()
	top := root(t, "CN=Root")
	key := ecKey(t, elliptic.P256())
	good := leaf(t, top, policy(t, "CN=good"), key.Public())
	bad := leaf(t, top, policy(t, "CN=bad"), key.Public())
	der, err := top.RevocationList([]pki.Revoked{{Serial: bad.SerialNumber, At: now, Reason: 1}}, big.NewInt(7), now.Add(-time.Minute), now.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"root.pem": certPEM(top.Certificate), "good.pem": certPEM(good), "bad.pem": certPEM(bad), "list.der": der,
		"list.pem": pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}),
	}
	text := mustOpenSSL(t, files, "crl", "-inform", "DER", "-in", "list.der", "-CAfile", "root.pem", "-noout", "-text")
	for _, want := range []string{"verify OK", "Version 2", "X509v3 CRL Number", "Key Compromise", "Next Update"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	mustOpenSSL(t, files, "verify", "-x509_strict", "-crl_check", "-CAfile", "root.pem", "-CRLfile", "list.pem", "good.pem")
	if out, err := openssl(t, files, "verify", "-crl_check", "-CAfile", "root.pem", "-CRLfile", "list.pem", "bad.pem"); err == nil || !strings.Contains(out, "revoked") {
		t.Errorf("a revoked one: %v, %s", err, out)
	}
	if _, err := (&pki.Authority{Certificate: good, Key: key}).RevocationList(nil, big.NewInt(1), now, now); !errors.Is(err, pki.ErrAuthority) {
		t.Errorf("a list of a leaf: %v", err)
	}
	for reason := -1; reason < 12; reason++ {
		if ok := reason >= 0 && reason < 6 || reason == 9 || reason == 10; ok != (pki.CheckReason(reason) == nil) {
			t.Errorf("reason %d: %v", reason, pki.CheckReason(reason))
		}
	}
}

func TestArrange(t *testing.T) {
	t.Parallel()
	top := root(t, "CN=Root")
	middle := below(t, top, "CN=Middle")
	key := ecKey(t, elliptic.P256())
	end := leaf(t, middle, policy(t, "CN=end"), key.Public())
	stranger := root(t, "CN=Root").Certificate // of the same name
	for name, test := range map[string]struct {
		certs []*x509.Certificate
		chain int
		err   error
	}{
		"alone":     {[]*x509.Certificate{end}, 0, nil},
		"in order":  {[]*x509.Certificate{end, middle.Certificate, top.Certificate}, 1, nil},
		"reversed":  {[]*x509.Certificate{top.Certificate, middle.Certificate, end}, 1, nil},
		"twice":     {[]*x509.Certificate{end, end, middle.Certificate, middle.Certificate}, 1, nil},
		"no root":   {[]*x509.Certificate{middle.Certificate, end}, 1, nil},
		"stranger":  {[]*x509.Certificate{end, middle.Certificate, stranger}, 0, pki.ErrChain},
		"gap":       {[]*x509.Certificate{end, top.Certificate}, 0, pki.ErrChain},
		"other key": {[]*x509.Certificate{middle.Certificate, top.Certificate}, 0, pki.ErrKey},
	} {
		got, chain, err := pki.Arrange(test.certs, key.Public())
		if !errors.Is(err, test.err) || len(chain) != test.chain || err == nil && !got.Equal(end) {
			t.Errorf("%s: %d certificates, %v", name, len(chain), err)
		}
	}
}
