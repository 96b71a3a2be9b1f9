package rest_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/vault/internal/certificates"
	"github.com/perdure/perdure/vault/internal/items"
	"github.com/perdure/perdure/vault/internal/keys"
	"github.com/perdure/perdure/vault/internal/rest"
	"github.com/perdure/perdure/vault/internal/secrets"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

const (
	goodToken = "eyJ.good.token"
	query     = "?api-version=7.4"
)

// site is a handler behind TLS, at the hosts *.vault.localhost.
type site struct {
	url     string // of the vault "one"
	host    string // of its resource
	client  *http.Client
	handler *rest.Handler
	log     *logged
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

// options fills in what is not about items.
func options(o rest.Options, log io.Writer) rest.Options {
	o.Authenticator = auth.AuthenticatorFunc(func(r *http.Request) (*auth.Principal, error) {
		switch token, err := auth.BearerToken(r.Header); {
		case err != nil:
			return nil, err
		case token == "":
			return nil, nil
		case token == "down":
			return nil, errors.New("the issuer is down")
		case token != goodToken:
			return nil, &auth.TokenError{Reason: "the token has expired"}
		}
		return &auth.Principal{Subject: "ann", Issuer: "https://id.example.com/"}, nil
	})
	o.Challenge = func(host string) (string, string) {
		_, port, _ := strings.Cut(host, ":")
		if !strings.Contains(host, ".vault.localhost") {
			return "", ""
		}
		return "https://login.localhost:" + port + "/tenant", "https://vault.localhost:" + port
	}
	o.VaultOf = func(host string) (string, bool) {
		name, _, ok := strings.Cut(strings.ToLower(host), ".vault.localhost")
		return name, ok && (name == "one" || name == "two")
	}
	o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return o
}

// serve puts a handler behind TLS.
func serve(t testing.TB, o rest.Options) *site {
	t.Helper()
	s := &site{log: &logged{}}
	s.handler = rest.New(options(o, s.log))
	server := httptest.NewUnstartedServer(s.handler)
	certificate, roots := certify(t, "*.vault.localhost")
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(s.log, nil), slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		// *.localhost need not resolve
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirected") }}
	s.url, s.host = "https://one.vault.localhost:"+port, "https://vault.localhost:"+port
	return s
}

// certify makes a certificate for a name, and who vouches for it.
func certify(t testing.TB, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// credential is Entra's place: it gives the token that the site takes, and notes what for.
type credential struct {
	mu    sync.Mutex
	asked []policy.TokenRequestOptions
}

// GetToken implements azcore.TokenCredential.
func (c *credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, o)
	return azcore.AccessToken{Token: goodToken, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// clientOptions lets a client of Azure reach the site. It is not told to trust challenges blindly.
func (s *site) clientOptions(used *surface) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: s.client, Retry: policy.RetryOptions{MaxRetries: -1}, PerCallPolicies: []policy.Policy{used}}
}

// wantCode wants an error of Azure's.
func wantCode(t *testing.T, err error, status int, code string) *azcore.ResponseError {
	t.Helper()
	var e *azcore.ResponseError
	if !errors.As(err, &e) {
		t.Errorf("error %v, want %d %s", err, status, code)
		return nil
	}
	if e.StatusCode != status || e.ErrorCode != code {
		t.Errorf("error %d %s, want %d %s: %v", e.StatusCode, e.ErrorCode, status, code, err)
	}
	return e
}

// answered is what the handler says.
type answered struct {
	status int
	head   http.Header
	text   string
	json   map[string]any
}

// at returns a member of the answer by its path.
func (a *answered) at(path ...string) any {
	var v any = a.json
	for _, one := range path {
		object, _ := v.(map[string]any)
		v = object[one]
	}
	return v
}

// send sends a request to the vault "one".
func send(h http.Handler, method, path, body string, change ...func(*http.Request)) *answered {
	r := httptest.NewRequest(method, "https://one.vault.localhost:8443/", strings.NewReader(body))
	r.RequestURI = ""
	raw, q, _ := strings.Cut(path, "?")
	plain, err := unescape(raw)
	if err != nil {
		plain = raw
	}
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = plain, raw, q
	r.Header.Set("Authorization", "Bearer "+goodToken)
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := &answered{status: w.Code, head: w.Header(), text: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.json) // a list of revoked certificates is none
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// surface notes which operations of a client were used.
type surface struct {
	mu   sync.Mutex
	used map[string]bool
}

// Do implements policy.Policy.
func (s *surface) Do(r *policy.Request) (*http.Response, error) {
	if name, ok := r.Raw().Context().Value(runtime.CtxAPINameKey{}).(string); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.used == nil {
			s.used = map[string]bool{}
		}
		s.used[strings.TrimPrefix(name, "Client.")] = true
	}
	return r.Next()
}

// whole wants every method of a client to have been used.
func (s *surface) whole(t *testing.T, client any) {
	t.Helper()
	of := reflect.TypeOf(client)
	for i := range of.NumMethod() {
		if name := of.Method(i).Name; !s.used[name] {
			t.Errorf("%s was not used", name)
		}
	}
}

// all reads all pages of a list, and wants there to be some.
func all[P, T any](t *testing.T, pages int, pager *runtime.Pager[P], of func(P) []T) (items []T) {
	t.Helper()
	n := 0
	for ; pager.More(); n++ {
		p, err := pager.NextPage(t.Context())
		must(t, err)
		items = append(items, of(p)...)
	}
	if n != pages {
		t.Errorf("%d pages, want %d", n, pages)
	}
	return items
}

// vaulted is a site over real services.
type vaulted struct {
	*site
	world *vaulttest.World
	certs *certificates.Service
}

// openVault serves the vaults "one" and "two".
func openVault(t testing.TB) *vaulted {
	t.Helper()
	v := &vaulted{world: vaulttest.New(t)}
	store := items.New(v.world.Env, items.Options{})
	k := keys.New(v.world.Env, store, v.world.Guard, keys.Options{})
	v.certs = certificates.New(v.world.Env, store, k, v.world.Guard, certificates.Options{
		CRLURL: func(vault, authority string) string {
			return strings.Replace(v.url, "one.", vault+".", 1) + "/crl/" + authority + ".crl"
		},
	})

	v.site = serve(t, rest.Options{
		Secrets: secrets.New(v.world.Env, store, v.world.Guard), Keys: k, Certificates: v.certs,
	})
	return v
}

// unix wants a time of an answer to be one.
func unix(t *testing.T, what string, got *time.Time, want time.Time) {
	t.Helper()
	if got == nil || !got.Equal(want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}
