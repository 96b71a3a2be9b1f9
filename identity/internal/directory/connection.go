package directory

import (
	"time"

	"github.com/perdure/perdure/table"
)

// The strategies of connections.
const (
	StrategyDatabase = "perdure" // users with passwords and passkeys of the provider's own
	StrategyOIDC     = "oidc"    // an issuer upstream
)

// DefaultConnection is the connection that is there from the start.
const DefaultConnection = "Username-Password-Authentication"

// Connection is a source of users.
type Connection struct {
	ID          string `json:"id"` // "con_…"
	Name        string `json:"name"`
	DisplayName string `json:"display_name,omitempty"`
	Strategy    string `json:"strategy"`
	// EnabledClients are the client ids of the applications that offer it, unless it is for all.
	EnabledClients []string          `json:"enabled_clients,omitempty"`
	ForAll         bool              `json:"is_domain_connection"`
	Disabled       bool              `json:"disabled,omitempty"`
	Options        ConnectionOptions `json:"options"`
	CreatedAt      time.Time         `json:"created_at"`
}

// ConnectionOptions are the settings of a connection.
type ConnectionOptions struct {
	// DisableSignup lets only administrators make users. RequiresUsername asks for one besides the
	// address.
	DisableSignup    bool `json:"disable_signup,omitempty"`
	RequiresUsername bool `json:"requires_username,omitempty"`
	// MinLength is that of passwords; default 10.
	MinLength int `json:"min_length,omitempty"`
	// RequireVerifiedEmail lets users in only after they have followed the link in a mail.
	RequireVerifiedEmail bool `json:"require_verified_email,omitempty"`

	// Issuer, ClientID, Scopes and SealedSecret are for an issuer upstream.
	Issuer       string   `json:"issuer,omitempty"`
	ClientID     string   `json:"client_id,omitempty"`
	SealedSecret []byte   `json:"sealed_secret,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
	// Link says what happens to a new user whose verified e-mail address another user has:
	// "never" (default) refuses, "verified" links them when both addresses are verified and the upstream is
	// trusted for that.
	Link string `json:"link,omitempty"`
}

// Connections are the connections, by id; Names has their names.
var Connections = table.Of[Connection]("perdure.connections")
