package management

import (
	"slices"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// stamp is a time as Auth0 writes it.
type stamp time.Time

// MarshalJSON implements json.Marshaler.
func (s stamp) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(s).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// IsZero says that there is no time, for omitzero.
func (s stamp) IsZero() bool { return time.Time(s).IsZero() }

// userShape is a user in an answer. It never has anything that a password could be found by.
type userShape struct {
	ID            string          `json:"user_id"`
	Email         string          `json:"email,omitempty"`
	EmailVerified bool            `json:"email_verified"`
	Username      string          `json:"username,omitempty"`
	Name          string          `json:"name,omitempty"`
	GivenName     string          `json:"given_name,omitempty"`
	FamilyName    string          `json:"family_name,omitempty"`
	Nickname      string          `json:"nickname,omitempty"`
	Picture       string          `json:"picture,omitempty"`
	PhoneNumber   string          `json:"phone_number,omitempty"`
	PhoneVerified bool            `json:"phone_verified,omitempty"`
	Blocked       bool            `json:"blocked,omitempty"`
	Identities    []identityShape `json:"identities"`
	UserMetadata  map[string]any  `json:"user_metadata,omitempty"`
	AppMetadata   map[string]any  `json:"app_metadata,omitempty"`
	Multifactor   []string        `json:"multifactor,omitempty"`
	CreatedAt     stamp           `json:"created_at"`
	UpdatedAt     stamp           `json:"updated_at"`
	LastLogin     stamp           `json:"last_login,omitzero"`
	LastIP        string          `json:"last_ip,omitempty"`
	LoginsCount   int             `json:"logins_count"`
}

type identityShape struct {
	Connection  string         `json:"connection"`
	Provider    string         `json:"provider"`
	UserID      string         `json:"user_id"`
	IsSocial    bool           `json:"isSocial"`
	ProfileData map[string]any `json:"profileData,omitempty"`
}

func shapeUser(u *directory.User) any {
	return &userShape{
		ID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Username: u.Username, Name: u.Name,
		GivenName: u.GivenName, FamilyName: u.FamilyName, Nickname: u.Nickname, Picture: u.Picture,
		PhoneNumber: u.PhoneNumber, PhoneVerified: u.PhoneVerified, Blocked: u.Blocked, Identities: shapeIdentities(u),
		UserMetadata: u.UserMetadata, AppMetadata: u.AppMetadata, Multifactor: u.SecondFactors, CreatedAt: stamp(u.CreatedAt),
		UpdatedAt: stamp(u.UpdatedAt), LastLogin: stamp(u.LastLogin), LastIP: u.LastIP, LoginsCount: u.LoginsCount,
	}
}

func shapeIdentities(u *directory.User) []identityShape {
	shapes := []identityShape{}
	for _, i := range u.Identities {
		shapes = append(shapes, identityShape{i.Connection, i.Provider, i.UserID, i.IsSocial, i.Profile})
	}
	return shapes
}

// memberShape is a user in the list of a role's members.
type memberShape struct {
	ID       string `json:"user_id"`
	Email    string `json:"email,omitempty"`
	Name     string `json:"name,omitempty"`
	Picture  string `json:"picture,omitempty"`
	Username string `json:"username,omitempty"` // not in Auth0's
}

type roleShape struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

func shapeRole(r *directory.Role) any { return &roleShape{r.ID, r.Name, r.Description} }

// permissionShape is a right that a role, a user or an identity has.
type permissionShape struct {
	API         string        `json:"resource_server_identifier"`
	APIName     string        `json:"resource_server_name"`
	Name        string        `json:"permission_name"`
	Description string        `json:"description"`
	Sources     []sourceShape `json:"sources,omitempty"`
}

// sourceShape says where a user has a right from.
type sourceShape struct {
	ID   string `json:"source_id"`
	Name string `json:"source_name"`
	Type string `json:"source_type"` // "DIRECT" or "ROLE"
}

// apiShape is an API in an answer: the row itself, with the member that Auth0 always sends.
type apiShape struct {
	ID                  string                 `json:"id"`
	Name                string                 `json:"name"`
	Identifier          string                 `json:"identifier"`
	Scopes              []directory.Permission `json:"scopes"`
	SigningAlg          string                 `json:"signing_alg"`
	TokenLifetime       int                    `json:"token_lifetime"`
	TokenLifetimeForWeb int                    `json:"token_lifetime_for_web"`
	AllowOfflineAccess  bool                   `json:"allow_offline_access"`
	EnforcePolicies     bool                   `json:"enforce_policies"`
	TokenDialect        string                 `json:"token_dialect"`
	SkipConsent         bool                   `json:"skip_consent_for_verifiable_first_party_clients"`
	System              bool                   `json:"is_system"`
}

func shapeAPI(a *directory.API) any {
	s := &apiShape{
		ID: a.ID, Name: a.Name, Identifier: a.Identifier, Scopes: a.Permissions, SigningAlg: a.SigningAlg,
		TokenLifetime: a.TokenLifetime, TokenLifetimeForWeb: a.TokenLifetimeForWeb, AllowOfflineAccess: a.AllowOfflineAccess,
		EnforcePolicies: a.EnforcePolicies, TokenDialect: a.TokenDialect, SkipConsent: a.SkipConsent, System: a.System,
	}
	if s.Scopes == nil {
		s.Scopes = []directory.Permission{}
	}
	return s
}

// list is a list that is written as one when it is empty.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return slices.Clone(s)
}
