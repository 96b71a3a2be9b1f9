package keyvault_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/test/program"
	"github.com/perdure/perdure/vault"
)

// shop is an app that has a provider and a vault, each with a port with TLS.
type shop struct {
	app    *perdure.App
	data   string
	port   string // of the vaults
	client *http.Client
	log    *logged
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func openShop(t *testing.T, grants ...vault.Grant) *shop {
	t.Helper()
	s := &shop{data: filepath.Join(t.TempDir(), "data"), log: &logged{}}
	s.app = perdure.New(perdure.Config{
		Data: s.data, Title: "Shop", Listen: "localhost:0", Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Identity: &identity.Config{Listen: "localhost:0", API: identity.API{Identifier: "https://shop.example.com"}},
		Vault:    &vault.Config{Listen: "localhost:0", Vaults: []vault.Settings{{Name: "shop", RecoverableDays: 7}}, Grants: grants},
	})
	must(t, s.app.Start(t.Context()))
	t.Cleanup(func() { must(t, s.app.Stop(context.Background())) })
	s.client = trusting(t, s.data)
	var vaults struct {
		Items []struct{ Name, URL string }
	}
	s.administer(t, "GET", "vault/vaults", nil, &vaults)
	for _, v := range vaults.Items {
		if v.Name == "shop" {
			_, s.port, _ = strings.Cut(strings.TrimPrefix(v.URL, "https://"), ":")
		}
	}
	if s.port == "" {
		t.Fatalf("no port of the vault: %+v", vaults)
	}
	return s
}

// url is that of the vault "shop".
func (s *shop) url() string { return "https://shop.vault.localhost:" + s.port }

// trusting is a client that trusts the authority of an app, and finds *.vault.localhost on this machine, whether the system's
// resolver does or not.
func trusting(t testing.TB, data string) *http.Client {
	client, err := trust(filepath.Join(data, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func trust(file string) (*http.Client, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + file)
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			if strings.HasSuffix(host, ".localhost") {
				address = net.JoinHostPort("localhost", port)
			}
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}}, nil
}

// clientOptions are those of the clients. The challenge is checked, as it is by default.
func clientOptions(client *http.Client) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: client, Retry: policy.RetryOptions{MaxRetries: -1}}
}

// administer calls the app as the operator of the machine does.
func (s *shop) administer(t *testing.T, method, path string, body, to any) {
	t.Helper()
	must(t, control.NewClient(s.data).Do(t.Context(), method, path, nil, body, to))
}

// grant lets somebody do something in the vault "shop".
func (s *shop) grant(t *testing.T, member, set, name string) (id string) {
	t.Helper()
	var out struct {
		Grant struct {
			ID string `json:"id"`
		} `json:"grant"`
	}
	s.administer(t, "POST", "vault/grants", map[string]string{"vault": "shop", "member": member, "set": set, "name": name}, &out)
	if out.Grant.ID == "" {
		t.Fatal("the grant has no id")
	}
	return out.Grant.ID
}

// built says that the command was built.
var built atomic.Bool

// command is the perdure command, built once.
var command = sync.OnceValues(func() (string, error) {
	built.Store(true)
	dir, err := os.MkdirTemp("", "perdure-keyvault-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "perdure")
	return path, program.Build(context.Background(), path, "cmd/perdure")
})

// exec runs the worker by the command, as identities of the app; without any as the app.
func (s *shop) exec(t *testing.T, identities ...string) (lines []said, problems string) {
	t.Helper()
	path, err := command()
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	args := []string{"--data", s.data, "identity", "exec"}
	for _, one := range identities {
		args = append(args, "--identity", one)
	}
	cmd := exec.CommandContext(t.Context(), path, append(args, "--", self)...)
	cmd.Env = append(os.Environ(), workerEnv+"="+s.url(), authorityEnv+"="+filepath.Join(s.data, "ca.pem"), "HOME="+t.TempDir())
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s%s", err, &out, &errOut)
	}
	for d := json.NewDecoder(&out); ; {
		var line said
		err := d.Decode(&line)
		if errors.Is(err, io.EOF) {
			return lines, errOut.String()
		}
		must(t, err)
		lines = append(lines, line)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode wants an error of Azure's.
func wantCode(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	var e *azcore.ResponseError
	if !errors.As(err, &e) || e.StatusCode != status || e.ErrorCode != code {
		t.Errorf("%s: %v, want %d %s", what, err, status, code)
	}
}
