package directory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/perdure/perdure/table"
)

// CreateRole makes a role. Its id is given to it.
func (e *Env) CreateRole(ctx context.Context, by Actor, r *Role) (*Role, error) {
	row := *r
	row.CreatedAt = e.Now()
	row.ID = newID("rol_", row.CreatedAt)
	if err := e.checkRole(ctx, &row); err != nil {
		return nil, err
	}
	if err := claim(ctx, NameOfRole, row.Name, row.ID); err != nil {
		return nil, fmt.Errorf("role %q: %w", row.Name, err)
	}
	if err := put(ctx, Roles, "role", row.ID, &row); err != nil {
		return nil, err
	}
	return &row, e.note(ctx, by, AuditCreated, row.ID, "role %q was created", row.Name)
}

func (e *Env) checkRole(ctx context.Context, r *Role) error {
	if err := checkText("name", r.Name, 1, 128); err != nil {
		return err
	}
	if err := checkText("description", r.Description, 0, MaxDescription); err != nil {
		return err
	}
	r.Permissions = sortedPermissions(r.Permissions)
	return e.checkPermissions(ctx, r.Permissions, MaxPermissionsOfRole)
}

// Role returns a role.
func (e *Env) Role(ctx context.Context, id string) (*Role, error) { return get(ctx, Roles, "role", id) }

// RoleByName returns the role that has a name.
func (e *Env) RoleByName(ctx context.Context, name string) (*Role, error) {
	id, err := holder(ctx, NameOfRole, name)
	if err != nil {
		return nil, err
	}
	return e.Role(ctx, id)
}

// UpdateRole changes a role. Its permissions are changed with it, if fn does.
func (e *Env) UpdateRole(ctx context.Context, by Actor, id string, fn func(*Role) error) (*Role, error) {
	row, err := update(ctx, Roles, "role", id, func(r, old *Role) error {
		if err := fn(r); err != nil {
			return err
		}
		r.ID, r.CreatedAt, r.System = old.ID, old.CreatedAt, old.System
		r.Permissions = sortedPermissions(r.Permissions)
		if err := e.checkRole(ctx, r); err != nil {
			return err
		}
		if r.Name == old.Name {
			return nil
		}
		if r.System {
			return fmt.Errorf("the name of the role %q: %w", old.Name, ErrSystem)
		}
		if err := claim(ctx, NameOfRole, r.Name, r.ID); err != nil {
			return fmt.Errorf("role %q: %w", r.Name, err)
		}
		return release(ctx, NameOfRole, old.Name)
	})
	if err != nil {
		return nil, err
	}
	return row, e.note(ctx, by, AuditUpdated, id, "role %q was updated", row.Name)
}

// AddRolePermissions gives a role permissions.
func (e *Env) AddRolePermissions(ctx context.Context, by Actor, id string, permissions ...APIPermission) (*Role, error) {
	return e.UpdateRole(ctx, by, id, func(r *Role) error {
		r.Permissions = append(r.Permissions, permissions...)
		return nil
	})
}

// RemoveRolePermissions takes permissions from a role. Those that it does not have are no error.
func (e *Env) RemoveRolePermissions(ctx context.Context, by Actor, id string, permissions ...APIPermission) (*Role, error) {
	return e.UpdateRole(ctx, by, id, func(r *Role) error {
		r.Permissions = slices.DeleteFunc(r.Permissions, func(p APIPermission) bool { return slices.Contains(permissions, p) })
		return nil
	})
}

// maxAtOnce is how many members a role loses in the unit in which it is deleted; Maintain takes it
// from the others.
const maxAtOnce = 100

// DeleteRole deletes a role. From its commit on nobody has it any more: ids are not used again, and
// rights are those of roles that exist. Up to a hundred members lose its id in the same unit; the
// rows of the others are cleaned by Maintain, so that the unit stays small however many there are.
func (e *Env) DeleteRole(ctx context.Context, by Actor, id string) error {
	r, err := e.Role(ctx, id)
	if err != nil {
		return err
	}
	if r.System {
		return fmt.Errorf("role %q: %w", r.Name, ErrSystem)
	}
	if err := Roles.Delete(ctx, Key(id)); err != nil {
		return err
	}
	if err := release(ctx, NameOfRole, r.Name); err != nil {
		return err
	}
	more, err := e.dropMembers(ctx, id, maxAtOnce)
	if err != nil {
		return err
	}
	if more {
		if err := Leftovers.Put(ctx, Key(id), &Leftover{Role: id}); err != nil {
			return err
		}
	}
	return e.note(ctx, by, AuditDeleted, id, "role %q was deleted", r.Name)
}

// dropMembers takes a role from at most most of its members and reports whether there are more.
func (e *Env) dropMembers(ctx context.Context, role string, most int) (more bool, err error) {
	n := 0
	for row, err := range RoleMembers.Scan(ctx, role) {
		if err != nil {
			return false, err
		}
		if n++; n > most {
			return true, nil
		}
		if err := e.changeRights(ctx, row.Value.Kind, row.Value.Principal, func(r *Rights) error {
			r.RoleIDs = slices.DeleteFunc(r.RoleIDs, func(id string) bool { return id == role })
			return nil
		}); err != nil && !errors.Is(err, ErrNotFound) {
			return false, err
		}
		if err := RoleMembers.Delete(ctx, row.Key.String()); err != nil {
			return false, err
		}
	}
	return false, nil
}

// RoleFilter says which roles to list.
type RoleFilter struct {
	Name string // a part of the name, in any case
	Paging
}

// ListRoles lists roles in the order in which they were made.
func (e *Env) ListRoles(ctx context.Context, f RoleFilter) (Listing[Role], error) {
	return list(f.Paging, func(r *Role) bool { return containsFold(r.Name, f.Name) }, scanOf(ctx, Roles))
}

// ListRoleMembers lists the principals of a kind that have a role; of all kinds if it is empty.
func (e *Env) ListRoleMembers(ctx context.Context, role, kind string, p Paging) (Listing[RoleMember], error) {
	if _, err := e.Role(ctx, role); err != nil {
		return Listing[RoleMember]{}, err
	}
	keep := func(m *RoleMember) bool { return kind == "" || m.Kind == kind }
	return list(p, keep, func(options ...table.ScanOption) iter.Seq2[table.Row[RoleMember], error] {
		return RoleMembers.Scan(ctx, role, options...)
	})
}
