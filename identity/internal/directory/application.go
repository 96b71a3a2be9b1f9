package directory

import (
	"encoding/json"
	"time"

	"github.com/perdure/perdure/table"
)

// Application is a program that asks for tokens: a client of OAuth 2.0.
type Application struct {
	ClientID    string `json:"client_id"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	LogoURI     string `json:"logo_uri,omitempty"`
	// Type is "regular_web", "spa", "native" or "non_interactive".
	Type              string   `json:"app_type"`
	FirstParty        bool     `json:"is_first_party"` // users are not asked for consent
	Callbacks         []string `json:"callbacks,omitempty"`
	AllowedLogoutURLs []string `json:"allowed_logout_urls,omitempty"`
	WebOrigins        []string `json:"web_origins,omitempty"` // may call the provider from a browser (CORS)
	// GrantTypes are those of OAuth 2.0 that it may use, by their registered names.
	GrantTypes []string `json:"grant_types,omitempty"`
	// AuthMethod is how it authenticates at the token endpoint: "none",
	// "client_secret_post", "client_secret_basic" (both are good for either) or "private_key_jwt".
	AuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	// Secrets are SHA-256 digests of the secrets, which have 256 random bits.
	Secrets []AppSecret `json:"secrets,omitempty"`
	// Keys are the public keys of private_key_jwt, as JWK.
	Keys []json.RawMessage `json:"public_keys,omitempty"`
	// Federated are the issuers whose tokens stand for a secret of the application.
	Federated []TrustRule `json:"federated,omitempty"`
	// IDTokenLifetime is in seconds; default 36,000. IDTokenAlg is as API.SigningAlg.
	IDTokenLifetime int    `json:"id_token_lifetime,omitempty"`
	IDTokenAlg      string `json:"id_token_alg,omitempty"`
	// RefreshLifetime and RefreshIdle bound families of refresh tokens, in seconds; defaults
	// 2,592,000 and 1,296,000. RefreshLeeway is how long the token before may be sent
	// again, in seconds; default 0.
	RefreshLifetime int `json:"refresh_lifetime,omitempty"`
	RefreshIdle     int `json:"refresh_idle,omitempty"`
	RefreshLeeway   int `json:"refresh_leeway,omitempty"`
	// Connections are the names of the connections it offers; empty means all that are enabled
	// for all.
	Connections []string       `json:"connections,omitempty"`
	Metadata    map[string]any `json:"client_metadata,omitempty"`
	System      bool           `json:"is_system,omitempty"` // made by Perdure itself
	CreatedAt   time.Time      `json:"created_at"`
	UpdatedAt   time.Time      `json:"updated_at"`
}

// AppSecret is a digest of a client secret.
type AppSecret struct {
	ID      string    `json:"id"`
	Digest  []byte    `json:"digest"` // SHA-256
	Hint    string    `json:"hint"`   // its last three characters
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
}

// TrustRule lets tokens of another issuer stand for a principal here (workload identity
// federation).
type TrustRule struct {
	Name     string `json:"name"`
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`
	Audience string `json:"audience"` // default "api://AzureADTokenExchange"
}

// Applications are the applications, by client id.
var Applications = table.Of[Application]("perdure.applications")

// ClientGrant lets an application have tokens for an API as itself, by client credentials.
type ClientGrant struct {
	ID        string    `json:"id"` // "cgr_…"
	ClientID  string    `json:"client_id"`
	Audience  string    `json:"audience"`
	Scope     []string  `json:"scope"`
	CreatedAt time.Time `json:"created_at"`
}

// ClientGrantsByClient and ClientGrantsByAudience find the grants of an application and for an API.
var (
	ClientGrantsByClient   = table.Index("client", func(g *ClientGrant) string { return g.ClientID })
	ClientGrantsByAudience = table.Index("audience", func(g *ClientGrant) string { return g.Audience })
)

// ClientGrants are the grants, by id; Names has which application has which audience.
var ClientGrants = table.Of("perdure.client-grants", ClientGrantsByClient, ClientGrantsByAudience)
