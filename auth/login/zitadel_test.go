package login_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/perdure/perdure/auth/login"
)

// zitadelStorage is the example storage of github.com/zitadel/oidc with a client of the test's own.
type zitadelStorage struct {
	*storage.Storage
	client zitadelClient
}

func (s zitadelStorage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != clientID {
		return nil, errors.New("no such client")
	}
	return s.client, nil
}

func (s zitadelStorage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != clientID || secret != clientSecret {
		return errors.New("invalid secret")
	}
	return nil
}

type zitadelClient struct {
	*storage.Client
	home string
}

func (c zitadelClient) PostLogoutRedirectURIs() []string    { return []string{c.home} }
func (c zitadelClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (c zitadelClient) LoginURL(id string) string           { return "/sign-in?id=" + id }

// A provider that nobody here wrote: sign-in, renewal and sign-out, with opaque use of its access tokens and with
// verification of them.
func TestProviderOfOthers(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64 // of the application's clock
	var provider http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { provider.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	a := &app{log: &syncBuffer{}, store: login.NewMemoryStore()}
	var handler http.Handler
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(a.Close)
	a.login = newLogin(t, login.Config{
		Issuer: server.URL, ClientID: clientID, ClientSecret: clientSecret, BaseURL: a.URL, Audience: clientID,
		Now:    func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		Logger: slog.New(slog.NewTextHandler(a.log, nil)),
	})
	t.Cleanup(a.login.Close)
	handler = a.handler()

	store := storage.NewStorage(storage.NewUserStore(server.URL))
	key := [32]byte{}
	_, _ = rand.Read(key[:])
	opened, err := op.NewProvider(&op.Config{CryptoKey: key, CodeMethodS256: true, AuthMethodPost: true, GrantTypeRefreshToken: true}, zitadelStorage{
		store, zitadelClient{storage.WebClient(clientID, clientSecret, a.login.RedirectURI()), a.login.LogoutURI()},
	}, op.StaticIssuer(server.URL), op.WithAllowInsecure())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	var renewals atomic.Int64
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") == "refresh_token" {
			renewals.Add(1)
		}
		opened.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, r *http.Request) { // a page where somebody types a password
		id := r.FormValue("id")
		if err := store.CheckUsernamePassword("test-user2", "verysecure", id); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.Redirect(w, r, op.AuthCallbackURL(opened)(op.ContextWithIssuer(r.Context(), server.URL), id), http.StatusFound)
	})
	provider = mux

	b := newBrowser(t, a)
	if got := b.get("/me"); got.status != 200 || !strings.Contains(got.body, `"sub":"id2"`) {
		t.Fatalf("%d %s\nlog: %s", got.status, got.body, a.log)
	}
	// Its access tokens are good for five minutes.
	ahead.Store(int64(4*time.Minute + 30*time.Second))
	if !b.signedIn() {
		t.Fatalf("signed out\nlog: %s", a.log)
	}
	a.login.Close()
	b.get("/token").want(t, 200, "true <nil>")
	if n := renewals.Load(); n != 1 {
		t.Errorf("%d renewals, want 1", n)
	}
	if got := b.send("POST", "/logout", "", "Sec-Fetch-Site", "same-origin"); got.url.String() != a.URL+"/" || b.signedIn() {
		t.Errorf("sign-out: %d %s at %s", got.status, got.body, got.url)
	}
	if log := a.log.String(); strings.Contains(log, "level=WARN") {
		t.Errorf("log: %s", log)
	}
}
