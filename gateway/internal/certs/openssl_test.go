package certs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/certs"
)

// openssl connects to an address with arguments, and returns what the program says; "" without the program, which
// other tests do not need.
func openssl(t testing.TB, address string, files map[string]string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		return ""
	}
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, append([]string{"s_client", "-connect", address}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput() // without input, it leaves once it has connected
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

// Another implementation of TLS sees the same.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	servers, clients := root(t, "servers"), root(t, "clients")
	c := &config{t: t}
	cert, key := servers.issue(t, rsaKey(), "a.test", "b.test")
	e := c.certificate(1, cert, key, "a.test", "b.test")
	e.CertAlt, e.KeyAlt = servers.issue(t, ecKey(t), "a.test", "b.test")
	c.CACertificates = append(c.CACertificates, clients.entity(firstCA))
	c.service("s")
	c.route("a", "s", "a.test")
	c.route("b", "s", "b.test")
	c.mtls("b", "", map[string]any{"ca_certificates": []any{firstCA}, "send_ca_dn": true})
	plan, _ := c.plan(nil)
	address := serve(t, certs.New(plan))
	files := map[string]string{"root.pem": certPEM(servers.cert)}
	for name, test := range map[string]struct {
		args      []string
		want, not []string
	}{
		"ECDSA":          {[]string{"-servername", "a.test", "-alpn", "h2,http/1.1"}, []string{"ALPN protocol: h2", "Verify return code: 0 (ok)", "id-ecPublicKey"}, []string{"Acceptable client certificate CA names"}},
		"RSA":            {[]string{"-servername", "a.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"}, []string{"Verify return code: 0 (ok)", "rsaEncryption"}, nil},
		"a certificate":  {[]string{"-servername", "b.test"}, []string{"Verify return code: 0 (ok)", "Acceptable client certificate CA names", "clients"}, nil},
		"no certificate": {[]string{"-servername", "c.test"}, []string{"unrecognized name"}, []string{"BEGIN CERTIFICATE"}},
		"TLS 1.1":        {[]string{"-servername", "a.test", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, []string{"protocol version"}, []string{"BEGIN CERTIFICATE"}},
	} {
		out := openssl(t, address, files, append(test.args, "-CAfile", "root.pem")...)
		for _, want := range test.want {
			if out != "" && !strings.Contains(out, want) {
				t.Errorf("%s: there is no %q in\n%s", name, want, out)
			}
		}
		for _, not := range test.not {
			if strings.Contains(out, not) {
				t.Errorf("%s: there is %q in\n%s", name, not, out)
			}
		}
	}
}
