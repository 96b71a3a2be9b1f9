package management

import (
	"encoding/json"

	"github.com/perdure/perdure/identity/internal/directory"
)

// applicationShape is an application in an answer. Only the answers to creation and rotation
// have the secret.
type applicationShape struct {
	ClientID          string         `json:"client_id"`
	ClientSecret      string         `json:"client_secret,omitempty"`
	Name              string         `json:"name"`
	Description       string         `json:"description,omitempty"`
	LogoURI           string         `json:"logo_uri,omitempty"`
	Type              string         `json:"app_type"`
	FirstParty        bool           `json:"is_first_party"`
	OIDCConformant    bool           `json:"oidc_conformant"`
	Global            bool           `json:"global"`
	Callbacks         []string       `json:"callbacks"`
	AllowedLogoutURLs []string       `json:"allowed_logout_urls"`
	WebOrigins        []string       `json:"web_origins"`
	GrantTypes        []string       `json:"grant_types"`
	AuthMethod        *string        `json:"token_endpoint_auth_method"` // null when keys are used
	AuthMethods       *authMethods   `json:"client_authentication_methods,omitempty"`
	JWT               jwtShape       `json:"jwt_configuration"`
	Refresh           refreshShape   `json:"refresh_token"`
	Metadata          map[string]any `json:"client_metadata,omitempty"`
}

type jwtShape struct {
	Lifetime      int    `json:"lifetime_in_seconds,omitempty"`
	Alg           string `json:"alg,omitempty"`
	SecretEncoded bool   `json:"secret_encoded"`
}

type refreshShape struct {
	RotationType     string `json:"rotation_type"`
	ExpirationType   string `json:"expiration_type"`
	Leeway           int    `json:"leeway"`
	TokenLifetime    int    `json:"token_lifetime,omitempty"`
	IdleLifetime     int    `json:"idle_token_lifetime,omitempty"`
	InfiniteLifetime bool   `json:"infinite_token_lifetime"`
	InfiniteIdle     bool   `json:"infinite_idle_token_lifetime"`
}

// authMethods are the ways of authentication that Auth0 has beside secrets.
type authMethods struct {
	PrivateKeyJWT *privateKeyJWT `json:"private_key_jwt,omitempty"`
}

type privateKeyJWT struct {
	Credentials []credentialRef `json:"credentials"`
}

type credentialRef struct {
	ID string `json:"id"`
}

// The values of members that have only one.
const (
	rotating = "rotating"
	expiring = "expiring"
)

func shapeApplication(a *directory.Application) any { return shapeApplicationWith(a, "") }

func shapeApplicationWith(a *directory.Application, secret string) any {
	s := &applicationShape{
		ClientID: a.ClientID, ClientSecret: secret, Name: a.Name, Description: a.Description, LogoURI: a.LogoURI,
		Type: a.Type, FirstParty: a.FirstParty, OIDCConformant: true, Callbacks: list(a.Callbacks),
		AllowedLogoutURLs: list(a.AllowedLogoutURLs), WebOrigins: list(a.WebOrigins), GrantTypes: list(a.GrantTypes),
		AuthMethod: &a.AuthMethod,
		JWT:        jwtShape{Lifetime: a.IDTokenLifetime, Alg: a.IDTokenAlg},
		Refresh: refreshShape{
			RotationType: rotating, ExpirationType: expiring, Leeway: a.RefreshLeeway,
			TokenLifetime: a.RefreshLifetime, IdleLifetime: a.RefreshIdle,
		},
		Metadata: a.Metadata,
	}
	if a.AuthMethod == directory.MethodPrivateKey {
		s.AuthMethod = nil
		s.AuthMethods = &authMethods{&privateKeyJWT{Credentials: []credentialRef{}}}
		for _, c := range credentials(a) {
			s.AuthMethods.PrivateKeyJWT.Credentials = append(s.AuthMethods.PrivateKeyJWT.Credentials, credentialRef{c.ID})
		}
	}
	return s
}

// applicationBody is what an application is created or changed by.
type applicationBody struct {
	Name              maybe[string]         `json:"name"`
	Description       maybe[string]         `json:"description"`
	LogoURI           maybe[string]         `json:"logo_uri"`
	Type              maybe[string]         `json:"app_type"`
	FirstParty        maybe[bool]           `json:"is_first_party"`
	Callbacks         maybe[[]string]       `json:"callbacks"`
	AllowedLogoutURLs maybe[[]string]       `json:"allowed_logout_urls"`
	WebOrigins        maybe[[]string]       `json:"web_origins"`
	GrantTypes        maybe[[]string]       `json:"grant_types"`
	AuthMethod        maybe[string]         `json:"token_endpoint_auth_method"`
	AuthMethods       maybe[authMethodBody] `json:"client_authentication_methods"`
	JWT               maybe[jwtBody]        `json:"jwt_configuration"`
	Refresh           maybe[refreshBody]    `json:"refresh_token"`
	Metadata          maybe[map[string]any] `json:"client_metadata"`
}

