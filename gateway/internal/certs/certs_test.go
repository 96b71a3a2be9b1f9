package certs_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/certs"
	"github.com/perdure/perdure/gateway/internal/entity"
)

// shown returns the first name of the certificate that a client with a name is shown.
func shown(t testing.TB, address string, c *tls.Config) (string, error) {
	t.Helper()
	c.InsecureSkipVerify = true //nolint:gosec // which one is shown is what is tested
	tc, err := dial(t, address, c)
	if err != nil {
		return "", err
	}
	return tc.ConnectionState().PeerCertificates[0].DNSNames[0], nil
}

// The name itself is before a wildcard for its first label, that for its last one, and the one for all names.
func TestNames(t *testing.T) {
	t.Parallel()
	ca := root(t, "root")
	c := &config{t: t}
	for i, sni := range []string{"a.example.com", "*.example.com", "example.*", "A.b.example.*"} {
		cert, key := ca.issue(t, ecKey(t), "for."+strings.ReplaceAll(sni, "*", "star"))
		c.certificate(10*i, cert, key, sni)
	}
	cert, key := ca.issue(t, ecKey(t), "fallback.test")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	var failure error
	plan, _ := c.plan(func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if failure != nil {
			return nil, failure
		}
		return &pair, nil
	})
	source := certs.New(nil)
	address := serve(t, source)
	if _, err := shown(t, address, &tls.Config{ServerName: "a.example.com"}); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("without a plan: %v", err)
	}
	source.Swap(plan)
	for name, want := range map[string]string{
		"a.example.com": "for.a.example.com", "A.Example.COM": "for.a.example.com", "b.example.com": "for.star.example.com",
		"x.b.example.com": "fallback.test", "example.org": "for.example.star", "example.co.uk": "fallback.test",
		"a.b.example.net": "for.A.b.example.star", "example.com": "for.example.star", "localhost": "fallback.test", "": "fallback.test",
	} {
		if got, err := shown(t, address, &tls.Config{ServerName: name}); got != want {
			t.Errorf("for %q there is %q, %v; want %q", name, got, err, want)
		}
	}
	failure = errors.New("no such secret")
	if _, err := shown(t, address, &tls.Config{ServerName: "localhost"}); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("without the fallback: %v", err)
	}
	// Without a fallback the name is not recognized, and a reload is seen by the next handshake.
	plan, _ = c.plan(nil)
	source.Swap(plan)
	if _, err := shown(t, address, &tls.Config{ServerName: "localhost"}); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("without a fallback: %v", err)
	}
	star, starKey := ca.issue(t, ecKey(t), "for.all")
	c.certificate(90, star, starKey, "*")
	plan, _ = c.plan(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil })
	source.Swap(plan)
	for _, name := range []string{"localhost", ""} {
		if got, err := shown(t, address, &tls.Config{ServerName: name}); got != "for.all" {
			t.Errorf("with a certificate for all names, for %q there is %q, %v", name, got, err)
		}
	}
}

// Of two certificates the client is shown one that it supports, ECDSA rather than RSA; the oldest version is TLS 1.2.
func TestTypesOfKeys(t *testing.T) {
	t.Parallel()
	ca := root(t, "root")
	for _, first := range []string{"rsa", "ecdsa"} {
		c := &config{t: t}
		cert, key := ca.issue(t, rsaKey(), "a.test")
		alt, altKey := ca.issue(t, ecKey(t), "a.test")
		if first == "ecdsa" {
			cert, key, alt, altKey = alt, altKey, cert, key
		}
		e := c.certificate(1, cert, key, "a.test", "other.test")
		e.CertAlt, e.KeyAlt = alt, altKey
		plan, warnings := c.plan(nil)
		if strings.Count(warnings, "\n") != 1 || !strings.Contains(warnings, `kong.yml:4: warning: sni "other.test"`) {
			t.Errorf("warnings: %s", warnings)
		}
		address := serve(t, certs.New(plan))
		for name, client := range map[string]*tls.Config{
			"*ecdsa.PublicKey": {},
			"ecdsa in 1.2":     {MaxVersion: tls.VersionTLS12},
			"*rsa.PublicKey":   {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}},
		} {
			for _, server := range []string{"a.test", "other.test"} { // a name that the certificate does not cover makes no difference
				client := client.Clone()
				client.ServerName, client.InsecureSkipVerify, client.NextProtos = server, true, []string{"h2", "http/1.1"}
				tc, err := dial(t, address, client)
				if err != nil {
					t.Fatal(err)
				}
				var ok bool
				if strings.Contains(name, "ecdsa") {
					_, ok = tc.ConnectionState().PeerCertificates[0].PublicKey.(*ecdsa.PublicKey)
				} else {
					_, ok = tc.ConnectionState().PeerCertificates[0].PublicKey.(*rsa.PublicKey)
				}
				if !ok || tc.ConnectionState().NegotiatedProtocol != "h2" {
					t.Errorf("%s first, %s: shown %T by %s", first, name, tc.ConnectionState().PeerCertificates[0].PublicKey, tc.ConnectionState().NegotiatedProtocol)
				}
			}
		}
		old := &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, ServerName: "a.test", RootCAs: ca.pool()} //nolint:gosec // refused
		if _, err := dial(t, address, old); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("TLS 1.1: %v", err)
		}
		one := &tls.Config{ServerName: "a.test", RootCAs: ca.pool(), NextProtos: []string{"http/1.1"}}
		if tc, err := dial(t, address, one); err != nil || tc.ConnectionState().NegotiatedProtocol != "http/1.1" {
			t.Errorf("HTTP/1.1: %v", err)
		}
	}
}

