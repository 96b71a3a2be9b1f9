package auth0_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/auth0/go-auth0/management"
	"golang.org/x/oauth2"

	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/keystore"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

// tenant is a provider behind TLS.
type tenant struct {
	domain   string // host and port
	provider *identity.Provider
	client   func() *http.Client // trusts it; the SDK changes the client it is given
}

func newTenant(t *testing.T) *tenant {
	t.Helper()
	s := memory.New(nil)
	t.Cleanup(func() { _ = s.Close() })
	committer := store.NewCommitter(s, store.CommitterOptions{})
	t.Cleanup(committer.Close)
	env := &unit.Env{Snapshot: s.Snapshot, Now: clock.System().Now}

	server := httptest.NewUnstartedServer(nil)
	domain := server.Listener.Addr().String()
	config := identity.Config{Issuer: "https://" + domain + "/", SignUp: true}.WithDefaults("Test")
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := identity.New(identity.Options{
		Config: config, Clock: clock.System(), Keys: keystore.NewMemory(), Log: slog.New(slog.DiscardHandler), Data: t.TempDir(),
		Unit: func(ctx context.Context, fn func(ctx context.Context) error) error {
			return unit.Run(ctx, env, committer, 100, fn)
		},
		Permissions: []string{"read:orders", "approve:orders"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	server.Config.Handler = p
	server.StartTLS()
	t.Cleanup(server.Close)
	return &tenant{domain: domain, provider: p, client: func() *http.Client {
		return &http.Client{Transport: server.Client().Transport}
	}}
}

// administer calls the management API as the operator of the machine does.
func (n *tenant) administer(t *testing.T, method, path, body string) (object map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, "/api/v2/"+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	n.provider.Administration().ServeHTTP(w, r)
	if w.Code >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &object); err != nil {
			t.Fatal(err)
		}
	}
	return object
}

// machine makes an application that may use the management API with some permissions.
func (n *tenant) machine(t *testing.T, permissions ...string) (id, secret string) {
	t.Helper()
	app := n.administer(t, "POST", "clients", `{"name":"Machine","app_type":"non_interactive","grant_types":["client_credentials"]}`)
	id, secret = app["client_id"].(string), app["client_secret"].(string)
	scope, err := json.Marshal(permissions)
	must(t, err)
	n.administer(t, "POST", "client-grants", `{"client_id":"`+id+`","audience":"https://`+n.domain+`/api/v2/","scope":`+string(scope)+`}`)
	return id, secret
}

// manage is the SDK's management client of a machine with some permissions.
func (n *tenant) manage(t *testing.T, permissions ...string) *management.Management {
	t.Helper()
	id, secret := n.machine(t, permissions...)
	// The call for the token does not take WithClient: its client comes from the context.
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, n.client())
	api, err := management.New(n.domain, management.WithClient(n.client()), management.WithClientCredentials(ctx, id, secret))
	must(t, err)
	return api
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantStatus wants an error of the management API with a status.
func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	var e management.Error
	if !errors.As(err, &e) || e.Status() != status {
		t.Errorf("got %v, want the status %d", err, status)
	}
}
