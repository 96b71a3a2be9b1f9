package mtlsauth_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// request asks the plugin alone, again and again.
func request(t testing.TB, settings string) (ask func()) {
	t.Helper()
	root := authority(t, nil, "root")
	c, problems := plugintest.Compile(registry(), "ca_certificates:\n"+root.yaml(rootID)+simple(settings))
	if c == nil {
		t.Fatal(problems)
		return nil
	}
	plan, problems := registry().Build(c, plugin.Environment{Clock: clock.NewManual(plugintest.Start)})
	if plan == nil {
		t.Fatal(problems)
		return nil
	}
	var chain proxy.Chain
	plan.Attach(c.Routes[0], &chain)
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{root.client(t, "alice").cert}}
	fields := new(h1.Fields)
	x := &proxy.Exchange{TLS: state}
	return func() {
		fields.Reset()
		fields.Add("User-Agent", "test")
		fields.Add("Accept", "*/*")
		x.Request = proxy.Request{Method: http.MethodGet, Path: "/", Fields: fields}
		x.Consumer, x.Credential = nil, nil
		if chain.Access[0].Access(x); x.Credential == nil {
			t.Fatal("refused")
		}
	}
}

func BenchmarkAccess(b *testing.B) {
	ask := request(b, "")
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

func BenchmarkVerify(b *testing.B) {
	root := authority(b, nil, "root")
	leaf := root.client(b, "alice").cert
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: plugintest.Start, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestKnownCertificateAllocatesNothing(t *testing.T) { // not parallel: it counts
	for _, settings := range []string{"", "    default_consumer: guest\n    consumer_by: []\n"} {
		if n := testing.AllocsPerRun(100, request(t, settings)); n != 0 {
			t.Errorf("%v allocations with %q", n, settings)
		}
	}
}