// A connection, and a session, outlive a reload.
func TestReload(t *testing.T) {
	t.Parallel()
	ca := root(t, "root")
	plans := make([]*certs.Plan, 2)
	for i, name := range []string{"old.test", "new.test"} {
		c := &config{t: t}
		cert, key := ca.issue(t, ecKey(t), name, "a.test")
		c.certificate(1, cert, key, "a.test")
		plans[i], _ = c.plan(nil)
	}
	source := certs.New(plans[0])
	if first, second := source.Config(), source.Config(); first != second {
		t.Error("the configuration is another at each call: sessions would not be resumed by another listener")
	}
	address := serve(t, source)
	client := &tls.Config{ServerName: "a.test", RootCAs: ca.pool(), ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	before, err := dial(t, address, client)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, before); got != "nobody" {
		t.Errorf("the first connection is %s", got)
	}
	source.Swap(plans[1])
	if got := ask(t, before); got != "nobody" {
		t.Errorf("after the reload it is %s", got)
	}
	again, err := dial(t, address, client)
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, again); got != "nobody resumed" {
		t.Errorf("a second connection is %s", got)
	}
	if got, err := shown(t, address, &tls.Config{ServerName: "a.test"}); got != "new.test" {
		t.Errorf("after the reload there is %s, %v", got, err)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	ca := root(t, "root")
	day := 24 * time.Hour
	issue := func(template *x509.Certificate) (cert, key string) {
		k := ecKey(t)
		return certPEM(sign(t, template, ca, k)), keyPEM(t, k)
	}
	add := func(c *config, template *x509.Certificate, snis ...string) {
		cert, key := issue(template)
		c.certificate(10, cert, key, snis...)
	}
	for name, test := range map[string]struct {
		make func(c *config)
		want []string
	}{
		"good": {func(c *config) {
			add(c, &x509.Certificate{DNSNames: []string{"a.test", "*.b.test", "c.test", "c.example"}}, "a.test", "A.B.test", "*.b.test", "c.*", "*")
		}, nil},
		"expired": {func(c *config) {
			add(c, &x509.Certificate{DNSNames: []string{"a.test"}, NotBefore: now.Add(-9 * day), NotAfter: now.Add(-time.Second)}, "a.test")
		}, []string{`kong.yml:11: warning: certificate "a.test": cert: has expired on `}},
		"soon": {func(c *config) {
			add(c, &x509.Certificate{DNSNames: []string{"a.test"}, NotAfter: now.Add(29 * day)}, "a.test")
		}, []string{`kong.yml:11: warning: certificate "a.test": cert: ends on `}},
		"later": {func(c *config) {
			add(c, &x509.Certificate{DNSNames: []string{"a.test"}, NotBefore: now.Add(day)}, "a.test")
		}, []string{`kong.yml:11: warning: certificate "a.test": cert: begins on `}},
		"other names": {func(c *config) {
			add(c, &x509.Certificate{DNSNames: []string{"a.test", "x.y.test", "example.com.test"}}, "b.test", "*.a.test", "example.*", "a.test")
		}, []string{
			`kong.yml:12: warning: sni "b.test": name: the certificate does not cover "b.test", it is for ["a.test" "x.y.test" "example.com.test"]`,
			`kong.yml:13: warning: sni "*.a.test": name: the certificate does not cover`, `kong.yml:14: warning: sni "example.*": name: the certificate does not cover`,
		}},
		"no names": {func(c *config) { add(c, &x509.Certificate{}, "b.test") }, []string{"no subject alternative name"}},
		"half labels": {func(c *config) { add(c, &x509.Certificate{DNSNames: []string{"a.test"}}, "*a.test", "a*") }, []string{
			`sni "*a.test": name: "*a.test" is the name of nothing`, `sni "a*": name: "a*" is the name of nothing`}},
		"two for one name": {func(c *config) {
			add(c, &x509.Certificate{DNSNames: []string{"a.test"}}, "a.test")
			add(c, &x509.Certificate{DNSNames: []string{"a.test"}}, "A.test")
		}, []string{`kong.yml:12: warning: sni "A.test": name: "A.test" is the name of another sni at kong.yml:12 as well`}},
		"authority": {func(c *config) {
			k := ecKey(t)
			c.CACertificates = append(c.CACertificates, (&authority{cert: sign(t, &x509.Certificate{
				IsCA: true, BasicConstraintsValid: true, NotBefore: now.Add(-9 * day), NotAfter: now.Add(-day),
			}, nil, k)}).entity(firstCA))
		}, []string{`ca certificate "` + firstCA + `": cert: has expired on `}},
		"no SNI": {func(c *config) { add(c, &x509.Certificate{DNSNames: []string{"a.test"}}) }, []string{`certificate "a.test": snis: there are none`}},
		"a client's": {func(c *config) {
			cert, key := issue(&x509.Certificate{DNSNames: []string{"a.test"}})
			e := c.certificate(10, cert, key)
			c.service("s")
			c.Services[0].Protocol = "https"
			c.Services[0].ClientCertificate = entity.RefTo[entity.Certificate](e.ID)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &config{t: t}
			test.make(c)
			_, warnings := c.plan(nil)
			lines := slices.Collect(strings.Lines(warnings))
			if len(lines) != len(test.want) {
				t.Errorf("there are the warnings\n%s", warnings)
			}
			for _, want := range test.want {
				if !strings.Contains(warnings, want) {
					t.Errorf("there is no %q among\n%s", want, warnings)
				}
			}
		})
	}
}
