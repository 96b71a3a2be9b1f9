package rest_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"

	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

// Authorities of the vault sign certificates that Go and openssl accept, and lists of those that were revoked.
func TestAuthority(t *testing.T) {
	t.Parallel()
	needOpenSSL(t)
	v, ctx := openVault(t), t.Context()
	c := v.certificates(t, &surface{})
	root := create(t, c, "root", ec("Self", "CN=Test Root", authority))
	_, err := c.SetIssuer(ctx, "house", azcertificates.SetIssuerParameters{
		Provider: to.Ptr("Perdure"), Credentials: &azcertificates.IssuerCredentials{AccountID: to.Ptr("root")},
	}, nil)
	must(t, err)
	web := create(t, c, "web", ec("house", "CN=web.example.com", dnsNames("web.example.com", "www.example.com")))
	roots := x509.NewCertPool()
	roots.AddCert(parse(t, root))
	leaf := parse(t, web)
	at := vaulttest.Epoch.Add(time.Minute)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "www.example.com", CurrentTime: at}); err != nil {
		t.Errorf("Go says %v", err)
	}
	unix(t, "exp", web.Attributes.Expires, leaf.NotAfter)
	unix(t, "nbf", web.Attributes.NotBefore, leaf.NotBefore)
	dir := t.TempDir()
	write(t, dir, "root.pem", certPEM(root.CER))
	write(t, dir, "web.pem", certPEM(web.CER))
	when := fmt.Sprint(at.Unix())
	if out, err := openssl(t, dir, "verify", "-x509_strict", "-attime", when, "-CAfile", "root.pem", "-verify_hostname", "web.example.com", "-purpose", "sslserver", "web.pem"); err != nil {
		t.Errorf("openssl says %v: %s", err, out)
	}
	if out, err := openssl(t, dir, "verify", "-attime", when, "-CAfile", "root.pem", "-verify_hostname", "evil.example.com", "web.pem"); err == nil {
		t.Errorf("openssl takes another name: %s", out)
	}

	if len(leaf.CRLDistributionPoints) != 1 || !strings.HasPrefix(leaf.CRLDistributionPoints[0], v.url+"/crl/") {
		t.Fatalf("the list is at %q", leaf.CRLDistributionPoints)
	}
	list := func() *x509.RevocationList {
		t.Helper()
		res, err := v.client.Get(leaf.CRLDistributionPoints[0]) // without a token
		must(t, err)
		der, err := io.ReadAll(res.Body)
		must(t, err)
		must(t, res.Body.Close())
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/pkix-crl" {
			t.Fatalf("%d %v %s", res.StatusCode, res.Header, der)
		}
		write(t, dir, "list.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
		parsed, err := x509.ParseRevocationList(der)
		must(t, err)
		must(t, parsed.CheckSignatureFrom(parse(t, root)))
		return parsed
	}
	if l := list(); len(l.RevokedCertificateEntries) != 0 {
		t.Errorf("%v are revoked", l.RevokedCertificateEntries)
	}
	check := []string{"verify", "-attime", when, "-CAfile", "root.pem", "-crl_check", "-CRLfile", "list.pem", "web.pem"}
	if out, err := openssl(t, dir, check...); err != nil {
		t.Errorf("not revoked: openssl says %v: %s", err, out)
	}
	must(t, v.revoke(ctx, model.Operator, model.ID{Vault: "one", Kind: model.Certificates, Name: "web"}, 1))
	if l := list(); len(l.RevokedCertificateEntries) != 1 || l.RevokedCertificateEntries[0].SerialNumber.Cmp(leaf.SerialNumber) != 0 {
		t.Errorf("%v are revoked", l.RevokedCertificateEntries)
	}
	if out, err := openssl(t, dir, check...); err == nil || !strings.Contains(out, "revoked") {
		t.Errorf("revoked: openssl says %v: %s", err, out)
	}
}

// Somebody outside signs the request of a certificate.
func TestMerge(t *testing.T) {
	t.Parallel()
	v, ctx := openVault(t), t.Context()
	c := v.certificates(t, &surface{})
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	now := vaulttest.Epoch
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Outside"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour),
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(t, err)
	sign := func(public crypto.PublicKey) []byte {
		leaf := &x509.Certificate{SerialNumber: big.NewInt(8), Subject: pkix.Name{CommonName: "outside"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(100 * time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, leaf, ca, public, caKey)
		must(t, err)
		return der
	}

	begin := azcertificates.CreateCertificateParameters{CertificatePolicy: ec("Unknown", "CN=outside"), Tags: map[string]*string{"a": to.Ptr("b")}}
	begun, err := c.CreateCertificate(ctx, "outside", begin, nil)
	must(t, err)
	if string(*begun.ID) != v.url+"/certificates/outside/pending" || *begun.Status != "inProgress" || *begun.IssuerParameters.Name != "Unknown" || *begun.CancellationRequested || begun.Target != nil {
		t.Errorf("begun %v", begun)
	}
	csr, err := x509.ParseCertificateRequest(begun.CSR)
	must(t, err)
	must(t, csr.CheckSignature())
	_, err = c.CreateCertificate(ctx, "outside", begin, nil)
	wantCode(t, err, 409, "Conflict")
	_, err = c.GetCertificate(ctx, "outside", "", nil)
	wantCode(t, err, 404, "CertificateNotFound")
	_, err = c.MergeCertificate(ctx, "outside", azcertificates.MergeCertificateParameters{X509Certificates: [][]byte{sign(caKey.Public()), caDER}}, nil)
	wantCode(t, err, 400, "BadParameter")
	merged, err := c.MergeCertificate(ctx, "outside", azcertificates.MergeCertificateParameters{X509Certificates: [][]byte{sign(csr.PublicKey), caDER}}, nil)
	must(t, err)
	if parse(t, merged.Certificate).SerialNumber.Int64() != 8 || *merged.Policy.IssuerParameters.Name != "Unknown" {
		t.Errorf("merged %v", merged)
	}
	done, err := c.GetCertificateOperation(ctx, "outside", nil)
	must(t, err)
	if *done.Status != "completed" || *done.Target != v.url+"/certificates/outside" {
		t.Errorf("done %v", done)
	}

	_, err = c.CreateCertificate(ctx, "never", begin, nil)
	must(t, err)
	cancelled, err := c.UpdateCertificateOperation(ctx, "never", azcertificates.UpdateCertificateOperationParameter{CancellationRequested: to.Ptr(true)}, nil)
	must(t, err)
	if !*cancelled.CancellationRequested {
		t.Errorf("cancelled %v", cancelled)
	}
	_, err = c.DeleteCertificateOperation(ctx, "never", nil)
	must(t, err)
	_, err = c.GetCertificateOperation(ctx, "never", nil)
	wantCode(t, err, 404, "PendingCertificateNotFound")
}

// revoke revokes a certificate, for which Azure's interface has no path.
func (v *vaulted) revoke(ctx context.Context, by model.Caller, id model.ID, reason int) error {
	return v.certs.Revoke(ctx, by, id, reason)
}
