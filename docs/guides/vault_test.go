package guides_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/vault"
)

// What follows is in the guide, word for word.

func weatherVault(config perdure.Config, listen string) *perdure.App {
	config.Identity = &identity.Config{Roles: []identity.Role{{Name: "operator"}}}
	config.Vault = &vault.Config{
		Listen: listen, // "localhost:8200"
		Grants: []vault.Grant{
			{Member: "self", Role: "secrets-user", Name: "weather-*"},
			{Member: "role:operator", Role: "secrets-officer", Name: "weather-*"},
		},
	}
	app := perdure.New(config)
	app.Add(perdure.HTTP("GET /stations", stations, perdure.Require(auth.Anonymous())), perdure.OnExpiring(noteExpiring))
	return app
}

var stationsKey = vault.Secret("weather-stations-key")

type stationsIn struct {
	Key string `bind:"vault:weather-stations-key"`
}

type stationsOut struct {
	Body string `body:"text/plain"`
}

func stations(ctx context.Context, in *stationsIn) (*stationsOut, error) {
	same, err := stationsKey.Get(ctx) // where the name is known at run time alone
	if err != nil {
		return nil, err
	}
	return &stationsOut{fmt.Sprint(in.Key == same)}, nil
}

// supplier is a client of somebody who knows us by a key.
type supplier struct{ url, key string }

func followSupplier(ctx context.Context, app *perdure.App, url string) (*vault.Followed[*supplier], error) {
	return vault.Follow(ctx, app.Vault(), vault.Secret("weather-supplier-key"), vault.Following[*supplier]{
		Make:  func(_ context.Context, key string) (*supplier, error) { return &supplier{url, key}, nil },
		Probe: func(ctx context.Context, s *supplier) error { return s.call(ctx) },
	})
}

func serveTLS(ctx context.Context, app *perdure.App, h http.Handler) (server *http.Server, stop func(), err error) {
	get, stop, err := app.Vault().GetCertificate(ctx, vault.Secret("weather-web"))
	if err != nil {
		return nil, nil, err
	}
	return &http.Server{Handler: h, TLSConfig: &tls.Config{GetCertificate: get}}, stop, nil
}

type expiringIn struct {
	Event vault.Expiring `body:""`
}

type expiringOut struct {
	Row *vault.Expiring `bind:"ending/{item.kind}-{item.name}"`
}

func noteExpiring(_ context.Context, in *expiringIn) (*expiringOut, error) {
	return &expiringOut{&in.Event}, nil
}

func readByAzure(ctx context.Context, url string, client *http.Client) (string, error) {
	options := azcore.ClientOptions{Transport: client} // which trusts ca.pem of the data folder
	credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
	if err != nil {
		return "", err
	}
	secrets, err := azsecrets.NewClient(url, credential, &azsecrets.ClientOptions{ClientOptions: options})
	if err != nil {
		return "", err
	}
	got, err := secrets.GetSecret(ctx, "weather-stations-key", "", nil)
	if err != nil {
		return "", err
	}
	return *got.Value, nil
}

// What follows is not.

var ending = table.Of[vault.Expiring]("ending")

