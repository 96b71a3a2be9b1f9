package oidc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// tokens is the answer of the token endpoint (RFC 6749 section 5.1).
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	// IssuedTokenType is for token exchange (RFC 8693 section 2.2.1).
	IssuedTokenType string `json:"issued_token_type,omitempty"`
	// ExtExpiresIn is what Entra's clients expect.
	ExtExpiresIn int64 `json:"ext_expires_in,omitempty"`
}

// signIn is that a user has signed in to an application: what tokens are issued for.
type signIn struct {
	Grant     string // id that its tokens have in common
	Audience  string
	Scopes    []string // that were granted
	Nonce     string
	AuthTime  time.Time
	Methods   []string
	SessionID string
	// Refresh is the refresh token that goes with the tokens, if there is one already.
	Refresh string
	// Narrow are the scopes to which a refresh limits its access token; nil is all.
	Narrow []string
}

// userTokens issues the tokens of a user who has signed in.
func (p *Provider) userTokens(ctx context.Context, app *directory.Application, user *directory.User, in *signIn) (*tokens, error) {
	api, err := p.target(ctx, in.Audience)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, refuse(invalidTarget, "there is no API with that identifier")
	}
	if err != nil {
		return nil, err
	}
	// However the user has signed in, and also when that was before the connection was taken from the application.
	may, err := p.env.MayUse(ctx, app, user)
	if err != nil {
		return nil, err
	}
	if !may {
		return nil, refuse(invalidGrant, "the user may not sign in to the application")
	}
	scopes := knownScopes(app, api, in.Scopes)
	if in.Narrow != nil {
		scopes = keep(scopes, func(s string) bool { return slices.Contains(in.Narrow, s) })
	}
	a := &access{
		Subject: user.ID, ClientID: app.ClientID, API: api, Grant: in.Grant, AuthTime: in.AuthTime,
		Web: app.Type == "spa", Userinfo: api == nil || slices.Contains(scopes, scopeOpenID), ACR: acrOf(in.Methods),
	}
	if api != nil {
		permissions, roles, err := p.env.RightsAt(ctx, user.Rights, api.Identifier)
		if err != nil {
			return nil, err
		}
		scopes = a.limit(scopes, permissions, roles)
		if !app.FirstParty {
			a.consented(scopes)
		}
	}
	a.Scopes = scopes
	if slices.Contains(scopes, scopeProfile) {
		a.Name = cmp.Or(user.Name, user.Nickname, user.Username)
	}
	t, err := p.accessToken(ctx, a)
	if err != nil {
		return nil, err
	}
	if slices.Contains(scopes, scopeOpenID) {
		if t.IDToken, err = p.idToken(ctx, app, user, in, scopes, t.AccessToken); err != nil {
			return nil, err
		}
	}
	switch {
	case in.Refresh != "":
		t.RefreshToken = in.Refresh
	case slices.Contains(scopes, scopeOffline):
		if t.RefreshToken, err = p.beginFamily(ctx, app, user, in); err != nil {
			return nil, err
		}
	}
	return t, p.note(ctx, directory.AuditToken, user.ID, in.Grant, app.ClientID, in.Audience)
}

// access is what an access token says.
type access struct {
	Subject, ClientID string
	Name              string         // what to call the subject, if it may be told
	API               *directory.API // nil for the userinfo endpoint alone
	Scopes            []string
	// Permissions and Roles are those of the subject at the API.
	Permissions, Roles []string
	Userinfo           bool // it is good for the userinfo endpoint as well
	Web                bool // it goes to a browser
	Grant              string
	GrantType          string // "gty" of Auth0
	AuthTime           time.Time
	ACR                string
	Act                map[string]any // who acts for the subject (RFC 8693 section 4.1)
}

// limit takes the rights of a subject into the token, and leaves the scopes that it has the right to: where an API
// enforces policies, a scope is granted only to whoever has the permission.
func (a *access) limit(scopes, permissions, roles []string) []string {
	a.Roles = roles
	if !a.API.EnforcePolicies {
		return scopes
	}
	if a.API.TokenDialect == directory.DialectPermissions {
		a.Permissions = append([]string{}, permissions...)
	}
	return keep(scopes, func(s string) bool { return isProtocolScope(s) || slices.Contains(permissions, s) })
}

// consented leaves of the rights in the token those that the user has let the application have. Others would come along
// without a question, as would all that a role allows.
func (a *access) consented(scopes []string) {
	a.Roles = nil
	if a.Permissions != nil {
		a.Permissions = append([]string{}, keep(a.Permissions, func(s string) bool { return slices.Contains(scopes, s) })...)
	}
}

// The lifetimes of access tokens for which no API says one.
const (
	defaultLifetime    = 24 * time.Hour
	defaultWebLifetime = 2 * time.Hour
	userinfoLifetime   = 2 * time.Hour
	// maxLifetime bounds what is remembered of revoked tokens.
	maxLifetime = directory.MaxTokenLifetime
)

// lifetime is how long the token is good.
func (a *access) lifetime() time.Duration {
	if a.API == nil {
		return userinfoLifetime
	}
	life, web := defaultLifetime, defaultWebLifetime
	if a.API.TokenLifetime > 0 {
		life = time.Duration(a.API.TokenLifetime) * time.Second
	}
	if a.API.TokenLifetimeForWeb > 0 {
		web = time.Duration(a.API.TokenLifetimeForWeb) * time.Second
	}
	if a.Web {
		life = min(life, web)
	}
	return min(life, maxLifetime)
}

// accessToken issues an access token (RFC 9068).
func (p *Provider) accessToken(ctx context.Context, a *access) (*tokens, error) {
	now, life := p.env.Now(), a.lifetime()
	claims := map[string]any{
		"iss": p.env.Issuer, "sub": a.Subject, "client_id": a.ClientID, "azp": a.ClientID, "jti": tokenID(a.Grant, now),
		"iat": now.Unix(), "exp": now.Add(life).Unix(),
	}
	alg := ""
	switch {
	case a.API == nil:
		claims["aud"] = p.userinfo()
	case a.Userinfo:
		claims["aud"] = []string{a.API.Identifier, p.userinfo()}
	default:
		claims["aud"] = a.API.Identifier
	}
	if a.API != nil {
		alg = a.API.SigningAlg
	}
	if a.Name != "" {
		claims["name"] = a.Name
	}
	if len(a.Scopes) > 0 {
		claims["scope"] = strings.Join(a.Scopes, " ")
	}
	if a.Permissions != nil {
		claims["permissions"] = a.Permissions
	}
	if len(a.Roles) > 0 {
		claims["roles"] = a.Roles
	}
	if a.GrantType != "" {
		claims["gty"] = a.GrantType
	}
	if !a.AuthTime.IsZero() {
		claims["auth_time"] = a.AuthTime.Unix()
	}
	if a.ACR != "" {
		claims["acr"] = a.ACR
	}
	if a.Act != nil {
		claims["act"] = a.Act
	}
	token, err := p.sign(ctx, alg, "at+jwt", claims)
	if err != nil {
		return nil, err
	}
	return &tokens{
		AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(life / time.Second), Scope: strings.Join(a.Scopes, " "),
	}, nil
}