type jwtBody struct {
	Lifetime      maybe[int]               `json:"lifetime_in_seconds"`
	Alg           maybe[string]            `json:"alg"`
	SecretEncoded maybe[bool]              `json:"secret_encoded"`
	Scopes        maybe[map[string]string] `json:"scopes"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *jwtBody) UnmarshalJSON(text []byte) error {
	type plain jwtBody
	if err := decodeObject("jwt_configuration", text, (*plain)(b)); err != nil {
		return err
	}
	if b.SecretEncoded.value || len(b.Scopes.value) > 0 {
		return invalid("\"jwt_configuration\" may not have scopes or encoded secrets: they are not supported")
	}
	return nil
}

type refreshBody struct {
	RotationType     maybe[string] `json:"rotation_type"`
	ExpirationType   maybe[string] `json:"expiration_type"`
	Leeway           maybe[int]    `json:"leeway"`
	TokenLifetime    maybe[int]    `json:"token_lifetime"`
	IdleLifetime     maybe[int]    `json:"idle_token_lifetime"`
	InfiniteLifetime maybe[bool]   `json:"infinite_token_lifetime"`
	InfiniteIdle     maybe[bool]   `json:"infinite_idle_token_lifetime"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *refreshBody) UnmarshalJSON(text []byte) error {
	type plain refreshBody
	if err := decodeObject("refresh_token", text, (*plain)(b)); err != nil {
		return err
	}
	switch {
	case b.RotationType.given() && b.RotationType.value != rotating:
		return invalid("\"refresh_token.rotation_type\" must be %q: refresh tokens always rotate", rotating)
	case b.ExpirationType.given() && b.ExpirationType.value != expiring:
		return invalid("\"refresh_token.expiration_type\" must be %q: refresh tokens always expire", expiring)
	case b.InfiniteLifetime.value || b.InfiniteIdle.value:
		return invalid("\"refresh_token\" may not live for ever: infinite lifetimes are not supported")
	}
	return nil
}

// apply changes an application as a body says.
func (b *applicationBody) apply(a *directory.Application) error {
	b.Name.set(&a.Name)
	b.Description.set(&a.Description)
	b.LogoURI.set(&a.LogoURI)
	b.Type.set(&a.Type)
	b.FirstParty.set(&a.FirstParty)
	b.Callbacks.set(&a.Callbacks)
	b.AllowedLogoutURLs.set(&a.AllowedLogoutURLs)
	b.WebOrigins.set(&a.WebOrigins)
	b.GrantTypes.set(&a.GrantTypes)
	if b.AuthMethod.given() { // null comes with client_authentication_methods
		a.AuthMethod = b.AuthMethod.value
	}
	if j := b.JWT; j.present {
		j.value.Lifetime.set(&a.IDTokenLifetime)
		j.value.Alg.set(&a.IDTokenAlg)
		if j.null {
			a.IDTokenLifetime, a.IDTokenAlg = 0, ""
		}
	}
	if r := b.Refresh; r.present {
		r.value.Leeway.set(&a.RefreshLeeway)
		r.value.TokenLifetime.set(&a.RefreshLifetime)
		r.value.IdleLifetime.set(&a.RefreshIdle)
		if r.null {
			a.RefreshLeeway, a.RefreshLifetime, a.RefreshIdle = 0, 0, 0
		}
	}
	if b.Metadata.present {
		a.Metadata = merge(a.Metadata, b.Metadata.value, b.Metadata.null)
	}
	return b.authentication(a)
}

// merge is the rule for metadata: members at the top are merged, those that are null are removed.
func merge(have, change map[string]any, null bool) map[string]any {
	if null {
		return nil
	}
	merged := map[string]any{}
	for _, m := range []map[string]any{have, change} {
		for name, value := range m {
			if value == nil {
				delete(merged, name)
				continue
			}
			merged[name] = value
		}
	}
	return merged
}

// authMethodBody is the member client_authentication_methods.
type authMethodBody struct {
	PrivateKeyJWT maybe[privateKeyBody] `json:"private_key_jwt"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *authMethodBody) UnmarshalJSON(text []byte) error {
	type plain authMethodBody
	return decodeObject("client_authentication_methods", text, (*plain)(b))
}

type privateKeyBody struct {
	Credentials []json.RawMessage `json:"credentials"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *privateKeyBody) UnmarshalJSON(text []byte) error {
	type plain privateKeyBody
	return decodeObject("private_key_jwt", text, (*plain)(b))
}