// call asks the supplier for something small.
func (s *supplier) call(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"?key="+s.key, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// guarded is the app of the guide, as its operator reaches it.
type guarded struct {
	t    *testing.T
	app  *perdure.App
	data string
	url  string // of the default vault
}

func openVault(t *testing.T, ctx context.Context) *guarded {
	t.Helper()
	g := &guarded{t: t, data: filepath.Join(t.TempDir(), "data")}
	g.app = weatherVault(perdure.Config{Data: g.data, Listen: "localhost:0", Logger: slog.New(slog.DiscardHandler)}, "localhost:0")
	g.app.Add(ending)
	if err := g.app.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.app.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var vaults struct {
		Items []struct{ Name, URL string }
	}
	g.operate(http.MethodGet, "vaults", nil, nil, &vaults)
	g.url = vaults.Items[0].URL
	return g
}

func (g *guarded) operate(method, path string, query url.Values, body, out any) {
	g.t.Helper()
	if err := control.NewClient(g.data).Do(g.t.Context(), method, "vault/"+path, query, body, out); err != nil {
		g.t.Fatalf("%s: %v", path, err)
	}
}

var version = url.Values{"api-version": {"7.6"}}

func (g *guarded) set(name string, body map[string]any) {
	g.t.Helper()
	g.operate(http.MethodPut, "items/default/secrets/"+name, version, body, nil)
}

// client trusts the local authority, and knows where localhost is.
func (g *guarded) client() *http.Client {
	pem, err := os.ReadFile(filepath.Join(g.data, "ca.pem"))
	if err != nil {
		g.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
				address = net.JoinHostPort("localhost", port)
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	g.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestVaultInFunctions(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Now().UTC().Truncate(time.Second))
	g := openVault(t, clock.With(t.Context(), c))
	g.set("weather-stations-key", map[string]any{"value": "one", "attributes": map[string]any{"exp": c.Now().Add(30*24*time.Hour + 10*time.Minute).Unix()}})
	ask(t, g.app, http.MethodGet, "http://"+g.app.Addr().String()+"/stations", "", http.StatusOK, "true")
	for range 300 {
		c.Advance(2 * time.Minute)
		<-time.After(20 * time.Millisecond) // the vault looks each minute of that clock
		var found *vault.Expiring
		err := g.app.Unit(t.Context(), func(ctx context.Context) (err error) {
			found, err = ending.Get(ctx, "secrets-weather-stations-key")
			return err
		})
		if err == nil && found.Days == 30 && found.Reason == vault.ReasonEnds {
			return
		}
		if err != nil && !errors.Is(err, table.ErrNotFound) {
			t.Fatal(err)
		}
	}
	t.Error("nobody was told that the key ends")
}

func TestFollowedKeyIsProbed(t *testing.T) {
	t.Parallel()
	g := openVault(t, t.Context())
	var known atomic.Value
	known.Store("one")
	tried := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("key") != known.Load() {
			w.WriteHeader(http.StatusForbidden)
		}
		tried <- r.FormValue("key")
	}))
	t.Cleanup(server.Close)
	g.set("weather-supplier-key", map[string]any{"value": "one"})
	f, err := followSupplier(t.Context(), g.app, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	<-tried
	for _, step := range []struct{ value, want string }{{"two", "one"}, {"three", "three"}} {
		if step.value == step.want {
			known.Store(step.value)
		}
		g.set("weather-supplier-key", map[string]any{"value": step.value})
		for key := ""; key != step.value; {
			select {
			case key = <-tried:
			case <-t.Context().Done():
				t.Fatal(t.Context().Err())
			}
		}
		now := func() (key string) {
			_ = f.Use(func(s *supplier) error { key = s.key; return nil })
			return key
		}
		for now() != step.want && t.Context().Err() == nil { // the probe has answered, and the value takes its place
			runtime.Gosched()
		}
	}
}

func TestCertificateOfVaultServes(t *testing.T) {
	t.Parallel()
	g := openVault(t, t.Context())
	policy := map[string]any{
		"key_props": map[string]any{"kty": "EC", "crv": "P-256", "exportable": true}, "secret_props": map[string]any{"contentType": "application/x-pem-file"},
		"x509_props": map[string]any{"subject": "CN=localhost", "sans": map[string]any{"dns_names": []string{"localhost"}}, "validity_days": 30},
		"issuer":     map[string]any{"name": "Self"},
	}
	g.operate(http.MethodPost, "items/default/certificates/weather-web/create", version, map[string]any{"policy": policy}, nil)
	server, stop, err := serveTLS(t.Context(), g.app, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "sunny") }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	var made struct{ CER []byte }
	g.operate(http.MethodGet, "items/default/certificates/weather-web", version, nil, &made)
	cert, err := x509.ParseCertificate(made.CER)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	res, err := client.Get("https://localhost:" + port)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil || string(body) != "sunny" {
		t.Errorf("%s, %v", body, err)
	}
	client.CloseIdleConnections()
	if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// Not parallel: azidentity reads the environment of the process.
func TestAzureReadsVault(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("whose a connection is can be found out on Linux alone")
	}
	g := openVault(t, t.Context())
	g.set("weather-stations-key", map[string]any{"value": "one"})
	const header = "a secret of this test that is long enough"
	sum := sha256.Sum256([]byte(header))
	var begun struct{ Endpoint string }
	path := "identity/workloads/" + hex.EncodeToString(sum[:])
	if err := control.NewClient(g.data).Do(t.Context(), http.MethodPut, path, nil, map[string]any{"uid": os.Getuid()}, &begun); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IDENTITY_ENDPOINT", begun.Endpoint)
	t.Setenv("IDENTITY_HEADER", header)
	value, err := readByAzure(t.Context(), g.url, g.client())
	if err != nil || value != "one" {
		t.Errorf("%q, %v", value, err)
	}
}
