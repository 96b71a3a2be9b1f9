package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/certs"
)

const (
	firstCA  = "11111111-1111-4111-8111-111111111111"
	secondCA = "22222222-2222-4222-8222-222222222222"
)

// A client is asked for a certificate where a route with the plugin can have the name.
func TestAsks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make    func(c *config)
		yes, no []string
	}{
		"no plugin": {func(c *config) { c.route("r", "s", "a.test") }, nil, []string{"a.test", ""}},
		"route": {func(c *config) {
			c.route("r", "s", "a.test", "*.b.test", "c.*")
			c.route("o", "s", "d.test")
			c.mtls("r", "", nil)
		}, []string{"a.test", "A.TEST", "x.b.test", "x.y.b.test", "c.test"}, []string{"", "d.test", "b.test", "xa.test", "c."}},
		"without SNIs": {func(c *config) { c.route("r", "s"); c.route("o", "s", "d.test"); c.mtls("r", "", nil) }, []string{"a.test", "", "d.test"}, nil},
		"service":      {func(c *config) { c.route("r", "s", "a.test"); c.route("o", "o", "d.test"); c.mtls("", "s", nil) }, []string{"a.test"}, []string{"", "d.test"}},
		"everything":   {func(c *config) { c.route("r", "s", "a.test"); c.route("o", "", "d.test"); c.mtls("", "", nil) }, []string{"a.test", "d.test"}, []string{"", "x.test"}},
		"not enabled":  {func(c *config) { c.route("r", "s", "a.test"); c.mtls("", "", nil).Enabled = false }, nil, []string{"a.test"}},
		"no service":   {func(c *config) { c.route("r", "", "a.test"); c.mtls("", "s", nil) }, nil, []string{"a.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &config{t: t}
			c.service("s")
			c.service("o")
			test.make(c)
			asks, _ := c.plan(nil)
			for _, sni := range test.yes {
				if !asks.Asks(sni) {
					t.Errorf("%q is not asked", sni)
				}
			}
			for _, sni := range test.no {
				if asks.Asks(sni) {
					t.Errorf("%q is asked", sni)
				}
			}
		})
	}
}

// client is one with a certificate, which it sends if asked. It remembers sessions.
type client struct {
	*tls.Config
	asked    bool
	subjects string // of the authorities that it was told
}

func newClient(t testing.TB, servers, clients *authority, name string) *client {
	key := ecKey(t)
	cert := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, clients, key)
	c := &client{}
	c.Config = &tls.Config{
		ServerName: name, RootCAs: servers.pool(), ClientSessionCache: tls.NewLRUClientSessionCache(8),
		GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c.asked, c.subjects = true, ""
			for _, raw := range info.AcceptableCAs {
				var rdn pkix.RDNSequence
				if rest, err := asn1.Unmarshal(raw, &rdn); err != nil || len(rest) > 0 {
					return nil, fmt.Errorf("no name: %v", err)
				}
				c.subjects += rdn.String() + ";"
			}
			return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, nil
		},
	}
	return c
}

func (c *client) connect(t testing.TB, address string) string {
	t.Helper()
	c.asked, c.subjects = false, ""
	tc, err := dial(t, address, c.Config)
	if err != nil {
		t.Fatal(err)
	}
	return ask(t, tc)
}

