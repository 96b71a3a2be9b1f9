package certs_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/certs"
	"github.com/perdure/perdure/gateway/internal/entity"
)

// now is when the tests are, which is when clients look at certificates too.
var now = time.Now()

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// rsaKey is the one of the tests: it takes time.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, template *x509.Certificate, by *authority, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotBefore.IsZero() {
		template.NotBefore = now.Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = now.Add(90 * 24 * time.Hour)
	}
	parent, signer := template, key
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
	return cert
}

func root(t testing.TB, name string) *authority {
	key := ecKey(t)
	return &authority{sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, key), key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) entity(id string) *entity.CACertificate {
	return &entity.CACertificate{Meta: entity.Meta{ID: id}, Cert: certPEM(a.cert)}
}

// issue signs a certificate with names, for a key.
func (a *authority) issue(t testing.TB, key crypto.Signer, names ...string) (cert, keyText string) {
	t.Helper()
	return certPEM(sign(t, &x509.Certificate{DNSNames: names}, a, key)), keyPEM(t, key)
}

func certPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func keyPEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// config is a configuration under construction.
type config struct {
	t testing.TB
	entity.Config
}

// certificate adds a certificate that is shown for SNIs, at a line of kong.yml.
func (c *config) certificate(line int, cert, key string, snis ...string) *entity.Certificate {
	e := &entity.Certificate{Cert: cert, Key: key}
	e.ID = "00000000-0000-4000-8000-" + strings.Repeat("0", 10) + string(rune('0'+len(c.Certificates)/10)) + string(rune('0'+len(c.Certificates)%10))
	e.Source = entity.Source{File: "kong.yml", Line: line, Fields: map[string]int{"cert": line + 1}}
	c.Certificates = append(c.Certificates, e)
	for i, name := range snis {
		sni := &entity.SNI{Name: name, Certificate: entity.RefTo[entity.Certificate](e.ID)}
		sni.Source = entity.Source{File: "kong.yml", Line: line + 2 + i}
		c.SNIs = append(c.SNIs, sni)
	}
	return e
}

func (c *config) route(name, service string, snis ...string) {
	r := entity.NewRoute()
	r.Name, r.Paths, r.SNIs, r.Protocols = name, []string{"/" + name}, snis, []string{"https"}
	if service != "" {
		r.Service = entity.RefTo[entity.Service](service)
	}
	c.Routes = append(c.Routes, r)
}

func (c *config) service(name string) {
	s := entity.NewService()
	s.Name, s.Host = name, "upstream.test"
	c.Services = append(c.Services, s)
}

// mtls adds the plugin, bound to a route, a service or neither.
func (c *config) mtls(route, service string, settings map[string]any) *entity.Plugin {
	p := entity.NewPlugin()
	p.Name, p.Config = certs.MTLSAuth, settings
	if route != "" {
		p.Route = entity.RefTo[entity.Route](route)
	}
	if service != "" {
		p.Service = entity.RefTo[entity.Service](service)
	}
	c.Plugins = append(c.Plugins, p)
	return p
}

func (c *config) compile() *entity.Config {
	c.t.Helper()
	compiled, problems := c.Compile(nil)
	if compiled == nil {
		c.t.Fatalf("the configuration has problems: %v", problems)
	}
	return compiled
}

// plan builds a plan, and returns its warnings, a line for each.
func (c *config) plan(fallback certs.Fallback) (*certs.Plan, string) {
	c.t.Helper()
	plan, problems := certs.Build(c.compile(), fallback, now)
	var b strings.Builder
	for _, p := range problems {
		if p.Severity != entity.Warning {
			c.t.Errorf("%v is no warning", p)
		}
		b.WriteString(p.String() + "\n")
	}
	return plan, b.String()
}

// serve accepts connections, and answers each line by one with its certificate's names and what TLS knows.
func serve(t testing.TB, source *certs.Source) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", source.Config())
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer nc.Close()
				buf := make([]byte, 1024)
				for {
					if _, err := nc.Read(buf); err != nil {
						return
					}
					state := nc.(*tls.Conn).ConnectionState()
					answer := "nobody"
					if len(state.PeerCertificates) > 0 {
						answer = state.PeerCertificates[0].Subject.CommonName
					}
					if state.DidResume {
						answer += " resumed"
					}
					if len(state.VerifiedChains) > 0 {
						answer += " verified"
					}
					if _, err := nc.Write([]byte(answer + "\n")); err != nil {
						return
					}
				}
			})
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-accepting
		conns.Wait()
	})
	return l.Addr().String()
}

// dial connects, and has the connection closed.
func dial(t testing.TB, address string, c *tls.Config) (*tls.Conn, error) {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	tc := tls.Client(nc, c)
	t.Cleanup(func() { _ = tc.Close() })
	return tc, tc.Handshake()
}

// ask sends a line, and returns the answer. Tickets have come when it has.
func ask(t testing.TB, tc *tls.Conn) string {
	t.Helper()
	if _, err := tc.Write([]byte("?\n")); err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	buf := make([]byte, 256)
	for !bytes.HasSuffix(answer.Bytes(), []byte("\n")) {
		n, err := tc.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		answer.Write(buf[:n])
	}
	return strings.TrimSpace(answer.String())
}
