package kong_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kong/go-kong/kong"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	certificateID = "0c6f96c0-efd6-5962-aa61-d898e93a9df4"
	authorityID   = "5a6f96c0-efd6-4962-aa61-d898e93a9df5"
)

// certificate is a certificate for weather.example.com with its key, in PEM.
var certificate = sync.OnceValues(func() (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weather.example.com"}, DNSNames: []string{"weather.example.com"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
})

// declaration is the file of testdata, with certificates.
func declaration(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/kong.yml")
	must(t, err)
	cert, key := certificate()
	block := func(indent, pem string) string {
		return "|\n" + indent + strings.ReplaceAll(strings.TrimSpace(pem), "\n", "\n"+indent) + "\n"
	}
	der, _ := pem.Decode([]byte(cert))
	// decK compares the digest, which it does not work out: a file without it always differs, from Kong too.
	more := fmt.Sprintf("certificates:\n- id: %s\n  cert: %s  key: %s  snis:\n  - name: weather.example.com\nca_certificates:\n- id: %s\n  cert: %s  cert_digest: %x\n",
		certificateID, block("    ", cert), block("    ", key), authorityID, block("    ", cert), sha256.Sum256(der.Bytes))
	path := filepath.Join(t.TempDir(), "kong.yml")
	must(t, os.WriteFile(path, append(text, more...), 0o600))
	return path
}

// open serves the Admin API over a file below a prefix, and returns its client.
func open(t testing.TB, secrets bool, files ...string) *kong.Client {
	t.Helper()
	api := serve(t, files, func(*http.Request) bool { return secrets })
	server := httptest.NewServer(http.StripPrefix("/perdure/v1/gateway/kong", api))
	t.Cleanup(server.Close)
	url := server.URL + "/perdure/v1/gateway/kong"
	client, err := kong.NewClient(&url, server.Client())
	must(t, err)
	return client
}