// The certificate is there in a resumed session, where nothing was verified; and a session of a client that was not
// asked is not resumed once clients are.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	servers, clients, others := root(t, "servers"), root(t, "clients"), root(t, "others")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			c := &config{t: t}
			cert, key := servers.issue(t, ecKey(t), "open.test", "a.test", "b.test")
			c.certificate(1, cert, key, "open.test", "a.test", "b.test")
			c.CACertificates = append(c.CACertificates, clients.entity(firstCA), others.entity(secondCA))
			c.service("s")
			c.route("a", "s", "a.test")
			c.route("b", "s", "b.test")
			c.route("open", "s", "open.test")
			open, _ := c.plan(nil)
			c.mtls("a", "", map[string]any{"ca_certificates": []any{firstCA}})
			c.mtls("b", "", map[string]any{"ca_certificates": []any{firstCA, secondCA}, "send_ca_dn": true})
			asking, warnings := c.plan(nil)
			if warnings != "" {
				t.Errorf("warnings: %s", warnings)
			}
			source := certs.New(open)
			address := serve(t, source)

			a := newClient(t, servers, clients, "a.test")
			a.MinVersion, a.MaxVersion = version, version
			for i, want := range []string{"nobody", "nobody resumed"} {
				if got := a.connect(t, address); got != want || a.asked {
					t.Errorf("connection %d before the plugin: %s", i, got)
				}
			}
			source.Swap(asking)
			for i, want := range []string{"client", "client resumed", "client resumed"} {
				if got := a.connect(t, address); got != want || a.asked == strings.HasSuffix(want, "resumed") || a.subjects != "" {
					t.Errorf("connection %d with the plugin: %s, asked: %t, authorities: %s", i, got, a.asked, a.subjects)
				}
			}
			b := newClient(t, servers, clients, "b.test")
			b.MinVersion, b.MaxVersion = version, version
			if got := b.connect(t, address); got != "client" || b.subjects != "CN=clients;CN=others;" {
				t.Errorf("with names of authorities: %s, %s", got, b.subjects)
			}
			foreign := newClient(t, servers, servers, "a.test") // the plugin decides
			foreign.MinVersion, foreign.MaxVersion = version, version
			if got := foreign.connect(t, address); got != "client" {
				t.Errorf("of a foreign authority: %s", got)
			}
			quiet := newClient(t, servers, clients, "open.test")
			quiet.MinVersion, quiet.MaxVersion = version, version
			if got := quiet.connect(t, address); got != "nobody" || quiet.asked {
				t.Errorf("where no route has the plugin: %s", got)
			}
			none := &tls.Config{ServerName: "a.test", RootCAs: servers.pool(), MinVersion: version, MaxVersion: version}
			tc, err := dial(t, address, none)
			if err != nil {
				t.Fatal(err)
			}
			if got := ask(t, tc); got != "nobody" {
				t.Errorf("without a certificate: %s", got)
			}
			// Without the plugin a certificate counts no more, not even one in a session.
			source.Swap(open)
			if got := a.connect(t, address); got != "nobody" {
				t.Errorf("after the plugin: %s", got)
			}
		})
	}
}

// Where one plugin sends the names of its authorities, those of the others for the name are sent as well; too many
// are not sent.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	servers, clients, others := root(t, "servers"), root(t, "clients"), root(t, "others")
	c := &config{t: t}
	cert, key := servers.issue(t, ecKey(t), "a.test")
	c.certificate(1, cert, key, "a.test")
	c.CACertificates = append(c.CACertificates, clients.entity(firstCA), others.entity(secondCA))
	c.service("s")
	c.route("exact", "s", "a.test")
	c.route("wild", "s", "*.test")
	c.mtls("exact", "", map[string]any{"ca_certificates": []any{firstCA}, "send_ca_dn": true})
	c.mtls("wild", "", map[string]any{"ca_certificates": []any{secondCA, firstCA}})
	plan, _ := c.plan(nil)
	source := certs.New(plan)
	address := serve(t, source)
	a := newClient(t, servers, clients, "a.test")
	if got := a.connect(t, address); got != "client" || a.subjects != "CN=clients;CN=others;" {
		t.Errorf("%s, %s", got, a.subjects)
	}

	many := []any{firstCA}
	for i := range 12 {
		big := root(t, strings.Repeat("long ", 300)+fmt.Sprint(i))
		id := fmt.Sprintf("33333333-3333-4333-8333-3333333333%02d", i)
		c.CACertificates = append(c.CACertificates, big.entity(id))
		many = append(many, id)
	}
	c.Plugins = nil
	c.mtls("exact", "", map[string]any{"ca_certificates": many, "send_ca_dn": true})
	plan, warnings := c.plan(nil)
	if !strings.Contains(warnings, "config.send_ca_dn: the names of the authorities are more than 16384 bytes") {
		t.Errorf("warnings: %s", warnings)
	}
	source.Swap(plan)
	fresh := newClient(t, servers, clients, "a.test")
	if got := fresh.connect(t, address); got != "client" || !fresh.asked || fresh.subjects != "" {
		t.Errorf("%s, %s", got, fresh.subjects)
	}
}
