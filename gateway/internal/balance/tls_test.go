package balance_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/balance"
)

// Servers are verified as tls_verify and ca_certificates say, and are shown the client's certificate.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.TLS.ServerName+" certificates "+strings.Repeat("I", len(r.TLS.PeerCertificates)))
	}))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	s.StartTLS()
	t.Cleanup(s.Close)
	address := s.Listener.Addr().String()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	const id = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
	authorities := "ca_certificates:\n- id: " + id + "\n  cert: |\n    " + strings.ReplaceAll(strings.TrimSpace(authority), "\n", "\n    ") + "\n"
	for name, c := range map[string]struct {
		service, more, want string
		verify              bool
	}{
		"Kong's default":        {"", "", "HTTP/1.1  certificates ", false},
		"the gateway's setting": {"", "", "An invalid response was received from the upstream server", true},
		"verified":              {", tls_verify: true, ca_certificates: [\"" + id + "\"]", authorities, "HTTP/1.1  certificates ", false},
		"not verified":          {", tls_verify: false", "", "HTTP/1.1  certificates ", true},
		"unknown authority":     {", tls_verify: true", "", "An invalid response was received from the upstream server", false},
		"too deep":              {", tls_verify: true, tls_verify_depth: 0, ca_certificates: [\"" + id + "\"]", authorities, "HTTP/1.1  certificates ", false},
		"gRPC":                  {", protocol: grpcs", "", "HTTP/2.0  certificates ", false},
		"name":                  {", host: u", "upstreams:\n- {name: u, host_header: shop.test, targets: [{target: \"" + address + "\"}]}\n", "HTTP/1.1 shop.test certificates ", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, port, _ := strings.Cut(address, ":")
			service := "host: " + host + ", port: " + port + ", protocol: https" + c.service
			if strings.Contains(c.service, "host:") {
				service = strings.Replace(service, "host: "+host+", ", "", 1)
			}
			if strings.Contains(c.service, "protocol:") {
				service = strings.Replace(service, ", protocol: https", "", 1)
			}
			w := newWorld(t, "services:\n- {name: s, "+service+"}\n"+c.more, func(o *balance.Options) { o.TLSVerify = c.verify })
			url := w.gateway(t)
			if _, got := get(t, client(t), url); !strings.Contains(got, c.want) {
				t.Errorf("answered is %q, want %q", got, c.want)
			}
		})
	}
}
