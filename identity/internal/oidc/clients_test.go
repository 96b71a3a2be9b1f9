package oidc_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auth0/go-auth0/authentication"
	"github.com/auth0/go-auth0/authentication/oauth"
	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/zitadel/oidc/v3/pkg/client/profile"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	zoidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/internal/store/memory"
)

// live is a provider that is served on loopback, for clients that nobody here wrote. Its login page lets everybody in
// as its user.
type live struct {
	*world
	issuer string
	server *httptest.Server
}

func newLive(t *testing.T, secure bool) *live {
	t.Helper()
	s := memory.New(nil)
	t.Cleanup(func() { _ = s.Close() })
	d := directorytest.On(t, s)
	d.Clock.Advance(time.Since(directorytest.Epoch)) // clients look at the machine's clock
	l := &live{}
	l.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/u/login":
			l.page(t, w, r)
		default:
			l.provider.ServeHTTP(w, r)
		}
	}))
	if secure {
		l.server.StartTLS()
	} else {
		l.server.Start()
	}
	t.Cleanup(l.server.Close)
	d.Issuer = l.server.URL + "/"
	d.Do(t, d.EnsureDefaults)
	l.world, l.issuer = worldOn(t, d), d.Issuer
	return l
}

// page is the login page.
func (l *live) page(t *testing.T, w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("state")
	err := l.Unit(r.Context(), func(ctx context.Context) error {
		return directory.AuthRequests.Update(ctx, directory.Key(id), func(q *directory.AuthRequest) error {
			if !directory.CheckBrowser(r, l.issuer, q.BrowserDigest) {
				t.Error("the login page is opened in another browser")
			}
			q.UserID, q.AuthTime, q.Methods, q.Done = l.user.ID, l.Now(), []string{"pwd"}, true
			return nil
		})
	})
	if err != nil {
		t.Errorf("login page: %v", err)
	}
	http.Redirect(w, r, "/authorize/callback?id="+url.QueryEscape(id), http.StatusSeeOther)
}

// visit opens a URL of the provider in a new browser, and returns where it ends up at the application.
func (l *live) visit(t *testing.T, address string) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var ended *url.URL
	c := &http.Client{Transport: l.server.Client().Transport, Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), l.issuer) {
			ended = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := c.Get(address)
	a := read(t, res, err)
	if ended == nil {
		t.Fatalf("%s ends at the provider: %d %s", address, a.status, a.body)
	}
	return ended.Query()
}

