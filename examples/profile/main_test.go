package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/auth/login"
)

// provider is the storage of an issuer with one application.
type provider struct {
	*storage.Storage
	app *storage.Client
}

func (p provider) GetClientByClientID(context.Context, string) (op.Client, error) {
	return client{p.app}, nil
}

func (p provider) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != "profile" || secret != "secret" {
		return errors.New("invalid secret")
	}
	return nil
}

type client struct{ *storage.Client }

func (client) LoginURL(id string) string           { return "/sign-in?id=" + id }
func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// A person signs in, and sees the claims of both tokens and the profile that the management API has.
func TestPages(t *testing.T) {
	t.Parallel()
	issuer := http.NewServeMux()
	issuerServer := httptest.NewServer(issuer)
	t.Cleanup(issuerServer.Close)
	var app http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	var err error
	app, err = newHandler(login.Config{Issuer: issuerServer.URL, ClientID: "profile", ClientSecret: "secret", BaseURL: server.URL, Audience: "profile"})
	if err != nil {
		t.Fatal(err)
	}

	store := storage.NewStorage(storage.NewUserStore(issuerServer.URL))
	opened, err := op.NewProvider(&op.Config{CodeMethodS256: true, AuthMethodPost: true}, provider{
		store, storage.WebClient("profile", "secret", server.URL+"/login/callback"),
	}, op.StaticIssuer(issuerServer.URL), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	issuer.Handle("/", opened)
	issuer.HandleFunc("GET /sign-in", func(w http.ResponseWriter, r *http.Request) {
		if err := store.CheckUsernamePassword("test-user2", "verysecure", r.FormValue("id")); err != nil {
			t.Error(err)
		}
		http.Redirect(w, r, op.AuthCallbackURL(opened)(op.ContextWithIssuer(r.Context(), issuerServer.URL), r.FormValue("id")), http.StatusFound)
	})
	issuer.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != "client_credentials" {
			opened.ServeHTTP(w, r)
			return
		}
		id, secret, _ := r.BasicAuth()
		if id != "profile" || secret != "secret" || r.FormValue("audience") != issuerServer.URL+"/api/v2/" {
			t.Errorf("client credentials: %q %v", id, r.Form)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"machine","token_type":"Bearer","expires_in":60}`)
	})
	issuer.HandleFunc("GET /api/v2/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer machine" || r.PathValue("id") != "id2" {
			t.Errorf("management API: %v %s", r.Header, r.URL)
		}
		_, _ = io.WriteString(w, `{"user_id":"id2","nickname":"<b>two</b>"}`)
	})

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]string{
		"/":        {"ID token", "Access token", "&#34;sub&#34;: &#34;id2&#34;", "nonce"},
		"/profile": {"At the issuer", `\u003cb\u003etwo`, "Signed in as Test User2"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		resp, err := (&http.Client{Jar: jar}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || resp.Request.URL.Path != path {
			t.Errorf("%s: %d %s, %v", path, resp.StatusCode, body, err)
		}
		for _, text := range want {
			if !strings.Contains(string(body), text) {
				t.Errorf("%s does not show %q: %s", path, text, body)
			}
		}
	}
}
