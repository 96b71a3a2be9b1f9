package keystore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/keystore"
)

// authority is a CA in a folder, with a clock.
func authority(t *testing.T, p place, now time.Time) (*keystore.CA, *clock.Manual) {
	t.Helper()
	c := clock.NewManual(now)
	k, _, err := keystore.OpenLocal(p.data, "", keystore.Options{Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := keystore.OpenCA(k)
	if err != nil {
		t.Fatal(err)
	}
	return ca, c
}

func serverConfig(t *testing.T, ca *keystore.CA, names ...string) *tls.Config {
	t.Helper()
	config, err := ca.TLSConfig(names...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// leafFor is the certificate that a client gets who asks for name.
func leafFor(t *testing.T, config *tls.Config, name string) *x509.Certificate {
	t.Helper()
	cert, err := config.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf
}

func TestCertificatesOfLoopback(t *testing.T) {
	t.Parallel()
	ca, _ := authority(t, newPlace(t), noon)
	config := serverConfig(t, ca, "localhost", "127.0.0.1", "::1", "Vault.localhost", "*.localhost")
	for asked, good := range map[string][]string{
		"":                     {"localhost", "127.0.0.1", "::1", "vault.localhost"},
		"localhost":            {"localhost", "127.0.0.1"},
		"LOCALHOST":            {"localhost"},
		"vault.localhost":      {"vault.localhost"},
		"other.localhost":      {"other.localhost"},
		"deep.other.localhost": {"deep.other.localhost"},
	} {
		leaf := leafFor(t, config, asked)
		for _, name := range good {
			if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: ca.Pool(), CurrentTime: noon}); err != nil {
				t.Errorf("asked for %q: %v", asked, err)
			}
		}
		for _, name := range []string{"example.com", "127.0.0.2", "x.y.localhost"} {
			if err := leaf.VerifyHostname(name); err == nil {
				t.Errorf("asked for %q: good for %s", asked, name)
			}
		}
	}
	for _, name := range []string{"example.com", "localhost.example.com", "notlocalhost", ".localhost", "-.localhost"} {
		if _, err := config.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); !errors.Is(err, keystore.ErrName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := serverConfig(t, ca).GetCertificate(&tls.ClientHelloInfo{ServerName: "x.localhost"}); !errors.Is(err, keystore.ErrName) {
		t.Errorf("a name that was not configured: %v", err)
	}
	for _, name := range []string{"", "example.com", "10.0.0.1", "0.0.0.0", "::", "localhost.", "*.example.com", "a b.localhost", "*.x.localhost", "ä.localhost"} {
		_, err := ca.TLSConfig("localhost", name)
		wantErr(t, err, keystore.ErrName, fmt.Sprintf("%q", name))
	}
}

// The authority is worth nothing outside of loopback, whatever it signs.
func TestAuthorityIsConstrained(t *testing.T) {
	t.Parallel()
	ca, _ := authority(t, newPlace(t), noon)
	cert := ca.Certificate()
	if !cert.IsCA || !cert.MaxPathLenZero || !cert.PermittedDNSDomainsCritical || cert.NotAfter.Sub(noon) != keystore.AuthorityLife {
		t.Errorf("%+v", cert)
	}
	for _, name := range []string{"example.com", "localhost.example.com", "notlocalhost", "10.0.0.1", "2001:db8::1", "128.0.0.1"} {
		leaf := signAny(t, ca, name)
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: ca.Pool(), CurrentTime: noon})
		if invalid := new(x509.CertificateInvalidError); !errors.As(err, invalid) || invalid.Reason != x509.CANotAuthorizedForThisName {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"localhost", "a.b.localhost", "127.9.9.9", "::1"} {
		if _, err := signAny(t, ca, name).Verify(x509.VerifyOptions{DNSName: name, Roots: ca.Pool(), CurrentTime: noon}); err != nil {
			t.Error(err)
		}
	}
}

// signAny makes the authority sign what it would not sign.
func signAny(t *testing.T, ca *keystore.CA, name string) *x509.Certificate {
	t.Helper()
	var names []string
	var ips []net.IP
	if ip := net.ParseIP(name); ip != nil {
		ips = []net.IP{ip}
	} else {
		names = []string{name}
	}
	cert, err := ca.Issue(names, ips)
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf
}

func TestCertificatesAreRenewed(t *testing.T) {
	t.Parallel()
	ca, c := authority(t, newPlace(t), noon)
	config := serverConfig(t, ca)
	first := leafFor(t, config, "localhost")
	if first.NotAfter.Sub(noon) != keystore.LeafLife || first.NotBefore.After(noon) {
		t.Errorf("from %v to %v", first.NotBefore, first.NotAfter)
	}
	c.Advance(keystore.LeafLife - keystore.LeafRenew - time.Second)
	if !leafFor(t, config, "").Equal(first) {
		t.Error("renewed too early")
	}
	c.Advance(time.Second)
	second := leafFor(t, config, "")
	if second.Equal(first) || second.NotAfter.Sub(c.Now()) != keystore.LeafLife || second.SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Error("not renewed")
	}
	// None outlives the authority.
	c.AdvanceTo(ca.Certificate().NotAfter.Add(-time.Hour))
	if last := leafFor(t, config, ""); last.NotAfter.After(ca.Certificate().NotAfter) {
		t.Errorf("ends at %v, after its authority", last.NotAfter)
	}
}

func TestAuthorityStaysUntilItEnds(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first, _ := authority(t, p, noon)
	public := filepath.Join(p.data, keystore.AuthorityCertificate)
	block, _ := pem.Decode(read(t, public))
	if block == nil || !bytes.Equal(block.Bytes, first.Certificate().Raw) {
		t.Error("another certificate was published")
	}
	if info, err := os.Lstat(public); err != nil || info.Mode().Perm()&0o600 != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
	wantNoSecret(t, read(t, filepath.Join(p.data, keystore.AuthorityFile)), [][]byte{first.KeyBytes()})
	if err := os.Remove(public); err != nil {
		t.Fatal(err)
	}
	second, _ := authority(t, p, noon.Add(keystore.AuthorityLife-keystore.AuthorityRenew))
	if !second.Certificate().Equal(first.Certificate()) || !bytes.Equal(read(t, public), first.PEM()) {
		t.Error("not the same after a start")
	}
	third, _ := authority(t, p, noon.Add(keystore.AuthorityLife-keystore.AuthorityRenew+time.Second))
	if third.Certificate().Equal(first.Certificate()) || !bytes.Equal(read(t, public), third.PEM()) {
		t.Error("not replaced before its end")
	}
	if bytes.Equal(third.Certificate().RawSubject, first.Certificate().RawSubject) {
		t.Error("two authorities of one name")
	}
	third2, _ := authority(t, p, noon.Add(keystore.AuthorityLife))
	if !third2.Certificate().Equal(third.Certificate()) {
		t.Error("replaced again")
	}
}

func TestAuthorityFileIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	authority(t, p, noon)
	path := filepath.Join(p.data, keystore.AuthorityFile)
	good := read(t, path)
	k := p.open(t)
	changed := bytes.Clone(good)
	changed[len(changed)/2] ^= 1
	for name, c := range map[string]struct {
		data []byte
		perm os.FileMode
	}{
		"readable": {good, 0o644}, "changed": {changed, 0o600}, "empty": {nil, 0o600}, "cut": {good[:100], 0o600},
		"of another folder":  {seal(t, keystore.NewMemory(), "keystore/ca", "{}"), 0o600},
		"sealed, no key":     {seal(t, k, "keystore/ca", `{"key":"","certificate":""}`), 0o600},
		"of another purpose": {seal(t, k, "x", "{}"), 0o600},
	} {
		write(t, path, c.data, c.perm)
		_, err := keystore.OpenCA(k)
		if err == nil {
			t.Fatalf("%s: opened", name)
		}
		wantErr(t, err, keystore.ErrAuthority, path)
	}
}

