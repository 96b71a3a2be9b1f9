package mtlsauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/certs"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/acl"
	"github.com/perdure/perdure/gateway/internal/plugin/mtlsauth"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

func registry() *plugin.Registry { return plugin.NewRegistry(mtlsauth.Kind(), acl.Kind()) }

// The ids of authorities.
const (
	rootID  = "11111111-1111-4111-8111-111111111111"
	belowID = "22222222-2222-4222-8222-222222222222"
	otherID = "33333333-3333-4333-8333-333333333333"
)

// pair is a certificate with its key.
type pair struct {
	cert  *x509.Certificate
	key   crypto.Signer
	chain []*x509.Certificate // that is sent with it
}

// sign makes a certificate of a new key, signed by another's; nil is its own.
func sign(t testing.TB, by *pair, template *x509.Certificate) *pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotBefore.IsZero() {
		template.NotBefore = plugintest.Start.AddDate(-1, 0, 0)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = plugintest.Start.AddDate(50, 0, 0)
	}
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &pair{cert: cert, key: key}
}

func authority(t testing.TB, by *pair, name string) *pair {
	return sign(t, by, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
}

// client makes a client's certificate.
func (a *pair) client(t testing.TB, cn string, change ...func(*x509.Certificate)) *pair {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: cn}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, fn := range change {
		fn(template)
	}
	return sign(t, a, template)
}

func (a *pair) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

func (a *pair) yaml(id string) string {
	return "- id: " + id + "\n  cert: |\n    " + strings.ReplaceAll(strings.TrimSpace(a.pem()), "\n", "\n    ") + "\n"
}

func (a *pair) tls() *tls.Certificate {
	c := &tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key}
	for _, more := range a.chain {
		c.Certificate = append(c.Certificate, more.Raw)
	}
	return c
}

// world is a gateway with TLS.
type world struct {
	*plugintest.Gateway
	t                  testing.TB
	server             *pair // signs itself
	source             *certs.Source
	address            string
	root, below, other *pair
}

// newWorld starts a gateway whose file has the authorities, and what is given.
func newWorld(t testing.TB, file string) *world {
	t.Helper()
	w := &world{t: t, root: authority(t, nil, "root"), other: authority(t, nil, "other")}
	w.below = authority(t, w.root, "below")
	w.server = sign(t, nil, &x509.Certificate{DNSNames: []string{"a.test", "b.test"}, IsCA: true, BasicConstraintsValid: true})
	w.Gateway = plugintest.New(t, registry(), w.file(file))
	w.source = certs.New(w.plan())
	w.address = w.ServeTLS(w.source.Config())
	return w
}

// file adds the authorities.
func (w *world) file(rest string) string {
	return "ca_certificates:\n" + w.root.yaml(rootID) + w.below.yaml(belowID) + w.other.yaml(otherID) + rest
}

func (w *world) plan() *certs.Plan {
	plan, _ := certs.Build(w.Config(), func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return w.server.tls(), nil }, w.Clock.Now())
	return plan
}

// reload makes another file the one in use.
func (w *world) reload(file string) {
	w.t.Helper()
	w.Load(w.file(file))
	w.source.Swap(w.plan())
}

// client is one that is told apart by its certificate, nil for none. It has connections of its own.
func (w *world) client(cert *pair, change ...func(*tls.Config)) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(w.server.cert)
	config := &tls.Config{RootCAs: roots}
	if cert != nil { // whatever authorities the server would like
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert.tls(), nil }
	}
	for _, fn := range change {
		fn(config)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: config.NextProtos == nil, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, w.address)
	}}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func h1Only(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }

// unnamed sends no name.
func unnamed(c *tls.Config) { c.InsecureSkipVerify = true }

// speaks checks what protocol is agreed on.
func speaks(t testing.TB, protocol string) func(*tls.Config) {
	return func(c *tls.Config) {
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if s.NegotiatedProtocol != protocol {
				t.Errorf("the protocol is %q, want %q", s.NegotiatedProtocol, protocol)
			}
			return nil
		}
	}
}

// get sends a request to https://a.test/.
func (w *world) get(client *http.Client, fields ...string) *plugintest.Response {
	w.t.Helper()
	return w.SendBy(client, "https://a.test", "GET /", nil, fields...)
}

// refused checks a response, and that the reason has a text.
func refused(t testing.TB, r *plugintest.Response, status int, message, reason string) {
	t.Helper()
	if want := `{"message":"` + message + `"}`; r.Status != status || r.Body != want || !r.Noted("mtls-auth: ") || !r.Noted(reason) {
		t.Errorf("it is %d %s, %q, want %d %s, %q", r.Status, r.Body, r.Notes, status, want, reason)
	}
	if r.Upstream != nil {
		t.Error("the upstream was asked")
	}
}

// let checks that a request got to the upstream as a consumer, with fields, "Name: value", or without, "Name: ".
func let(t testing.TB, r *plugintest.Response, consumer string, fields ...string) {
	t.Helper()
	if r.Status != http.StatusOK || r.Upstream == nil || r.Consumer != consumer {
		t.Fatalf("it is %d %s, %q, the consumer is %q; want %q", r.Status, r.Body, r.Notes, r.Consumer, consumer)
	}
	for _, f := range fields {
		field, want, _ := strings.Cut(f, ": ")
		if got := strings.Join(r.Upstream.Header.Values(field), "|"); got != want {
			t.Errorf("the upstream got %s: %q, want %q", field, got, want)
		}
	}
}

func problems(t testing.TB, file string) string {
	t.Helper()
	config, found := plugintest.Compile(registry(), file)
	if config != nil {
		_, more := registry().Build(config, plugin.Environment{})
		found = append(found, more...)
	}
	var b strings.Builder
	for _, p := range found {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}
