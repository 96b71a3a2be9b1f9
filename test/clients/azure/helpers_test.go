package azure_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/test/program"
)

// api is the audience of the app's own API, scope what Entra's clients call it.
const (
	api   = "https://orders.example.com"
	scope = api + "/.default"
)

// shop is an app whose provider has a port with TLS.
type shop struct {
	app    *perdure.App
	data   string
	url    string // of the app
	issuer string
	client *http.Client // trusts the provider
	verify *auth.Verifier
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

type orders struct {
	Body string `body:"text/plain"`
}

var openID = regexp.MustCompile(`"openIdConnectUrl":\s*"([^"]+)\.well-known`)

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{data: filepath.Join(t.TempDir(), "data"), log: &logged{}}
	s.app = perdure.New(perdure.Config{
		Data: s.data, Title: "Orders", Listen: "localhost:0", Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Identity: &identity.Config{
			Listen: "localhost:0", API: identity.API{Identifier: api},
			Roles: []identity.Role{{Name: "clerk", Permissions: []string{"read:orders", "approve:orders"}}},
		},
	})
	s.app.Add(perdure.HTTP("GET /orders", func(_ context.Context, in *struct{ Who auth.Principal }) (*orders, error) {
		return &orders{in.Who.Subject}, nil
	}, perdure.Require(auth.Permission("read:orders"))))
	must(t, s.app.Start(t.Context()))
	t.Cleanup(func() { must(t, s.app.Stop(context.Background())) })
	s.url = "http://" + s.app.Addr().String()
	pem, err := os.ReadFile(filepath.Join(s.data, "ca.pem"))
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport}
	res, err := http.Get(s.url + "/openapi.json")
	must(t, err)
	document, err := io.ReadAll(res.Body)
	must(t, errors.Join(err, res.Body.Close()))
	found := openID.FindSubmatch(document)
	if found == nil {
		t.Fatalf("the OpenAPI document does not say who the issuer is: %s", document)
	}
	s.issuer = string(found[1])
	s.verify, err = auth.NewVerifier(auth.VerifierConfig{Issuer: s.issuer, Audiences: []string{api}, HTTPClient: s.client})
	must(t, err)
	return s
}

// administer calls the management API as the operator of the machine does.
func (s *shop) administer(t *testing.T, method, path string, body any) (object map[string]any) {
	t.Helper()
	must(t, control.NewClient(s.data).Do(t.Context(), method, "identity/api/v2/"+path, nil, body, &object))
	return object
}

// managed makes a managed identity.
func (s *shop) managed(t *testing.T, name string, more map[string]any) (objectID, clientID string) {
	t.Helper()
	body := map[string]any{"name": name, "resources": []string{api}}
	for k, v := range more {
		body[k] = v
	}
	m := s.administer(t, "POST", "managed-identities", body)
	return m["id"].(string), m["client_id"].(string)
}

// identity returns the ids of the managed identity of a name, as the command lists it.
func (s *shop) identity(t *testing.T, name string) (objectID, clientID string) {
	t.Helper()
	out, err := s.perdure(t, "identity", "list", "--json").Output()
	must(t, err)
	var page struct {
		Items []struct {
			ID     string `json:"id"`
			Client string `json:"client_id"`
			Name   string `json:"name"`
		} `json:"items"`
	}
	must(t, json.Unmarshal(out, &page))
	for _, one := range page.Items {
		if one.Name == name {
			return one.ID, one.Client
		}
	}
	t.Fatalf("there is no managed identity %q: %s", name, out)
	return "", ""
}

// grant gives permissions of the app's API to a managed identity.
func (s *shop) grant(t *testing.T, objectID string, permissions ...string) {
	t.Helper()
	var all []map[string]any
	for _, p := range permissions {
		all = append(all, map[string]any{"resource_server_identifier": api, "permission_name": p})
	}
	s.administer(t, "POST", "managed-identities/"+objectID+"/permissions", map[string]any{"permissions": all})
}

// good wants a token to be one of somebody with some permissions, and the app to take it.
func (s *shop) good(t *testing.T, token, subject string, permissions ...string) *auth.Principal {
	t.Helper()
	who, err := s.verify.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("token %.60q: %v", token, err)
	}
	if who.Subject != subject || !slices.Equal(who.Permissions, permissions) {
		t.Errorf("the token is of %s with %q, want %s with %q", who.Subject, who.Permissions, subject, permissions)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/orders", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	must(t, err)
	body, err := io.ReadAll(res.Body)
	must(t, errors.Join(err, res.Body.Close()))
	want := http.StatusForbidden
	if slices.Contains(permissions, "read:orders") {
		want = http.StatusOK
	}
	if res.StatusCode != want {
		t.Errorf("the app answers %d %s, want %d", res.StatusCode, body, want)
	}
	return who
}

// built says that the command was built.
var built atomic.Bool

// command is the perdure command, built once.
var command = sync.OnceValues(func() (string, error) {
	built.Store(true)
	dir, err := os.MkdirTemp("", "perdure-azure-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "perdure")
	return path, program.Build(context.Background(), path, "cmd/perdure")
})

// perdure prepares a call of the command.
func (s *shop) perdure(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := command()
	must(t, err)
	return exec.CommandContext(t.Context(), path, append([]string{"--data", s.data}, args...)...)
}

// exec runs the worker by the command, and returns what it says and the exit code.
func (s *shop) exec(t *testing.T, flags []string, orders ...string) (lines []said, code int, problems string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := s.perdure(t, append(append(append([]string{"identity", "exec"}, flags...), "--", self), orders...)...)
	cmd.Env = append(os.Environ(), workerEnv+"="+scope, "MSI_SECRET=old", "IDENTITY_HEADER=old", "HOME="+t.TempDir())
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	for d := json.NewDecoder(&out); ; {
		var line said
		err := d.Decode(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		lines = append(lines, line)
	}
	return lines, cmd.ProcessState.ExitCode(), errOut.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError wants an error that says something.
func wantError(t *testing.T, what string, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: a token was issued", what)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q in it", what, err, text)
		}
	}
}

// sprint writes a value in JSON.
func sprint(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
