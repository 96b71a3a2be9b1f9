package directory

import (
	"time"

	"github.com/perdure/perdure/table"
)

// Role is a named set of permissions.
type Role struct {
	ID          string          `json:"id"` // "rol_…"
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Permissions []APIPermission `json:"permissions,omitempty"`
	// System marks the role of administrators, which cannot be deleted or renamed: those who have it would
	// be locked out.
	System    bool      `json:"is_system,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Roles are the roles, by id.
var Roles = table.Of[Role]("perdure.roles")

// Leftover is a deleted role that still has members to be cleaned.
type Leftover struct {
	Role string `json:"role"`
}

// Leftovers are what Maintain has to clean, by the id of the role.
var Leftovers = table.Of[Leftover]("perdure.leftovers")