// A server and a client of net/http, over every name and both versions of TLS.
func TestServerOverTLS(t *testing.T) {
	t.Parallel()
	k := keystore.NewMemory()
	ca, err := keystore.OpenCA(k)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %v", r.TLS.ServerName, r.TLS.Version == tls.VersionTLS13)
	}))
	server.Config.ErrorLog = nil
	listener := tls.NewListener(server.Listener, serverConfig(t, ca, "localhost", "127.0.0.1", "*.localhost"))
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	port := server.Listener.Addr().(*net.TCPAddr).Port
	get := func(host string, config *tls.Config) (string, error) {
		var d net.Dialer
		client := &http.Client{Transport: &http.Transport{
			TLSClientConfig: config, DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
			},
		}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("https://%s:%d/", host, port), nil)
		if err != nil {
			return "", err
		}
		res, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		return string(b), err
	}
	var wg sync.WaitGroup
	for host, want := range map[string]string{
		"localhost": "localhost true", "a.localhost": "a.localhost true", "127.0.0.1": " true",
	} {
		wg.Go(func() {
			if got, err := get(host, &tls.Config{RootCAs: ca.Pool()}); err != nil || got != want {
				t.Errorf("%s: %q, %v", host, got, err)
			}
		})
	}
	wg.Wait()
	if got, err := get("localhost", &tls.Config{RootCAs: ca.Pool(), MaxVersion: tls.VersionTLS12}); err != nil || got != "localhost false" {
		t.Errorf("TLS 1.2: %q, %v", got, err)
	}
	if _, err := get("localhost", &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if _, err := get("localhost", &tls.Config{RootCAs: x509.NewCertPool()}); err == nil {
		t.Error("trusted without the authority")
	}
	if _, err := get("example.com", &tls.Config{RootCAs: ca.Pool()}); err == nil {
		t.Error("answered as example.com")
	}
}

