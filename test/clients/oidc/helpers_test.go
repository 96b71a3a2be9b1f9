package oidc_test

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/keystore"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

const (
	callback = "https://app.example/callback"
	bye      = "https://app.example/bye"
	apiName  = "https://orders.example/"
	address  = "ada@example.org"
	password = "correct horse battery"
)

// provider is served on loopback, with an API, a user who may read there, and an application of each kind.
type provider struct {
	issuer  string
	service *identity.Provider
	user    string // id
	web     client // has a secret
	spa     client // has none
}

// client is an application.
type client struct{ id, secret string }

func newProvider(t *testing.T) *provider {
	t.Helper()
	s := memory.New(nil)
	t.Cleanup(func() { _ = s.Close() })
	committer := store.NewCommitter(s, store.CommitterOptions{})
	t.Cleanup(committer.Close)
	env := &unit.Env{Snapshot: s.Snapshot, Now: clock.System().Now}
	server := httptest.NewUnstartedServer(nil)
	p := &provider{issuer: "http://" + server.Listener.Addr().String() + "/"}
	config := identity.Config{Issuer: p.issuer}.WithDefaults("Test")
	must(t, config.Validate())
	var err error
	p.service, err = identity.New(identity.Options{
		Config: config, Clock: clock.System(), Keys: keystore.NewMemory(), Log: slog.New(slog.DiscardHandler), Data: t.TempDir(),
		Unit: func(ctx context.Context, fn func(ctx context.Context) error) error {
			return unit.Run(ctx, env, committer, 100, fn)
		},
	})
	must(t, err)
	must(t, p.service.Start(t.Context()))
	t.Cleanup(func() { _ = p.service.Stop(context.Background()) })
	server.Config.Handler = p.service
	server.Start()
	t.Cleanup(server.Close)

	p.administer(t, "resource-servers", `{"identifier":"`+apiName+`","allow_offline_access":true,"enforce_policies":true,"token_dialect":"access_token_authz",
		"skip_consent_for_verifiable_first_party_clients":true,"scopes":[{"value":"read"},{"value":"write"}]}`)
	web := p.administer(t, "clients", `{"name":"Web","app_type":"regular_web","callbacks":["`+callback+`"],"allowed_logout_urls":["`+bye+`"],
		"grant_types":["authorization_code","refresh_token","client_credentials","urn:ietf:params:oauth:grant-type:device_code","urn:ietf:params:oauth:grant-type:token-exchange"]}`)
	p.web = client{web["client_id"].(string), web["client_secret"].(string)}
	spa := p.administer(t, "clients", `{"name":"Page","app_type":"spa","callbacks":["`+callback+`"],"token_endpoint_auth_method":"none"}`)
	p.spa = client{id: spa["client_id"].(string)}
	p.administer(t, "client-grants", `{"client_id":"`+p.web.id+`","audience":"`+apiName+`","scope":["read"]}`)
	user := p.administer(t, "users", `{"connection":"Username-Password-Authentication","email":"`+address+`","email_verified":true,"name":"Ada","password":"`+password+`"}`)
	p.user = user["user_id"].(string)
	p.administer(t, "users/"+url.PathEscape(p.user)+"/permissions", `{"permissions":[{"resource_server_identifier":"`+apiName+`","permission_name":"read"}]}`)
	return p
}

// administer makes something by the management API, as the operator of the machine does.
func (p *provider) administer(t *testing.T, path, body string) (object map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	p.service.Administration().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v2/"+path, strings.NewReader(body)))
	if w.Code >= 300 {
		t.Fatalf("POST %s: %d %s", path, w.Code, w.Body)
	}
	if strings.HasPrefix(strings.TrimSpace(w.Body.String()), "{") {
		must(t, json.Unmarshal(w.Body.Bytes(), &object))
	}
	return object
}

// browser is a person in front of a browser.
type browser struct {
	http.Client
	p     *provider
	at    *url.URL // where it is
	page  string
	ended *url.URL // where the provider has sent it to
}

func (p *provider) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	b := &browser{p: p}
	b.Jar = jar
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), p.issuer) {
			b.ended = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	return b
}

func (b *browser) open(t *testing.T, address string) {
	t.Helper()
	res, err := b.Get(address)
	must(t, err)
	b.read(t, res)
}

func (b *browser) read(t *testing.T, res *http.Response) {
	t.Helper()
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	b.at, b.page = res.Request.URL, string(text)
	if res.StatusCode >= 400 {
		t.Fatalf("%s: %d %.2000s", b.at, res.StatusCode, text)
	}
}

var (
	form   = regexp.MustCompile(`(?s)<form method="post" action="([^"]+)"[^>]*>(.*?)</form>`)
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
)

// submit fills in the first form of the page.
func (b *browser) submit(t *testing.T, fields ...string) {
	t.Helper()
	found := form.FindStringSubmatch(b.page)
	if found == nil {
		t.Fatalf("%s has no form: %.2000s", b.at, b.page)
	}
	values := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(found[2], -1) {
		values.Set(m[1], html.UnescapeString(m[2]))
	}
	for i := 0; i < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	to, err := b.at.Parse(html.UnescapeString(found[1]))
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to.String(), strings.NewReader(values.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", strings.TrimSuffix(b.p.issuer, "/"))
	res, err := b.Do(r)
	must(t, err)
	b.read(t, res)
}

// signIn opens an address of the authorization endpoint, signs in, and returns what the application is told.
func (b *browser) signIn(t *testing.T, authorize string) url.Values {
	t.Helper()
	b.ended = nil
	b.open(t, authorize)
	if b.ended == nil {
		b.submit(t, "login", address, "password", password)
	}
	if b.ended == nil || !strings.HasPrefix(b.ended.String(), callback) {
		t.Fatalf("the browser is at %s, not at the application: %.2000s", b.at, b.page)
	}
	return b.ended.Query()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
