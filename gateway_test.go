package perdure_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kong/go-kong/kong"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/gateway"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/vault"
)

const gatewayFile = `
_format_version: "3.0"
services:
- name: app
  url: http://app.perdure.internal
  routes:
  - name: all
    paths: [/]
    strip_path: false
  - name: known
    paths: [/who]
    strip_path: false
    plugins:
    - name: test-identity
  - name: renamed
    paths: [/old]
`

type whoOut struct {
	Body struct {
		Subject string `json:"subject"`
		Text    string `json:"text"`
	} `body:""`
}

// testIdentity is a plugin that knows everybody.
var testIdentity = &gateway.Plugin{Name: "test-identity", Priority: 1000, New: func(gateway.Setup) (any, error) { return knows{}, nil }}

type knows struct{}

func (knows) Access(x *gateway.Exchange) {
	x.Principal = &auth.Principal{Subject: "ada", Permissions: []string{"read:who", control.ManagePermission}}
}

// startGateway starts an app behind a gateway on the file.
func startGateway(t *testing.T, change func(*perdure.Config)) *perdure.App {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "kong.yml")
	if err := os.WriteFile(file, []byte(gatewayFile), 0o600); err != nil {
		t.Fatal(err)
	}
	config := perdure.Config{
		Data: filepath.Join(folder, "data"), Listen: "localhost:0", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Gateway: &gateway.Config{Files: []string{file}, Listen: "localhost:0", Plugins: []*gateway.Plugin{testIdentity}},
	}
	change(&config)
	app := perdure.New(config)
	app.Add(
		perdure.HTTP("GET /open", func(context.Context, *struct{}) (*whoOut, error) { return &whoOut{}, nil }),
		perdure.HTTP("GET /who", func(ctx context.Context, _ *struct{}) (*whoOut, error) {
			out := &whoOut{}
			if p := auth.From(ctx); p != nil {
				out.Body.Subject = p.Subject
			}
			return out, nil
		}),
		perdure.HTTP("POST /length", func(_ context.Context, in *struct {
			File perdure.Upload `body:""`
		}) (*whoOut, error) {
			text, err := io.ReadAll(in.File.Body)
			out := &whoOut{}
			out.Body.Text = string(text[:min(len(text), 8)])
			return out, err
		}),
		perdure.Handle("GET /events", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: one\n\n") // the test reads it
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})),
	)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return app
}

// fetch sends a request and returns the answer.
func fetch(t *testing.T, client *http.Client, method, url, body string, fields ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestAppBehindGateway(t *testing.T) {
	t.Parallel()
	app := startGateway(t, func(c *perdure.Config) {
		c.Auth = auth.AuthenticatorFunc(func(r *http.Request) (*auth.Principal, error) {
			if r.Header.Get("X-Test") == "" {
				return nil, nil
			}
			return &auth.Principal{Subject: "other"}, nil
		})
	})
	plain, _ := app.GatewayAddr()
	base := "http://" + plain
	for _, tt := range []struct {
		method, path, body, field string
		status                    int
		want                      string
	}{
		{"GET", "/open", "", "", 200, "subject"},
		{"GET", "/old/open", "", "", 200, "subject"},
		{"GET", "/who", "", "", 200, `"ada"`},
		{"GET", "/who", "", "X-Test: 1", 200, `"ada"`}, // the gateway has found out
		{"GET", "/open/../who", "", "", 200, `"ada"`},
		{"POST", "/length", strings.Repeat("abcdefgh", 100_000), "Content-Type: application/octet-stream", 200, `"abcdefgh"`},
		{"GET", "/none", "", "", 404, ""},
		{"GET", "/perdure/v1/info", "", "", 404, "nothing is here"},
		{"GET", "/who/../perdure/v1/info", "", "", 404, "nothing is here"},
		{"GET", "/metrics", "", "", 404, "nothing is here"},
		{"GET", "/open", "", "Host: evil.test", 421, ""},
	} {
		client := &http.Client{}
		var fields []string
		if host, ok := strings.CutPrefix(tt.field, "Host: "); ok {
			client.Transport = hostTransport(host)
		} else if tt.field != "" {
			fields = []string{tt.field}
		}
		status, body := fetch(t, client, tt.method, base+tt.path, tt.body, fields...)
		if status != tt.status || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s %s: %d %.200s", tt.method, tt.path, tt.field, status, body)
		}
	}
}

// A policy can be met by whom the gateway knows, without anything else that finds out who is asking.
func TestPolicyBehindGateway(t *testing.T) {
	t.Parallel()
	app := startGateway(t, func(c *perdure.Config) { c.Policy = auth.Permission("read:who") })
	plain, _ := app.GatewayAddr()
	for path, want := range map[string]int{"/who": 200, "/open": 401} {
		if status, body := fetch(t, http.DefaultClient, "GET", "http://"+plain+path, ""); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, body, want)
		}
	}
	if status, _ := fetch(t, http.DefaultClient, "GET", "http://"+app.Addr().String()+"/who", ""); status != 401 {
		t.Errorf("on the app's own port: %d", status)
	}
}

