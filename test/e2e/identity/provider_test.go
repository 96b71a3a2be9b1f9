// Package identity_test drives the provider's pages in a real browser: people sign up, sign in to an
// application on another origin, and look after their account.
package identity_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"html"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/keystore"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/mail"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("no end-to-end tests in a short run")
		return
	}
	os.Exit(m.Run())
}

// inbox keeps what was sent.
type inbox struct {
	mu   sync.Mutex
	last map[string]string // text by address
}

// Send implements mail.Sender.
func (i *inbox) Send(_ context.Context, m *mail.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last[m.To] = m.Text
	return nil
}

// link returns the link of the last mail to an address.
func (i *inbox) link(t *testing.T, to string) string {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, word := range strings.Fields(i.last[to]) {
		if strings.HasPrefix(word, "http://") {
			return word
		}
	}
	t.Fatalf("the last mail to %s has no link:\n%s", to, i.last[to])
	return ""
}

// site is a provider and an application that people sign in to, each on an origin of its own.
type site struct {
	issuer string // with a slash at its end
	app    string
	inbox  *inbox
}

// listen returns a server at localhost by name: passkeys need a name, not an address.
func listen(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}}
	s.Start()
	t.Cleanup(s.Close)
	return fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
}

func start(t *testing.T) *site {
	t.Helper()
	s := &site{inbox: &inbox{last: map[string]string{}}}
	var provider, app http.Handler
	s.issuer = listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { provider.ServeHTTP(w, r) })) + "/"
	s.app = listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.ServeHTTP(w, r) }))

	rows := memory.New(nil)
	committer := store.NewCommitter(rows, store.CommitterOptions{})
	t.Cleanup(func() {
		committer.Close()
		_ = rows.Close()
	})
	env := &unit.Env{Snapshot: rows.Snapshot, Now: time.Now}
	p, err := identity.New(identity.Options{
		Config: identity.Config{Issuer: s.issuer, SignUp: true, Mail: s.inbox}.WithDefaults("Shop"),
		Unit: func(ctx context.Context, fn func(context.Context) error) error {
			return unit.Run(ctx, env, committer, 100, fn)
		},
		Clock: clock.System(), Keys: keystore.NewMemory(), Log: slog.New(slog.DiscardHandler),
		Callback: s.app + "/callback", AfterLogout: s.app + "/",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	provider = p
	app = s.application(t, p)
	return s
}

// application is a web application with the libraries that people use: it sends its visitors to the
// provider and says who they are.
func (s *site) application(t *testing.T, p *identity.Provider) http.Handler {
	t.Helper()
	found, err := oidc.NewProvider(t.Context(), s.issuer)
	if err != nil {
		t.Fatal(err)
	}
	id, secret := p.LoginClient()
	client := &oauth2.Config{ClientID: id, ClientSecret: secret, Endpoint: found.Endpoint(), RedirectURL: s.app + "/callback", Scopes: []string{"openid", "email"}}
	verifier, state := oauth2.GenerateVerifier(), rand.Text()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /start", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, client.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)), http.StatusFound)
	})
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		var claims struct{ Email string }
		token, err := client.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(verifier))
		if err == nil {
			raw, _ := token.Extra("id_token").(string)
			var checked *oidc.IDToken
			if checked, err = found.Verifier(&oidc.Config{ClientID: id}).Verify(r.Context(), raw); err == nil {
				err = checked.Claims(&claims)
			}
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err != nil || r.FormValue("state") != state {
			fmt.Fprintf(w, "<!doctype html><p>failed: %s", html.EscapeString(fmt.Sprint(err)))
			return
		}
		fmt.Fprintf(w, "<!doctype html><p>Welcome to the shop, %s.", html.EscapeString(claims.Email))
	})
	return mux
}
