package management

import (
	"encoding/json"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

// strategyDatabase is what Auth0's clients call a connection with passwords of the provider's own. They
// take the type of the options from it.
const strategyDatabase = "auth0"

// connectionShape is a connection in an answer. It never has the secret of an upstream issuer.
type connectionShape struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	DisplayName    string   `json:"display_name,omitempty"`
	Strategy       string   `json:"strategy"`
	ForAll         bool     `json:"is_domain_connection"`
	Disabled       bool     `json:"disabled,omitempty"`
	EnabledClients []string `json:"enabled_clients"`
	Realms         []string `json:"realms"`
	Options        any      `json:"options"`
}

type databaseShape struct {
	DisableSignup        bool       `json:"disable_signup"`
	RequiresUsername     bool       `json:"requires_username"`
	BruteForceProtection bool       `json:"brute_force_protection"`
	Complexity           complexity `json:"password_complexity_options"`
	RequireVerifiedEmail bool       `json:"require_verified_email,omitempty"`
}

type complexity struct {
	MinLength int `json:"min_length,omitempty"`
}

type upstreamShape struct {
	Type     string `json:"type"`
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	Link     string `json:"link,omitempty"`
	NoSignup bool   `json:"disable_signup,omitempty"`
}

func shapeConnection(c *directory.Connection) any {
	s := &connectionShape{
		ID: c.ID, Name: c.Name, DisplayName: c.DisplayName, Strategy: c.Strategy, ForAll: c.ForAll, Disabled: c.Disabled,
		EnabledClients: list(c.EnabledClients), Realms: []string{c.Name},
	}
	o := c.Options
	switch c.Strategy {
	case directory.StrategyDatabase:
		s.Strategy = strategyDatabase
		s.Options = &databaseShape{
			DisableSignup: o.DisableSignup, RequiresUsername: o.RequiresUsername, BruteForceProtection: true,
			Complexity: complexity{o.MinLength}, RequireVerifiedEmail: o.RequireVerifiedEmail,
		}
	default:
		s.Options = &upstreamShape{
			Type: "back_channel", Issuer: o.Issuer, ClientID: o.ClientID, Scope: strings.Join(o.Scopes, " "), Link: o.Link,
			NoSignup: o.DisableSignup,
		}
	}
	return s
}

// connectionBody is what a connection is created or changed by.
type connectionBody struct {
	Name           maybe[string]          `json:"name"`
	DisplayName    maybe[string]          `json:"display_name"`
	Strategy       maybe[string]          `json:"strategy"`
	ForAll         maybe[bool]            `json:"is_domain_connection"`
	Disabled       maybe[bool]            `json:"disabled"`
	EnabledClients maybe[[]string]        `json:"enabled_clients"`
	Options        maybe[json.RawMessage] `json:"options"`
}

// databaseBody are the options of a connection with passwords.
type databaseBody struct {
	DisableSignup        bool            `json:"disable_signup"`
	RequiresUsername     bool            `json:"requires_username"`
	BruteForceProtection maybe[bool]     `json:"brute_force_protection"`
	ImportMode           bool            `json:"import_mode"`
	Custom               bool            `json:"enabledDatabaseCustomization"`
	Complexity           *complexityBody `json:"password_complexity_options"`
	RequireVerifiedEmail bool            `json:"require_verified_email"`
}

type complexityBody struct {
	MinLength int `json:"min_length"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *complexityBody) UnmarshalJSON(text []byte) error {
	type plain complexityBody
	return decodeObject("password_complexity_options", text, (*plain)(b))
}

// options returns what the options become. They replace those that are there, as Auth0's do.
func (b *databaseBody) options() (o directory.ConnectionOptions, err error) {
	switch {
	case b.BruteForceProtection.present && !b.BruteForceProtection.value:
		return o, invalid("\"options.brute_force_protection\" must be true: it cannot be turned off")
	case b.ImportMode || b.Custom:
		return o, invalid("\"options.import_mode\" and \"options.enabledDatabaseCustomization\" must be false: other databases are not supported")
	}
	o.DisableSignup, o.RequiresUsername, o.RequireVerifiedEmail = b.DisableSignup, b.RequiresUsername, b.RequireVerifiedEmail
	if b.Complexity != nil {
		o.MinLength = b.Complexity.MinLength
	}
	return o, nil
}

// upstreamBody are the options of a connection to an issuer upstream. Its endpoints are found by
// discovery, so that nobody can point one of them elsewhere.
type upstreamBody struct {
	Type         maybe[string] `json:"type"`
	Issuer       maybe[string] `json:"issuer"`
	DiscoveryURL maybe[string] `json:"discovery_url"`
	ClientID     maybe[string] `json:"client_id"`
	ClientSecret maybe[string] `json:"client_secret"`
	Scope        maybe[string] `json:"scope"`
	Link         maybe[string] `json:"link"`
	NoSignup     maybe[bool]   `json:"disable_signup"`

	Authorization maybe[string] `json:"authorization_endpoint"`
	Token         maybe[string] `json:"token_endpoint"`
	UserInfo      maybe[string] `json:"userinfo_endpoint"`
	JWKS          maybe[string] `json:"jwks_uri"`
}

const discoveryPath = ".well-known/openid-configuration"

// options returns what the options become, without the secret.
func (b *upstreamBody) options() (o directory.ConnectionOptions, err error) {
	for name, m := range map[string]maybe[string]{
		"authorization_endpoint": b.Authorization, "token_endpoint": b.Token, "userinfo_endpoint": b.UserInfo, "jwks_uri": b.JWKS,
	} {
		if m.given() && m.value != "" {
			return o, invalid("\"options.%s\" is not supported: the issuer's endpoints are found by discovery", name)
		}
	}
	if b.Type.given() && b.Type.value != "" && b.Type.value != "back_channel" {
		return o, invalid("\"options.type\" must be \"back_channel\", not %q", b.Type.value)
	}
	o.Issuer = b.Issuer.value
	if d := b.DiscoveryURL.value; d != "" {
		base, is := strings.CutSuffix(d, discoveryPath)
		if !is || o.Issuer != "" && strings.TrimSuffix(o.Issuer, "/") != strings.TrimSuffix(base, "/") {
			return o, invalid("\"options.discovery_url\" must be that of the issuer: its URL and /%s", discoveryPath)
		}
		if o.Issuer == "" {
			o.Issuer = strings.TrimSuffix(base, "/")
		}
	}
	o.ClientID, o.Link, o.DisableSignup = b.ClientID.value, b.Link.value, b.NoSignup.value
	o.Scopes = strings.Fields(b.Scope.value)
	return o, nil
}
