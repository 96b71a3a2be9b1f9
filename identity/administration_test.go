package identity_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/internal/keystore"
)

// started is a provider on a store in memory.
func started(t *testing.T) *identity.Provider {
	t.Helper()
	p, _ := startedOn(t)
	return p
}

func startedOn(t *testing.T) (*identity.Provider, *directorytest.World) {
	t.Helper()
	w := directorytest.New(t)
	p, err := identity.New(identity.Options{
		Config: identity.Config{Issuer: directorytest.Issuer}.WithDefaults("Test"), Unit: w.Unit, Clock: w.Clock,
		Keys: keystore.NewMemory(), Log: slog.New(slog.DiscardHandler), Data: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p, w
}

func send(h http.Handler, method, path, body string) (int, string) {
	r := httptest.NewRequest(method, directorytest.Issuer+strings.TrimPrefix(path, "/"), strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestAdministrationRefuses(t *testing.T) {
	t.Parallel()
	admin := started(t).Administration()
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		detail             string
	}{
		"no JSON":               {"POST", "/apply", "{", 400, "body"},
		"an unknown member":     {"POST", "/apply", `{"documents":""}`, 400, "documents"},
		"something behind":      {"POST", "/apply", `{} {}`, 400, "nothing behind"},
		"too much":              {"POST", "/apply", `{"document":"` + strings.Repeat("x", 3*directory.MaxDocument) + `"}`, 413, "too large"},
		"another method":        {"GET", "/apply", "", 405, ""},
		"no document":           {"POST", "/apply", `{"document":"apis: 7"}`, 400, "line 1"},
		"an unknown kind":       {"POST", "/apply", `{"prune":["all"]}`, 400, "there is no kind all"},
		"no name":               {"POST", "/accounts", `{}`, 400, "email"},
		"an unknown role":       {"POST", "/accounts", `{"email":"a@example.org","roles":["none"]}`, 404, "none"},
		"an unknown connection": {"POST", "/accounts", `{"email":"a@example.org","connection":"none"}`, 400, "none"},
		"a weak password":       {"POST", "/accounts", `{"email":"a@example.org","password":"hidden"}`, 400, "password"},
		"nothing there":         {"GET", "/", "", 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := send(admin, test.method, test.path, test.body)
			if status != test.status || !strings.Contains(body, test.detail) || strings.Contains(body, "hidden") {
				t.Errorf("%d %s, want %d with %q", status, body, test.status, test.detail)
			}
		})
	}
}

// What only the operator may do is not served to others, and nothing of a request that failed is left.
func TestAdministrationIsNotOnTheNetwork(t *testing.T) {
	t.Parallel()
	p := started(t)
	for _, path := range []string{"/apply", "/accounts", "/export", "/doctor"} {
		method := http.MethodPost
		if path == "/export" || path == "/doctor" {
			method = http.MethodGet
		}
		if status, _ := send(p, method, path, `{"email":"a@example.org"}`); status != http.StatusNotFound {
			t.Errorf("%s: %d on the network", path, status)
		}
		for _, pattern := range p.Patterns() {
			if strings.HasSuffix(pattern, path) {
				t.Errorf("the pattern %q", pattern)
			}
		}
	}
	admin := p.Administration()
	if status, body := send(admin, "POST", "/accounts", `{"email":"a@example.org","password":"short"}`); status != 400 {
		t.Errorf("%d %s", status, body)
	}
	if _, body := send(admin, "GET", "/api/v2/users?include_totals=true", ""); !strings.Contains(body, `"total":0`) {
		t.Errorf("users: %s", body)
	}
}

// An account with the address of the administrator to be may be somebody else's.
func TestFirstAdministratorIsNotWhoTookTheAddress(t *testing.T) {
	t.Parallel()
	admin := started(t).Administration()
	const asked = `{"email":"ada@example.org","roles":["administrator"],"existing":true`
	if status, body := send(admin, "POST", "/accounts", `{"email":"ada@example.org"}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := send(admin, "POST", "/accounts", asked+`}`); status != 400 || !strings.Contains(body, "nobody has proven") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := send(admin, "POST", "/accounts", asked+`,"password":"correct horse battery staple"}`); status != 400 || !strings.Contains(body, "there already") {
		t.Errorf("with a password: %d %s", status, body)
	}
	if status, body := send(admin, "POST", "/accounts", `{"email":"bea@example.org","roles":["administrator"],"existing":true,"email_verified":true}`); status != 200 || !strings.Contains(body, `"link"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := send(admin, "GET", "/doctor", ""); status != 200 || strings.Contains(body, "no-administrator") || !strings.Contains(body, "bea@example.org") {
		t.Errorf("%d %s", status, body)
	}
}
