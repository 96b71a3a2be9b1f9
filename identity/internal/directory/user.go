package directory

import (
	"strings"
	"time"

	"github.com/perdure/perdure/table"
)

// User is a person.
type User struct {
	// ID is "CONNECTION-STRATEGY|RANDOM", such as "perdure|01J…". It never changes and is never
	// used again.
	ID            string         `json:"user_id"`
	Connection    string         `json:"connection"` // by which the user signed up
	Email         string         `json:"email,omitempty"`
	EmailVerified bool           `json:"email_verified"`
	Username      string         `json:"username,omitempty"`
	Name          string         `json:"name,omitempty"`
	GivenName     string         `json:"given_name,omitempty"`
	FamilyName    string         `json:"family_name,omitempty"`
	Nickname      string         `json:"nickname,omitempty"`
	Picture       string         `json:"picture,omitempty"`
	PhoneNumber   string         `json:"phone_number,omitempty"`
	PhoneVerified bool           `json:"phone_verified,omitempty"`
	Blocked       bool           `json:"blocked,omitempty"`
	Identities    []Identity     `json:"identities"`
	UserMetadata  map[string]any `json:"user_metadata,omitempty"` // the user may change it
	AppMetadata   map[string]any `json:"app_metadata,omitempty"`  // only administrators may
	CreatedAt     time.Time      `json:"created_at"`
	UpdatedAt     time.Time      `json:"updated_at"`
	LastLogin     time.Time      `json:"last_login,omitzero"`
	LastIP        string         `json:"last_ip,omitempty"`
	LoginsCount   int            `json:"logins_count"`
	// SecondFactors are the kinds of factor the user has set up: "totp", "webauthn".
	SecondFactors []string `json:"multifactor,omitempty"`
	// Demo marks an account of demo mode.
	Demo bool `json:"demo,omitempty"`
	Rights

	emailSet bool // SetEmail was called: EmailVerified is of the new address
}

// Identity is an account by which a user signs in.
type Identity struct {
	Connection string         `json:"connection"` // its name
	Provider   string         `json:"provider"`   // its strategy: "perdure" or "oidc"
	UserID     string         `json:"user_id"`    // at the provider
	IsSocial   bool           `json:"isSocial"`
	Profile    map[string]any `json:"profileData,omitempty"`
}

// Rights are what a user or a managed identity was given.
type Rights struct {
	// RoleIDs are the ids of roles.
	RoleIDs []string `json:"role_ids,omitempty"`
	// Permissions are given directly, besides those of the roles.
	Permissions []APIPermission `json:"permissions,omitempty"`
}

// APIPermission is a permission of an API.
type APIPermission struct {
	API  string `json:"resource_server_identifier"` // its identifier
	Name string `json:"permission_name"`
}

// UsersByEmail finds users by their e-mail address in lower case, over all connections.
var UsersByEmail = table.Index("email", func(u *User) string { return strings.ToLower(u.Email) })

// UsersByCreation finds users in the order in which they were made.
var UsersByCreation = table.Index("created", func(u *User) time.Time { return u.CreatedAt })

// UsersByConnection finds the users who signed up by a connection.
var UsersByConnection = table.Index("connection", func(u *User) string { return u.Connection })

// Users are the users, by id. An id contains a bar: take Key for the key of a row.
var Users = table.Of("perdure.users", UsersByEmail, UsersByCreation, UsersByConnection)

// DeletedUsers has a row for each user that was deleted, by id, so that no id is used again.
var DeletedUsers = table.Of[DeletedUser]("perdure.deleted-users")

// DeletedUser says when a user was deleted.
type DeletedUser struct {
	Deleted time.Time `json:"deleted"`
}

// RoleMember is a row for each role a principal has, so that a role's members can be
// listed: its key is the role's id and the principal's.
type RoleMember struct {
	Principal string    `json:"principal"` // the id of a user or a managed identity
	Kind      string    `json:"kind"`      // "user" or "identity"
	Added     time.Time `json:"added"`
}

// RoleMembers are the members of roles, by role (partition) and principal (row).
var RoleMembers = table.Of[RoleMember]("perdure.role-members")

// PermissionHolders has a row for each principal with direct permissions of an API, by the API's
// identifier (partition) and principal (row), so that they can be taken away with the API.
var PermissionHolders = table.Of[RoleMember]("perdure.permission-holders")

// The kinds of principals that have rights.
const (
	KindUser     = "user"
	KindIdentity = "identity" // a managed identity, by its object id
)

// Key is the key of a row whose name may have any character.
func Key(row string) string { return table.Key{Row: row}.String() }

// Key2 is the key of a row in a partition.
func Key2(partition, row string) string { return table.Key{Partition: partition, Row: row}.String() }
