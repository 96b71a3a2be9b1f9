package directory

import (
	"time"

	"github.com/perdure/perdure/table"
)

// API is what access tokens are for: their audience, with the permissions it knows. Auth0
// calls it a resource server.
type API struct {
	ID         string `json:"id"` // "api_…"
	Name       string `json:"name"`
	Identifier string `json:"identifier"` // the audience; it never changes
	// Permissions are those it knows. Auth0 calls them its scopes.
	Permissions []Permission `json:"scopes,omitempty"`
	// SigningAlg is "RS256", "PS256", "ES256" or "EdDSA"; default RS256.
	SigningAlg string `json:"signing_alg,omitempty"`
	// TokenLifetime is in seconds; default 86,400, for browsers 7,200.
	TokenLifetime       int `json:"token_lifetime,omitempty"`
	TokenLifetimeForWeb int `json:"token_lifetime_for_web,omitempty"`
	// AllowOfflineAccess lets applications have refresh tokens for it.
	AllowOfflineAccess bool `json:"allow_offline_access"`
	// EnforcePolicies turns RBAC on: access tokens carry the user's permissions, and
	// scopes are granted only as far as the user has them.
	EnforcePolicies bool `json:"enforce_policies"`
	// TokenDialect is "access_token" or "access_token_authz": the latter puts permissions into
	// tokens.
	TokenDialect string `json:"token_dialect,omitempty"`
	// SkipConsent spares users the consent page for applications of the first party.
	SkipConsent bool `json:"skip_consent_for_verifiable_first_party_clients"`
	// Introspectors are the client ids of the applications that may ask what tokens for it mean
	// (RFC 7662), besides the one that a token was issued to.
	Introspectors []string `json:"introspectors,omitempty"`
	// System marks the management API, which cannot be deleted.
	System bool `json:"is_system"`
	// Own marks the API of the app's functions, which cannot be deleted either: it would be there again after
	// the next start, and the rights that roles and applications had would not.
	Own       bool      `json:"is_own,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Permission is a right that an API knows.
type Permission struct {
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// APIs are the APIs, by id; Names has their identifiers.
var APIs = table.Of[API]("perdure.apis")
