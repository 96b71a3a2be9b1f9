package mtlsauth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

// simple is a route with the plugin, with more settings of it.
func simple(settings string, rest ...string) string {
	return `
consumers:
- {id: 00000000-0000-4000-8000-000000000001, username: alice, custom_id: a-1}
- {id: 00000000-0000-4000-8000-000000000002, username: bob@example.com, custom_id: "urn:bob"}
- {id: 00000000-0000-4000-8000-000000000003, username: guest}
services:
- name: s
  host: upstream.test
  routes:
  - {name: r, paths: [/]}
plugins:
- name: mtls-auth
  config:
    ca_certificates: [` + rootID + `]
    revocation_check_mode: SKIP
` + settings + strings.Join(rest, "")
}

const (
	notSent = "No required TLS certificate was sent"
	failed  = "TLS certificate failed verification"
)

// Who shows a certificate is the consumer that it names, on either protocol.
func TestConsumers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simple(""))
	alice := w.root.client(t, "alice")
	for _, cert := range []*pair{
		alice,
		w.root.client(t, "a-1"),
		w.root.client(t, "nobody", func(c *x509.Certificate) { c.DNSNames = []string{"x.test", "alice"} }),
		w.root.client(t, "alice", func(c *x509.Certificate) { c.ExtKeyUsage = nil }),
		w.root.client(t, "alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }),
	} {
		for protocol, change := range map[string]func(*tls.Config){"http/1.1": h1Only, "h2": func(*tls.Config) {}} {
			client := w.client(cert, change, speaks(t, protocol))
			for range 2 { // by the cache as well
				let(t, w.get(client, "X-Consumer-Username: bob", "X_Client_Cert_Dn: CN=root", "X-Client-Cert-San: root"), "alice",
					"X-Consumer-Username: alice", "X-Consumer-Id: 00000000-0000-4000-8000-000000000001", "X-Consumer-Custom-Id: a-1", "X-Anonymous-Consumer: ",
					"X-Credential-Identifier: 00000000-0000-4000-8000-000000000001", "X-Client-Cert-Dn: ", "X-Client-Cert-San: ", "X_Client_Cert_Dn: ")
			}
		}
	}
	bob := &url.URL{Scheme: "urn", Opaque: "bob"}
	for _, change := range []func(*x509.Certificate){
		func(c *x509.Certificate) { c.EmailAddresses = []string{"bob@example.com"} },
		func(c *x509.Certificate) { c.URIs = []*url.URL{bob}; c.IPAddresses = []net.IP{{127, 0, 0, 1}} },
		func(c *x509.Certificate) { c.DNSNames = []string{"bob.test"}; c.URIs = []*url.URL{bob} },
	} {
		r := w.get(w.client(w.root.client(t, "alice", change)))
		let(t, r, "bob@example.com", "X-Consumer-Custom-Id: urn:bob")
		if !r.Noted("mtls-auth: the certificate CN=alice (issued by CN=root) is good, and ") || !r.Noted(" of the consumer bob@example.com") {
			t.Errorf("notes: %q", r.Notes)
		}
	}
	// By one way alone.
	w.reload(simple("    consumer_by: [custom_id]\n"))
	refused(t, w.get(w.client(alice)), 401, failed, "no consumer has alice as custom_id")
	let(t, w.get(w.client(w.root.client(t, "a-1"))), "alice")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simple(""))
	day := 24 * time.Hour
	leafless := w.below.client(t, "alice")
	whole := w.below.client(t, "alice")
	whole.chain = []*x509.Certificate{w.below.cert}
	old := sign(t, w.root, &x509.Certificate{
		Subject: pkix.Name{CommonName: "old"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: plugintest.Start.Add(-time.Hour),
	})
	byOld := old.client(t, "alice")
	byOld.chain = []*x509.Certificate{old.cert}
	let(t, w.get(w.client(whole)), "alice")
	for name, test := range map[string]struct {
		cert            *pair
		message, reason string
	}{
		"none":         {nil, notSent, "the client was asked for a certificate, and has sent none"},
		"foreign":      {w.other.client(t, "alice"), failed, "the certificate CN=alice (issued by CN=other) is not of the authorities CN=root, or the client does not send those between"},
		"same name":    {authority(t, nil, "root").client(t, "alice"), failed, "is not of the authorities CN=root"},
		"self":         {sign(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}}), failed, "is not of the authorities"},
		"incomplete":   {leafless, failed, "(issued by CN=below) is not of the authorities CN=root"},
		"expired":      {w.root.client(t, "alice", func(c *x509.Certificate) { c.NotAfter = plugintest.Start.Add(-time.Minute) }), failed, "the certificate CN=alice (issued by CN=root) has expired on 2026-05-17 10:29 UTC"},
		"later":        {w.root.client(t, "alice", func(c *x509.Certificate) { c.NotBefore = plugintest.Start.Add(day) }), failed, "begins on 2026-05-18 10:30 UTC"},
		"old between":  {byOld, failed, "the certificate of the authority CN=old (issued by CN=root), by which it is verified, has expired on"},
		"a server's":   {w.root.client(t, "alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), failed, "is not for clients: its extended key usage has no clientAuth"},
		"critical":     {w.root.client(t, "alice", func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true}} }), failed, "cannot be verified: unhandled critical extension"},
		"no consumer":  {w.root.client(t, "carol"), failed, "the certificate CN=carol (issued by CN=root) is good, but no consumer has carol as username or custom_id"},
		"other names":  {w.root.client(t, "alice", func(c *x509.Certificate) { c.DNSNames = []string{"x.test"} }), failed, "no consumer has x.test as username or custom_id (its common name is not looked for"},
		"without name": {w.root.client(t, ""), failed, "the certificate without a subject (issued by CN=root) is good, but no consumer has a name that it has none of"},
		"odd": {w.root.client(t, "a\r\nb\x00"+strings.Repeat("é", 300), func(c *x509.Certificate) {
			c.DNSNames = []string{"x\r\ny", strings.Repeat("l", 300)}
		}), failed, `no consumer has x\0D\0Ay, lll`},
	} {
		t.Run(name, func(t *testing.T) {
			for protocol, change := range map[string]func(*tls.Config){"http/1.1": h1Only, "h2": func(*tls.Config) {}} {
				client := w.client(test.cert, change, speaks(t, protocol))
				for range 2 {
					refused(t, w.get(client), 401, test.message, test.reason)
				}
			}
		})
	}
	refused(t, w.Do("GET /"), 401, notSent, "has come without TLS")
	// A preflight request is none without a certificate: there is no setting that lets it through.
	refused(t, w.SendBy(w.client(nil), "https://a.test", "OPTIONS /", nil, "Origin: https://x.test", "Access-Control-Request-Method: PUT"), 401, notSent, "was asked for a certificate, and has sent none")
}