// Clients choose the names that are asked for; what is kept of them is bounded.
func TestKeptCertificatesAreBounded(t *testing.T) {
	t.Parallel()
	ca, err := keystore.OpenCA(keystore.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	config := serverConfig(t, ca, "*.localhost")
	first := leafFor(t, config, "0.localhost")
	for i := range keystore.MaxLeaves + 1 {
		leafFor(t, config, fmt.Sprintf("%d.localhost", i))
	}
	if leafFor(t, config, "0.localhost").Equal(first) {
		t.Error("all are kept")
	}
}

func TestOpenSSLVerifies(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv("PERDURE_TEST_ALL") != "" {
			t.Fatal("openssl is missing: apt-get install openssl")
		}
		t.Skip("needs openssl")
	}
	p := newPlace(t)
	ca, _ := authority(t, p, time.Now())
	verify := func(leaf *x509.Certificate, args ...string) (string, error) {
		path := filepath.Join(t.TempDir(), "leaf.pem")
		write(t, path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), 0o600)
		args = append(append([]string{"verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", filepath.Join(p.data, keystore.AuthorityCertificate)}, args...), path)
		out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput()
		return string(out), err
	}
	config := serverConfig(t, ca, "localhost", "127.0.0.1", "::1", "*.localhost")
	for _, c := range []struct{ asked, flag, name string }{
		{"", "-verify_hostname", "localhost"}, {"", "-verify_ip", "127.0.0.1"}, {"", "-verify_ip", "::1"},
		{"vault.localhost", "-verify_hostname", "vault.localhost"},
	} {
		if out, err := verify(leafFor(t, config, c.asked), c.flag, c.name); err != nil {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
	if out, err := verify(signAny(t, ca, "example.com")); err == nil || !strings.Contains(out, "permitted subtree violation") {
		t.Errorf("example.com: %v\n%s", err, out)
	}
	if out, err := verify(leafFor(t, config, ""), "-verify_hostname", "example.com"); err == nil {
		t.Errorf("good for example.com: %s", out)
	}
}

func FuzzDecodeCA(f *testing.F) {
	f.Add([]byte(`{"key":"AAAA","certificate":"AAAA"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(_ *testing.T, data []byte) { _ = keystore.DecodeCA(data) })
}

func FuzzIsLocal(f *testing.F) {
	for _, s := range []string{"localhost", "a.localhost", "a..localhost", "-a.localhost", "xlocalhost", "*.localhost"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if keystore.IsLocal(name) && (!strings.HasSuffix("."+name, ".localhost") || strings.ContainsAny(name, "*/\x00 @:")) {
			t.Errorf("%q is taken", name)
		}
	})
}