// hostTransport sends requests with another host.
type hostTransport string

func (h hostTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = string(h)
	return http.DefaultTransport.RoundTrip(r)
}

// An answer without an end gets through as it is written, and ends with the app.
func TestEventsThroughGateway(t *testing.T) {
	t.Parallel()
	app := startGateway(t, func(*perdure.Config) {})
	plain, _ := app.GatewayAddr()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+plain+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if line != "data: one\n" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

// The Admin API is read by Kong's client, with the token of the data folder.
func TestGatewayAdminAPI(t *testing.T) {
	t.Parallel()
	var data string
	app := startGateway(t, func(c *perdure.Config) { c.Gateway.Admin = "localhost:0"; data = c.Data })
	token, err := os.ReadFile(filepath.Join(data, control.TokenFile))
	if err != nil {
		t.Fatal(err)
	}
	own := "http://" + app.Addr().String() + "/perdure/v1/gateway"
	for _, base := range []string{"http://" + app.GatewayAdminAddr(), own + "/kong"} {
		if status, _ := fetch(t, http.DefaultClient, "GET", base+"/services", ""); status != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", base, status)
		}
		client, err := kong.NewClient(&base, &http.Client{Transport: bearer(strings.TrimSpace(string(token)))})
		if err != nil {
			t.Fatal(err)
		}
		routes, err := client.Routes.ListAll(t.Context())
		if err != nil || len(routes) != 3 {
			t.Errorf("%s: %d routes, %v", base, len(routes), err)
		}
	}
	authorization := "Authorization: Bearer " + strings.TrimSpace(string(token))
	if status, body := fetch(t, http.DefaultClient, "GET", own+"/routes", "", authorization); status != 200 || !strings.Contains(body, "test-identity") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := fetch(t, http.DefaultClient, "POST", own+"/explain", `{"method":"GET","url":"http://localhost/who"}`, authorization); status != 200 || !strings.Contains(body, `"known"`) {
		t.Errorf("%d %s", status, body)
	}
	for _, body := range []string{"", "{", `{"method":"GET","url":"nowhere"}`, `{"method":"G T","url":"http://localhost"}`, `{"url":"http://localhost","client":"x"}`} {
		if status, text := fetch(t, http.DefaultClient, "POST", own+"/explain", body, authorization); status != 400 {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, _ := fetch(t, http.DefaultClient, "POST", own+"/diff", `{"files":["/"]}`, authorization); status == 200 {
		t.Error("who is not the operator of the machine had files read")
	}
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// A certificate of the vault is shown, and the next version of it once there is one; without one, it is the local authority's.
func TestGatewayCertificates(t *testing.T) {
	t.Parallel()
	t.Run("local authority", func(t *testing.T) {
		t.Parallel()
		var data string
		app := startGateway(t, func(c *perdure.Config) {
			c.Gateway.ListenTLS, c.Gateway.Listen = "localhost:0", gateway.None
			data = c.Data
		})
		_, secure := app.GatewayAddr()
		pem, err := os.ReadFile(filepath.Join(data, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		status, body := fetch(t, &http.Client{Transport: transport}, "GET", "https://"+strings.Replace(secure, "127.0.0.1", "localhost", 1)+"/who", "")
		if status != 200 {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("vault", func(t *testing.T) {
		t.Parallel()
		config := perdure.Config{Gateway: &gateway.Config{Files: []string{"x"}, Certificate: "vault:front"}}
		if err := perdure.New(config).Start(t.Context()); !errors.Is(err, perdure.ErrConfig) || !strings.Contains(err.Error(), "Gateway.Certificate") {
			t.Errorf("without a vault: %v", err)
		}
		var data string
		app := startGateway(t, func(c *perdure.Config) {
			c.Gateway.ListenTLS, c.Gateway.Certificate = "localhost:0", "vault:front"
			c.Vault = &vault.Config{Grants: []vault.Grant{{Member: "subject:self", Role: "certificate-user", Name: "front"}}}
			data = c.Data
		})
		_, secure := app.GatewayAddr()
		shown := func() string {
			conn, err := tls.Dial("tcp", secure, &tls.Config{InsecureSkipVerify: true, ServerName: "front.test"}) //nolint:gosec // the test looks at it
			if err != nil {
				return err.Error()
			}
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		}
		if got := shown(); !strings.Contains(got, "unrecognized name") {
			t.Errorf("before there is a certificate: %s", got)
		}
		const policy = `{"policy":{"key_props":{"kty":"EC","crv":"P-256","exportable":true},"secret_props":{"contentType":"application/x-pem-file"},` +
			`"x509_props":{"subject":"CN=front.test","validity_days":90},"issuer":{"name":"Self"}}}`
		err := control.NewClient(data).Do(t.Context(), "POST", "vault/items/default/certificates/front/create", url.Values{"api-version": {"7.6"}}, json.RawMessage(policy), nil)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); shown() != "front.test"; {
			if time.Now().After(deadline) {
				t.Fatalf("the certificate is not shown: %s", shown())
			}
		}
	})
}