// Certificates count no longer than they are good, remembered or not, and not after their authority is gone.
func TestTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simple(""))
	short := w.client(w.root.client(t, "alice", func(c *x509.Certificate) { c.NotAfter = plugintest.Start.Add(time.Hour) }))
	long := w.client(w.root.client(t, "alice"))
	let(t, w.get(short), "alice")
	w.Clock.Advance(time.Hour)
	let(t, w.get(short), "alice")
	let(t, w.get(long), "alice")
	w.Clock.Advance(time.Second)
	refused(t, w.get(short), 401, failed, "has expired on 2026-05-17 11:30 UTC")
	let(t, w.get(long), "alice")
	w.reload(strings.ReplaceAll(simple(""), "["+rootID+"]", "["+otherID+"]"))
	refused(t, w.get(long), 401, failed, "is not of the authorities CN=other")
}

// A resumed session has the certificate, which is verified again.
func TestResumption(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simple(""))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		resumed := 0
		client := w.client(w.root.client(t, "alice"), h1Only, func(c *tls.Config) {
			c.MinVersion, c.MaxVersion, c.ClientSessionCache = version, version, tls.NewLRUClientSessionCache(4)
			c.VerifyConnection = func(s tls.ConnectionState) error {
				if s.DidResume {
					resumed++
				}
				return nil
			}
		})
		client.Transport.(*http.Transport).DisableKeepAlives = true
		for range 3 {
			let(t, w.get(client), "alice")
		}
		if resumed != 2 {
			t.Errorf("%s: %d sessions were resumed", tls.VersionName(version), resumed)
		}
		w.reload(strings.ReplaceAll(simple(""), "["+rootID+"]", "["+otherID+"]"))
		refused(t, w.get(client), 401, failed, "is not of the authorities CN=other")
		if resumed != 3 {
			t.Errorf("%s: %d sessions were resumed", tls.VersionName(version), resumed)
		}
		w.reload(simple(""))
	}
}

// Who is not let in goes on as the anonymous consumer, if there is one.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simple("    anonymous: guest\n"))
	for _, cert := range []*pair{nil, w.other.client(t, "alice"), w.root.client(t, "carol")} {
		r := w.get(w.client(cert), "X-Client-Cert-Dn: CN=alice")
		let(t, r, "guest", "X-Consumer-Username: guest", "X-Anonymous-Consumer: true", "X-Client-Cert-Dn: ", "X-Credential-Identifier: ")
		if !r.Noted("mtls-auth: goes on as the anonymous consumer guest: ") {
			t.Errorf("notes: %q", r.Notes)
		}
	}
	let(t, w.get(w.client(w.root.client(t, "alice"))), "alice", "X-Anonymous-Consumer: ")
	let(t, w.Do("GET /"), "guest")
}

