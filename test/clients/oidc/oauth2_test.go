package oidc_test

import (
	"net/url"
	"slices"
	"testing"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Code with PKCE, with and without a secret; the ID token, userinfo, and refresh.
func TestCode(t *testing.T) {
	t.Parallel()
	p, ctx := newProvider(t), t.Context()
	issuer, err := gooidc.NewProvider(ctx, p.issuer)
	must(t, err)
	for _, app := range []client{p.web, p.spa} {
		c := oauth2.Config{
			ClientID: app.id, ClientSecret: app.secret, Endpoint: issuer.Endpoint(), RedirectURL: callback,
			Scopes: []string{gooidc.ScopeOpenID, "profile", "email", gooidc.ScopeOfflineAccess, "read", "write"},
		}
		verifier := oauth2.GenerateVerifier()
		authorize := c.AuthCodeURL("the state", oauth2.S256ChallengeOption(verifier), gooidc.Nonce("the nonce"), oauth2.SetAuthURLParam("audience", apiName))
		b := p.browser(t)
		told := b.signIn(t, authorize)
		if told.Get("state") != "the state" || told.Get("iss") != p.issuer {
			t.Fatalf("the application is told %v", told)
		}
		token, err := c.Exchange(ctx, told.Get("code"), oauth2.VerifierOption(verifier))
		must(t, err)
		raw, _ := token.Extra("id_token").(string)
		id, err := issuer.Verifier(&gooidc.Config{ClientID: app.id}).Verify(ctx, raw)
		must(t, err)
		must(t, id.VerifyAccessToken(token.AccessToken))
		var claims struct {
			Email string   `json:"email"`
			Name  string   `json:"name"`
			AMR   []string `json:"amr"`
		}
		must(t, id.Claims(&claims))
		if id.Subject != p.user || id.Nonce != "the nonce" || claims.Email != address || claims.Name != "Ada" || !slices.Equal(claims.AMR, []string{"pwd"}) {
			t.Errorf("ID token %+v, %+v", id, claims)
		}
		if scope, _ := token.Extra("scope").(string); scope != "openid profile email offline_access read" {
			t.Errorf("scope %q: the user may read alone", scope)
		}
		// The access token is that of the API: another verifier of the same keys reads it.
		access, err := issuer.Verifier(&gooidc.Config{ClientID: apiName}).Verify(ctx, token.AccessToken)
		must(t, err)
		var rights struct {
			Permissions []string `json:"permissions"`
		}
		must(t, access.Claims(&rights))
		if !slices.Equal(rights.Permissions, []string{"read"}) || !slices.Contains(access.Audience, p.issuer+"userinfo") {
			t.Errorf("access token %+v, %+v", access, rights)
		}
		info, err := issuer.UserInfo(ctx, oauth2.StaticTokenSource(token))
		must(t, err)
		if info.Subject != p.user || info.Email != address || !info.EmailVerified {
			t.Errorf("userinfo %+v", info)
		}
		next, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		must(t, err)
		if next.AccessToken == "" || next.RefreshToken == token.RefreshToken {
			t.Errorf("refreshed %+v", next)
		}
		if _, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err == nil {
			t.Error("a refresh token was good twice")
		}
		// The session spares the form from now on, and the code is another one.
		verifier = oauth2.GenerateVerifier()
		b.ended = nil
		b.open(t, c.AuthCodeURL("again", oauth2.S256ChallengeOption(verifier)))
		if b.ended == nil || b.ended.Query().Get("code") == "" {
			t.Fatalf("with a session the browser is at %s", b.at)
		}
		if _, err := c.Exchange(ctx, b.ended.Query().Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier())); err == nil {
			t.Error("a code was good with another verifier")
		}
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	p, ctx := newProvider(t), t.Context()
	issuer, err := gooidc.NewProvider(ctx, p.issuer)
	must(t, err)
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		c := clientcredentials.Config{
			ClientID: p.web.id, ClientSecret: p.web.secret, TokenURL: issuer.Endpoint().TokenURL, AuthStyle: style,
			Scopes: []string{"read"}, EndpointParams: url.Values{"audience": {apiName}},
		}
		token, err := c.Token(ctx)
		must(t, err)
		access, err := issuer.Verifier(&gooidc.Config{ClientID: apiName}).Verify(ctx, token.AccessToken)
		must(t, err)
		if access.Subject != p.web.id+"@clients" {
			t.Errorf("subject %q", access.Subject)
		}
		c.ClientSecret = "wrong"
		if _, err := c.Token(ctx); err == nil {
			t.Error("a wrong secret was good")
		}
	}
}

// A device, whose user lets it in on the provider's page.
func TestDevice(t *testing.T) {
	t.Parallel()
	p, ctx := newProvider(t), t.Context()
	issuer, err := gooidc.NewProvider(ctx, p.issuer)
	must(t, err)
	c := oauth2.Config{ClientID: p.web.id, ClientSecret: p.web.secret, Endpoint: issuer.Endpoint(), Scopes: []string{"openid", "offline_access", "read"}}
	for _, decision := range []string{"allow", "deny"} {
		device, err := c.DeviceAuth(ctx, oauth2.SetAuthURLParam("audience", apiName))
		must(t, err)
		b := p.browser(t)
		b.open(t, device.VerificationURIComplete)
		b.submit(t, "login", address, "password", password)
		b.submit(t, "decision", decision)
		device.Interval = 1
		token, err := c.DeviceAccessToken(ctx, device)
		if decision == "deny" {
			if err == nil {
				t.Error("a device that was refused got a token")
			}
			continue
		}
		must(t, err)
		if token.RefreshToken == "" {
			t.Errorf("token %+v", token)
		}
		next, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
		must(t, err)
		if next.AccessToken == "" {
			t.Errorf("refreshed %+v", next)
		}
	}
}
