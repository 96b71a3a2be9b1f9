package authority

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/perdure/perdure/table"
)

// Roles that belong to all that Perdure makes.
const (
	// Group is the role that all roles of identities and leases belong to: pg_hba.conf lets its members in, and nobody
	// else. So a certificate cannot make somebody the administrator.
	Group = "perdure_identities"
	// heirRole owns what roles leave behind that lose their rights.
	heirRole = "perdure_left"
	// reserved is how the names begin that roles of identities do not have.
	reserved = "perdure_"
)

// taken is who has the name of a role.
type taken struct {
	Holder string `json:"holder"` // of a member, or a lease
}

// roleNames are by server and role.
var roleNames = table.Of[taken]("perdure.databases.roles")

// notForRoles are names that SQL or pg_hba.conf read as something else, or that are another's everywhere.
var notForRoles = []string{"postgres", "public", "none", "all", "replication", "current_user", "current_role", "session_user", "user", "root"}

// roleName is the name of a role for an identity's name: lower-case letters, digits and "_", so that it needs no
// quotes. It is the same always.
func roleName(name string) (role string, plain bool) {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
		if b.Len() >= 48 { // there is room for what distinguishes it
			break
		}
	}
	role = strings.TrimSuffix(b.String(), "_")
	if role == "" || role[0] >= '0' && role[0] <= '9' {
		role = strings.TrimSuffix("id_"+role, "_")
	}
	return role, !slices.Contains(notForRoles, role) && !strings.HasPrefix(role, "pg_") && !strings.HasPrefix(role, reserved)
}

// distinct is the name of a role with what tells it from others that would have the same.
func distinct(role, identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return role + "_" + hex.EncodeToString(sum[:4])
}

// claimRole finds a free name of a role for an identity, and takes it. Names that admin or another has, and those in without, are
// passed over.
func claimRole(ctx context.Context, s *Server, identity, name string, without []string) (string, error) {
	base, plain := roleName(name)
	candidates := []string{base, distinct(base, identity)}
	if !plain || base == s.adminUser() {
		candidates = candidates[1:]
		if strings.HasPrefix(base, "pg_") || strings.HasPrefix(base, reserved) {
			candidates[0] = "id_" + candidates[0] // PostgreSQL keeps pg_ for itself
		}
	}
	for _, role := range candidates {
		if slices.Contains(without, role) {
			continue
		}
		err := roleNames.Insert(ctx, rowKey2(s.Name, role), &taken{Holder: identity})
		if !errors.Is(err, ErrExists) {
			return role, err
		}
	}
	return "", errForeignRole
}

// releaseRole gives the name of a role back.
func releaseRole(ctx context.Context, server, role string) error {
	err := roleNames.Delete(ctx, rowKey2(server, role))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// ownerRole is the role that owns what ddl makes in a schema of a database.
func ownerRole(database, schema string) string {
	d, _ := roleName(database)
	s, _ := roleName(schema)
	sum := sha256.Sum256([]byte(database + "\x00" + schema))
	return reserved + "ddl_" + d[:min(len(d), 20)] + "_" + s[:min(len(s), 16)] + "_" + hex.EncodeToString(sum[:4])
}