// A good certificate without a consumer is the default consumer's, and the upstream is told about it.
func TestDefaultConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simple("    default_consumer: guest\n"))
	carol := w.root.client(t, "Carol, Dr.", func(c *x509.Certificate) {
		c.Subject = pkix.Name{}
		c.RawSubject = nil
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{
			{Type: []int{2, 5, 4, 6}, Value: "CA"}, {Type: []int{2, 5, 4, 10}, Value: "Köng"}, {Type: []int{2, 5, 4, 3}, Value: "Carol, Dr."},
			{Type: []int{1, 2, 840, 113549, 1, 9, 1}, Value: "c@example.com"}, {Type: []int{1, 2, 3}, Value: "#x "},
		}
	})
	let(t, w.get(w.client(carol)), "guest", "X-Consumer-Username: guest", "X-Anonymous-Consumer: ",
		`X-Client-Cert-Dn: 1.2.3=\#x\ ,emailAddress=c@example.com,CN=Carol\, Dr.,O=K\C3\B6ng,C=CA`, "X-Client-Cert-San: Carol, Dr.")
	names := w.root.client(t, "carol", func(c *x509.Certificate) { c.DNSNames, c.EmailAddresses = []string{"c.test"}, []string{"c@c.test"} })
	let(t, w.get(w.client(names)), "guest", "X-Client-Cert-Dn: CN=carol", "X-Client-Cert-San: c.test, c@c.test")
	let(t, w.get(w.client(w.root.client(t, "alice"))), "alice", "X-Client-Cert-Dn: ")
	refused(t, w.get(w.client(w.other.client(t, "alice"))), 401, failed, "is not of the authorities")
	refused(t, w.get(w.client(nil)), 401, notSent, "was asked for a certificate, and has sent none")
}

// Without a look for consumers, the certificate says in which group its owner is.
func TestGroups(t *testing.T) {
	t.Parallel()
	const groups = "- name: acl\n  config:\n    allow: ['%']\n"
	file := func(settings, group string) string {
		return simple("    skip_consumer_lookup: true\n"+settings, strings.ReplaceAll(groups, "%", group)) // consumers are found by nobody
	}
	drop := func(file string) string { return file[strings.Index(file, "services:"):] }
	w := newWorld(t, drop(file("", "ops")))
	ops := w.root.client(t, "ops", func(c *x509.Certificate) { c.Subject.Organization = []string{"Perdure"} })
	dev := w.root.client(t, "dev\r\nX-Admin: true")
	let(t, w.get(w.client(ops), "X-Authenticated-Groups: root"), "", "X-Client-Cert-Dn: CN=ops,O=Perdure", "X-Client-Cert-San: ops", "X-Consumer-Username: ",
		"X-Authenticated-Groups: ops", "X-Anonymous-Consumer: ")
	if r := w.get(w.client(dev)); r.Status != 403 || !r.Noted(`(dev\0D\0AX-Admin: true)`) {
		t.Errorf("of another group: %d %q", r.Status, r.Notes)
	}
	w.reload(drop(file("    authenticated_group_by: DN\n", "CN=ops,O=Perdure")))
	let(t, w.get(w.client(ops)), "", "X-Authenticated-Groups: CN=ops,O=Perdure")
	w.reload(drop(strings.ReplaceAll(simple("    skip_consumer_lookup: true\n"), "consumers:", "_:")))
	r := w.get(w.client(dev))
	let(t, r, "", `X-Client-Cert-San: dev\0D\0AX-Admin: true`, `X-Client-Cert-Dn: CN=dev\0D\0AX-Admin: true`, "X-Admin: ")
	if !r.Noted("is good, and no consumer is looked for") {
		t.Errorf("notes: %q", r.Notes)
	}
}

// An authority that another has signed ends a chain only if it may.
func TestPartialChain(t *testing.T) {
	t.Parallel()
	partial := strings.ReplaceAll(simple("    allow_partial_chain: true\n"), "["+rootID+"]", "["+belowID+"]")
	w := newWorld(t, partial)
	let(t, w.get(w.client(w.below.client(t, "alice"))), "alice")
	refused(t, w.get(w.client(w.root.client(t, "alice"))), 401, failed, "is not of the authorities CN=below")
	// With its root, it is between: the client need not send it.
	w.reload(strings.ReplaceAll(simple(""), "["+rootID+"]", "["+rootID+", "+belowID+"]"))
	let(t, w.get(w.client(w.below.client(t, "alice"))), "alice")
	let(t, w.get(w.client(w.root.client(t, "alice"))), "alice")
}

