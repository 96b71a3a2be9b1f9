package directory

import "github.com/perdure/perdure/table"

// Name is a row for each name that only one may have: a user's e-mail address in a
// connection, an API's identifier, a role's name. That a name is free is so validated
// at commit.
type Name struct {
	ID string `json:"id"` // of who has it
}

// Names are by kind of name (partition) and name (row). The kinds are the constants NameOf….
var Names = table.Of[Name]("perdure.names")

// The kinds of name.
const (
	NameOfEmail      = "email"      // CONNECTION NUL address in lower case
	NameOfUsername   = "username"   // CONNECTION NUL name in lower case
	NameOfUpstream   = "upstream"   // CONNECTION NUL subject there
	NameOfAPI        = "api"        // identifier
	NameOfRole       = "role"       // name
	NameOfConnection = "connection" // name
	NameOfIdentity   = "identity"   // name of a managed identity
	NameOfObject     = "object"     // object id of a managed identity
	NameOfGrant      = "grant"      // CLIENT-ID NUL audience
	NameOfKey        = "key"        // algorithm, of the key that signs
)