// golang.org/x/oauth2 and coreos/go-oidc.
func TestGoOIDC(t *testing.T) {
	t.Parallel()
	l := newLive(t, false)
	ctx := t.Context()
	provider, err := gooidc.NewProvider(ctx, l.issuer)
	if err != nil {
		t.Fatal(err)
	}
	var extra struct {
		Iss bool `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&extra); err != nil || !extra.Iss {
		t.Errorf("discovery does not announce iss: %v", err)
	}
	// The public client, the one with a secret, and the latter with the style found out by trying.
	for _, c := range []oauth2.Config{
		{ClientID: l.spa.ClientID}, {ClientID: l.web.ClientID, ClientSecret: l.secret},
	} {
		c.Endpoint, c.RedirectURL, c.Scopes = provider.Endpoint(), callback, []string{"openid", "email", "offline_access", "read"}
		verifier := oauth2.GenerateVerifier()
		got := l.visit(t, c.AuthCodeURL("the state", oauth2.S256ChallengeOption(verifier), gooidc.Nonce("the nonce"), oauth2.SetAuthURLParam("audience", apiName)))
		if got.Get("state") != "the state" || got.Get("iss") != l.issuer {
			t.Fatalf("answer %v", got)
		}
		token, err := c.Exchange(ctx, got.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := token.Extra("id_token").(string)
		id, err := provider.Verifier(&gooidc.Config{ClientID: c.ClientID}).Verify(ctx, raw)
		if err != nil {
			t.Fatal(err)
		}
		if id.Nonce != "the nonce" || id.Subject != l.user.ID {
			t.Errorf("ID token %+v", id)
		}
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			t.Errorf("at_hash: %v", err)
		}
		info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil || info.Email != l.user.Email || !info.EmailVerified {
			t.Errorf("userinfo %+v, %v", info, err)
		}
		refreshed, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		if err != nil {
			t.Fatal(err)
		}
		if refreshed.RefreshToken == token.RefreshToken || refreshed.AccessToken == "" {
			t.Error("the refresh token was not rotated")
		}
	}
	// Client credentials.
	cc := clientcredentials.Config{
		ClientID: l.web.ClientID, ClientSecret: l.secret, TokenURL: provider.Endpoint().TokenURL, EndpointParams: url.Values{"audience": {apiName}},
	}
	token, err := cc.Token(ctx)
	if err != nil || token.Type() != "Bearer" {
		t.Fatal(token, err)
	}
	// A device, by a client that has a secret and sends none at first.
	c := oauth2.Config{ClientID: l.web.ClientID, ClientSecret: l.secret, Endpoint: provider.Endpoint(), Scopes: []string{"openid"}}
	device, err := c.DeviceAuth(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l.Do(t, func(ctx context.Context) error {
		return l.provider.DecideDevice(ctx, device.UserCode, &directory.Session{UserID: l.user.ID, AuthTime: l.Now(), Methods: []string{"pwd"}}, true)
	})
	device.Interval = 1
	if token, err = c.DeviceAccessToken(ctx, device); err != nil || token.AccessToken == "" {
		t.Fatal(token, err)
	}
}

// zitadel/oidc: relying party, resource server, token exchange and the grant of a signed assertion.
func TestZitadelClients(t *testing.T) {
	t.Parallel()
	l := newLive(t, false)
	ctx := t.Context()
	party, err := rp.NewRelyingPartyOIDC(ctx, l.issuer, l.web.ClientID, l.secret, callback, []string{"openid", "profile", "offline_access"}, rp.WithSigningAlgsFromDiscovery())
	if err != nil {
		t.Fatal(err)
	}
	verifier := oauth2.GenerateVerifier()
	got := l.visit(t, rp.AuthURL("s", party, rp.WithCodeChallenge(oauth2.S256ChallengeFromVerifier(verifier)), rp.AuthURLOpt(func() []oauth2.AuthCodeOption {
		return []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("audience", apiName)}
	})))
	tokens, err := rp.CodeExchange[*zoidc.IDTokenClaims](ctx, got.Get("code"), party, rp.WithCodeVerifier(verifier))
	if err != nil {
		t.Fatal(err)
	}
	info, err := rp.Userinfo[*zoidc.UserInfo](ctx, tokens.AccessToken, "Bearer", tokens.IDTokenClaims.Subject, party)
	if err != nil || info.Subject != l.user.ID {
		t.Errorf("userinfo %+v, %v", info, err)
	}
	refreshed, err := rp.RefreshTokens[*zoidc.IDTokenClaims](ctx, party, tokens.RefreshToken, "", "")
	if err != nil {
		t.Fatal(err)
	}
	server, err := rs.NewResourceServerClientCredentials(ctx, l.issuer, l.web.ClientID, l.secret)
	if err != nil {
		t.Fatal(err)
	}
	active, err := rs.Introspect[*zoidc.IntrospectionResponse](ctx, server, refreshed.AccessToken)
	if err != nil || !active.Active || active.Subject != l.user.ID {
		t.Errorf("introspection %+v, %v", active, err)
	}
	// Token exchange, with the empty actor that this client sends.
	exchanger, err := tokenexchange.NewTokenExchangerClientCredentials(ctx, l.issuer, l.web.ClientID, l.secret)
	if err != nil {
		t.Fatal(err)
	}
	exchanged, err := tokenexchange.ExchangeToken(ctx, exchanger, refreshed.AccessToken, zoidc.AccessTokenType, "", "", nil, []string{apiName}, []string{"read"}, zoidc.AccessTokenType)
	if err != nil || exchanged.AccessToken == "" || exchanged.IssuedTokenType != zoidc.AccessTokenType {
		t.Errorf("exchange %+v, %v", exchanged, err)
	}
	if _, err := tokenexchange.ExchangeToken(ctx, exchanger, "opaque", zoidc.AccessTokenType, "", "", nil, []string{apiName}, nil, ""); err == nil {
		t.Error("an opaque token was exchanged")
	}
	if err := rp.RevokeToken(ctx, party, refreshed.RefreshToken, "refresh_token"); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if _, err := rp.RefreshTokens[*zoidc.IDTokenClaims](ctx, party, refreshed.RefreshToken, "", ""); err == nil {
		t.Error("a revoked refresh token is good")
	}
	to, err := rp.EndSession(ctx, party, tokens.IDToken, "https://app.example/bye", "bye", "", nil)
	if err != nil || to == nil || to.String() != "https://app.example/bye?state=bye" {
		t.Errorf("end of the session: %v, %v", to, err)
	}

	// A public client sends its id with an empty secret.
	public, err := rp.NewRelyingPartyOIDC(ctx, l.issuer, l.spa.ClientID, "", callback, []string{"openid", "offline_access"})
	if err != nil {
		t.Fatal(err)
	}
	got = l.visit(t, rp.AuthURL("s", public, rp.WithCodeChallenge(oauth2.S256ChallengeFromVerifier(verifier))))
	tokens, err = rp.CodeExchange[*zoidc.IDTokenClaims](ctx, got.Get("code"), public, rp.WithCodeVerifier(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if tokens, err = rp.RefreshTokens[*zoidc.IDTokenClaims](ctx, public, tokens.RefreshToken, "", ""); err != nil {
		t.Fatal(err)
	}
	if err := rp.RevokeToken(ctx, public, tokens.RefreshToken, "refresh_token"); err != nil {
		t.Errorf("revoke: %v", err)
	}
	l.signedAssertion(t, party)
}

// signedAssertion lets the relying party's discovery find the token endpoint, and gets tokens by a key.
func (l *live) signedAssertion(t *testing.T, _ rp.RelyingParty) {
	t.Helper()
	_, public, private := newKey(t, "k1")
	app, _ := l.NewApplication(t, &directory.Application{
		Name: "keyed", Type: directory.TypeNonInteractive, AuthMethod: directory.MethodPrivateKey, Keys: []json.RawMessage{public},
		GrantTypes: []string{directory.GrantClient, directory.GrantAssertion},
	})
	l.Do(t, func(ctx context.Context) error {
		_, err := l.CreateClientGrant(ctx, directory.Command, &directory.ClientGrant{ClientID: app.ClientID, Audience: apiName, Scope: []string{"read"}})
		return err
	})
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	source, err := profile.NewJWTProfileTokenSource(t.Context(), l.issuer, app.ClientID, "k1", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), []string{apiName + "/.default"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.TokenCtx(t.Context())
	if err != nil || token.AccessToken == "" {
		t.Errorf("token by assertion: %+v, %v", token, err)
	}
}

// Auth0's Go SDK for authentication.
func TestAuth0Authentication(t *testing.T) {
	t.Parallel()
	l := newLive(t, true)
	ctx := t.Context()
	host := strings.TrimSuffix(strings.TrimPrefix(l.issuer, "https://"), "/")
	api, err := authentication.New(ctx, host, authentication.WithClientID(l.web.ClientID), authentication.WithClientSecret(l.secret),
		authentication.WithClient(l.server.Client()), authentication.WithIDTokenSigningAlg("RS256"))
	if err != nil {
		t.Fatal(err)
	}
	machine, err := api.OAuth.LoginWithClientCredentials(ctx, oauth.LoginWithClientCredentialsRequest{Audience: apiName}, oauth.IDTokenValidationOptions{})
	if err != nil || machine.AccessToken == "" {
		t.Fatal(machine, err)
	}
	got := l.visit(t, l.issuer+"authorize?"+l.request(l.web).Encode())
	tokens, err := api.OAuth.LoginWithAuthCodeWithPKCE(ctx, oauth.LoginWithAuthCodeWithPKCERequest{
		Code: got.Get("code"), CodeVerifier: verifier, RedirectURI: callback,
	}, oauth.IDTokenValidationOptions{Nonce: "the nonce"})
	if err != nil {
		t.Fatal(err)
	}
	info, err := api.UserInfo(ctx, tokens.AccessToken)
	if err != nil || info.Sub != l.user.ID || info.Email != l.user.Email {
		t.Errorf("userinfo %+v, %v", info, err)
	}
	refreshed, err := api.OAuth.RefreshToken(ctx, oauth.RefreshTokenRequest{RefreshToken: tokens.RefreshToken}, oauth.IDTokenValidationOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := api.OAuth.RevokeRefreshToken(ctx, oauth.RevokeRefreshTokenRequest{Token: refreshed.RefreshToken}); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if _, err := api.OAuth.RefreshToken(ctx, oauth.RefreshTokenRequest{RefreshToken: refreshed.RefreshToken}, oauth.IDTokenValidationOptions{}); err == nil {
		t.Error("a revoked refresh token is good")
	}
	password, err := api.OAuth.LoginWithPassword(ctx, oauth.LoginWithPasswordRequest{Username: l.user.Email, Password: "right", Scope: "openid", Audience: apiName}, oauth.IDTokenValidationOptions{})
	if err != nil || password.AccessToken == "" {
		t.Errorf("password: %+v, %v", password, err)
	}
	if _, err := api.OAuth.LoginWithPassword(ctx, oauth.LoginWithPasswordRequest{Username: l.user.Email, Password: "wrong", Realm: directory.DefaultConnection}, oauth.IDTokenValidationOptions{}); err == nil {
		t.Error("a wrong password is good")
	}
}