// A client that was not asked for a certificate is told to try again on a connection where it is.
func TestMisdirected(t *testing.T) {
	t.Parallel()
	named := strings.ReplaceAll(simple(""), "{name: r, paths: [/]}", "{name: r, paths: [/], snis: [a.test], protocols: [http, https]}")
	open := named[:strings.Index(named, "plugins:")]
	open = open[strings.Index(open, "services:"):]
	w := newWorld(t, open)
	alice := w.root.client(t, "alice")
	for protocol, change := range map[string]func(*tls.Config){"http/1.1": h1Only, "h2": func(*tls.Config) {}} {
		// Before the plugin.
		w.reload(open)
		client := w.client(alice, change, speaks(t, protocol))
		let(t, w.get(client), "")
		w.reload(named)
		refused(t, w.get(client), 421, "Misdirected request", "was not asked for a certificate on this connection, which is for a.test: it is to open another one for a.test")
		client.CloseIdleConnections()
		let(t, w.get(client), "alice")
		let(t, w.get(client), "alice")
		// For another host: the route's SNIs do not count for a request that a trusted proxy calls one of http.
		r := w.SendBy(w.client(alice, change), "https://b.test", "GET /", nil, "Host: a.test", "X-Forwarded-Proto: http")
		refused(t, r, 421, "Misdirected request", "which is for b.test: it is to open another one for a.test")
		// Without a name nobody is asked, on a new connection either.
		r = w.SendBy(w.client(alice, change, unnamed), "https://127.0.0.1", "GET /", nil, "X-Forwarded-Proto: http")
		refused(t, r, 401, notSent, "it has sent no name in its handshake")
	}
	r := w.SendBy(w.client(nil), "https://a.test", "GET /", nil, "X-Forwarded-Proto: http")
	refused(t, r, 401, notSent, "was asked for a certificate, and has sent none")
}

func TestProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t, simple(""))
	for name, test := range map[string]struct{ file, want string }{
		"good":              {simple(""), ""},
		"revocation":        {strings.ReplaceAll(simple(""), "    revocation_check_mode: SKIP\n", ""), `warning: plugin "mtls-auth": config.revocation_check_mode: is IGNORE_CA_ERROR in Kong, whereas here revocation is not checked`},
		"Kong's default":    {strings.ReplaceAll(simple(""), "SKIP", "IGNORE_CA_ERROR"), `error: plugin "mtls-auth": config.revocation_check_mode: revocation is not checked here (neither CRL nor OCSP): write SKIP`},
		"strict":            {strings.ReplaceAll(simple(""), "SKIP", "STRICT"), "revocation is not checked here"},
		"misspelt":          {simple("    authenticated_group_by: cn\n"), `"cn" is none of the values`},
		"proxy":             {simple("    http_proxy_host: proxy.test\n"), "config.http_proxy_host: revocation is not checked here; remove it"},
		"of caches":         {simple("    cache_ttl: 60\n    cert_cache_ttl: 60000\n    http_timeout: 30000\n    ssl_verify: true\n    san_dirname_matcher: []\n"), ""},
		"no authority":      {strings.ReplaceAll(simple(""), "["+rootID+"]", "[]"), "config.ca_certificates: is empty: name the authorities"},
		"without":           {strings.ReplaceAll(simple(""), "    ca_certificates: ["+rootID+"]\n", ""), "config.ca_certificates: is missing"},
		"unknown authority": {strings.ReplaceAll(simple(""), "["+rootID+"]", "["+rootID+", nothing]"), `error: plugin "mtls-auth": config.ca_certificates[1]: there is no ca certificate with the id "nothing"`},
		"no root":           {strings.ReplaceAll(simple(""), "["+rootID+"]", "["+belowID+"]"), "config: ca_certificates: none of them is a root, that has signed itself: add the root, or set allow_partial_chain: true"},
		"default consumer":  {simple("    default_consumer: gust\n"), `config.default_consumer: there is no consumer "gust"; did you mean "guest"?`},
		"anonymous":         {simple("    anonymous: nobody\n"), `config.anonymous: there is no consumer "nobody"`},
		"of a consumer":     {simple("  consumer: alice\n"), "the plugin mtls-auth cannot be bound to a consumer"},
		"by nothing":        {simple("    consumer_by: []\n"), "warning: plugin \"mtls-auth\": config.consumer_by: is empty, and there is no default_consumer"},
		"Kong's mappings":   {strings.ReplaceAll(simple(""), "username: guest}", "username: guest, mtls_auth_credentials: [{subject_name: x}]}"), "the plugin mtls-auth finds consumers by what their certificates name"},
		"nobody is found":   {simple("    skip_consumer_lookup: true\n"), `error: consumer "alice": has no credentials`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := problems(t, w.file(test.file))
			if test.want == "" && got != "" || !strings.Contains(got, test.want) || got != "" && !strings.HasPrefix(got, "kong.yml:") {
				t.Errorf("there are the problems\n%swant %q", got, test.want)
			}
		})
	}
}
