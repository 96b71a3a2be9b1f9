package oidc_test

import (
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

func TestZitadel(t *testing.T) {
	t.Parallel()
	p, ctx := newProvider(t), t.Context()
	scopes := []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeOfflineAccess, "read"}
	party, err := rp.NewRelyingPartyOIDC(ctx, p.issuer, p.web.id, p.web.secret, callback, scopes, rp.WithSigningAlgsFromDiscovery())
	must(t, err)
	verifier := oauth2.GenerateVerifier()
	audience := rp.AuthURLOpt(func() []oauth2.AuthCodeOption {
		return []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("audience", apiName)}
	})
	b := p.browser(t)
	told := b.signIn(t, rp.AuthURL("s", party, rp.WithCodeChallenge(oauth2.S256ChallengeFromVerifier(verifier)), audience))
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](ctx, told.Get("code"), party, rp.WithCodeVerifier(verifier))
	must(t, err)
	info, err := rp.Userinfo[*oidc.UserInfo](ctx, tokens.AccessToken, "Bearer", tokens.IDTokenClaims.Subject, party)
	must(t, err)
	if info.Subject != p.user || info.Name != "Ada" {
		t.Errorf("userinfo %+v", info)
	}
	next, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, tokens.RefreshToken, "", "")
	must(t, err)

	server, err := rs.NewResourceServerClientCredentials(ctx, p.issuer, p.web.id, p.web.secret)
	must(t, err)
	active, err := rs.Introspect[*oidc.IntrospectionResponse](ctx, server, next.AccessToken)
	must(t, err)
	if !active.Active || active.Subject != p.user {
		t.Errorf("introspection %+v", active)
	}

	exchanger, err := tokenexchange.NewTokenExchangerClientCredentials(ctx, p.issuer, p.web.id, p.web.secret)
	must(t, err)
	exchanged, err := tokenexchange.ExchangeToken(ctx, exchanger, next.AccessToken, oidc.AccessTokenType, "", "", nil, []string{apiName}, []string{"read"}, oidc.AccessTokenType)
	must(t, err)
	if exchanged.AccessToken == "" || exchanged.IssuedTokenType != oidc.AccessTokenType {
		t.Errorf("exchanged %+v", exchanged)
	}
	// The library's own provider panics at this one.
	if _, err := tokenexchange.ExchangeToken(ctx, exchanger, "opaque", oidc.AccessTokenType, "", "", nil, []string{apiName}, nil, oidc.AccessTokenType); err == nil {
		t.Error("an opaque token was exchanged")
	}

	must(t, rp.RevokeToken(ctx, party, next.RefreshToken, "refresh_token"))
	if _, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, next.RefreshToken, "", ""); err == nil {
		t.Error("a revoked refresh token was good")
	}
	to, err := rp.EndSession(ctx, party, tokens.IDToken, bye, "the state", "", nil)
	must(t, err)
	if to == nil || to.String() != bye+"?state=the+state" {
		t.Errorf("after the logout: %v", to)
	}

	// A client that has no secret sends its id with an empty one.
	party, err = rp.NewRelyingPartyOIDC(ctx, p.issuer, p.spa.id, "", callback, scopes)
	must(t, err)
	told = b.signIn(t, rp.AuthURL("s", party, rp.WithCodeChallenge(oauth2.S256ChallengeFromVerifier(verifier))))
	tokens, err = rp.CodeExchange[*oidc.IDTokenClaims](ctx, told.Get("code"), party, rp.WithCodeVerifier(verifier))
	must(t, err)
	next, err = rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, tokens.RefreshToken, "", "")
	must(t, err)
	must(t, rp.RevokeToken(ctx, party, next.RefreshToken, "refresh_token"))

	// A device, by a client that authenticates at once.
	device, err := rp.NewRelyingPartyOIDC(ctx, p.issuer, p.web.id, p.web.secret, callback, scopes)
	must(t, err)
	waiting, err := rp.DeviceAuthorization(ctx, scopes, device, nil)
	must(t, err)
	b.open(t, waiting.VerificationURIComplete)
	b.submit(t, "decision", "allow")
	got, err := rp.DeviceAccessToken(ctx, waiting.DeviceCode, 5*time.Second, device)
	must(t, err)
	if got.AccessToken == "" {
		t.Errorf("token of a device %+v", got)
	}
}
