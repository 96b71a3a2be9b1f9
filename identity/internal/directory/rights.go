package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// sortedPermissions returns list sorted by API and name, without duplicates.
func sortedPermissions(list []APIPermission) []APIPermission {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b APIPermission) int {
		return cmp.Or(cmp.Compare(a.API, b.API), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(list)
}

// checkPermissions wants every permission to be one that its API knows.
func (e *Env) checkPermissions(ctx context.Context, list []APIPermission, most int) error {
	if len(list) > most {
		return invalid("permissions", "there are %d, at most %d are allowed", len(list), most)
	}
	var api *API
	for i, p := range list {
		field := fmt.Sprintf("permissions[%d]", i)
		if api == nil || api.Identifier != p.API {
			var err error
			if api, err = e.APIByIdentifier(ctx, p.API); errors.Is(err, ErrNotFound) {
				return invalid(field, "there is no API %q", p.API)
			} else if err != nil {
				return err
			}
		}
		if !api.Knows(p.Name) {
			return invalid(field, "the API %q has no permission %q: add it to the API first", p.API, p.Name)
		}
	}
	return nil
}

// changeRights changes the rights of a principal.
func (e *Env) changeRights(ctx context.Context, kind, id string, fn func(*Rights) error) error {
	switch kind {
	case KindUser:
		_, err := update(ctx, Users, "user", id, func(u, _ *User) error { return fn(&u.Rights) })
		return err
	case KindIdentity:
		m, err := e.ManagedIdentityByObject(ctx, id)
		if err != nil {
			return err
		}
		_, err = update(ctx, ManagedIdentities, "managed identity", m.ClientID, func(m, _ *ManagedIdentity) error { return fn(&m.Rights) })
		return err
	}
	return invalid("kind", "%q is none of %q", kind, []string{KindUser, KindIdentity})
}

// AssignRoles gives roles to a principal: a user, or a managed identity by its object id. Those
// that it has are no error.
func (e *Env) AssignRoles(ctx context.Context, by Actor, principalID, kind string, roleIDs ...string) error {
	for i, id := range roleIDs {
		if _, err := e.Role(ctx, id); errors.Is(err, ErrNotFound) {
			return invalid(fmt.Sprintf("roles[%d]", i), "there is no role %.80q", id)
		} else if err != nil {
			return err
		}
	}
	var added []string
	err := e.changeRights(ctx, kind, principalID, func(r *Rights) error {
		// Ids of roles that were deleted, which Maintain has not cleaned yet, do not count.
		kept, err := e.existing(ctx, r.RoleIDs)
		if err != nil {
			return err
		}
		for _, id := range roleIDs {
			if !slices.Contains(kept, id) {
				kept, added = append(kept, id), append(added, id)
			}
		}
		if len(kept) > MaxRolesOfPrincipal {
			return invalid("roles", "there would be %d, at most %d are allowed", len(kept), MaxRolesOfPrincipal)
		}
		r.RoleIDs = kept
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range added {
		m := &RoleMember{Principal: principalID, Kind: kind, Added: e.Now()}
		if err := RoleMembers.Put(ctx, Key2(id, principalID), m); err != nil {
			return err
		}
		if err := e.note(ctx, by, AuditUpdated, principalID, "role %s was given", id); err != nil {
			return err
		}
	}
	return nil
}

// existing returns those ids of roles that exist.
func (e *Env) existing(ctx context.Context, roleIDs []string) ([]string, error) {
	roles, err := e.rolesOf(ctx, roleIDs)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(roles))
	for _, r := range roles {
		ids = append(ids, r.ID)
	}
	return ids, nil
}

// rolesOf returns those roles that exist.
func (e *Env) rolesOf(ctx context.Context, roleIDs []string) ([]*Role, error) {
	keys := make([]string, len(roleIDs))
	for i, id := range roleIDs {
		keys[i] = Key(id)
	}
	roles, err := Roles.GetAll(ctx, keys...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(roles, func(r *Role) bool { return r == nil }), nil
}

// UnassignRoles takes roles from a principal. Those that it does not have are no error.
func (e *Env) UnassignRoles(ctx context.Context, by Actor, principalID, kind string, roleIDs ...string) error {
	var removed []string
	err := e.changeRights(ctx, kind, principalID, func(r *Rights) error {
		r.RoleIDs = slices.DeleteFunc(r.RoleIDs, func(id string) bool {
			gone := slices.Contains(roleIDs, id)
			if gone {
				removed = append(removed, id)
			}
			return gone
		})
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range removed {
		if err := RoleMembers.Delete(ctx, Key2(id, principalID)); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := e.note(ctx, by, AuditUpdated, principalID, "role %s was taken away", id); err != nil {
			return err
		}
	}
	return nil
}

// RolesOf returns the roles of somebody's rights that exist, sorted by name.
func (e *Env) RolesOf(ctx context.Context, r Rights) ([]*Role, error) {
	roles, err := e.rolesOf(ctx, r.RoleIDs)
	slices.SortFunc(roles, func(a, b *Role) int { return cmp.Compare(a.Name, b.Name) })
	return roles, err
}

// GrantPermissions gives permissions to a principal directly, besides those of its roles.
func (e *Env) GrantPermissions(ctx context.Context, by Actor, principalID, kind string, permissions ...APIPermission) error {
	permissions = sortedPermissions(permissions)
	if err := e.checkPermissions(ctx, permissions, MaxDirectPermissions); err != nil {
		return err
	}
	return e.changeDirect(ctx, by, principalID, kind, "given", func(list []APIPermission) []APIPermission {
		return append(list, permissions...)
	})
}

// RevokePermissions takes permissions from a principal that it was given directly. Those that it does
// not have are no error.
func (e *Env) RevokePermissions(ctx context.Context, by Actor, principalID, kind string, permissions ...APIPermission) error {
	return e.changeDirect(ctx, by, principalID, kind, "taken away", func(list []APIPermission) []APIPermission {
		return slices.DeleteFunc(list, func(p APIPermission) bool { return slices.Contains(permissions, p) })
	})
}

// changeDirect changes direct permissions and keeps PermissionHolders right.
func (e *Env) changeDirect(ctx context.Context, by Actor, id, kind, verb string, fn func([]APIPermission) []APIPermission) error {
	var before, after []APIPermission
	err := e.changeRights(ctx, kind, id, func(r *Rights) error {
		before = slices.Clone(r.Permissions)
		r.Permissions = sortedPermissions(fn(r.Permissions))
		if after = r.Permissions; len(after) > MaxDirectPermissions {
			return invalid("permissions", "there would be %d, at most %d are allowed: use roles", len(after), MaxDirectPermissions)
		}
		return nil
	})
	if err != nil || slices.Equal(before, after) {
		return err
	}
	was, is := apisOf(before), apisOf(after)
	for api := range is {
		if !was[api] {
			if err := PermissionHolders.Put(ctx, Key2(api, id), &RoleMember{Principal: id, Kind: kind, Added: e.Now()}); err != nil {
				return err
			}
		}
	}
	for api := range was {
		if !is[api] {
			if err := PermissionHolders.Delete(ctx, Key2(api, id)); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
	return e.note(ctx, by, AuditUpdated, id, "permissions were %s: %d before, %d now", verb, len(before), len(after))
}

func apisOf(list []APIPermission) map[string]bool {
	apis := make(map[string]bool)
	for _, p := range list {
		apis[p.API] = true
	}
	return apis
}

// dropRights deletes what finds a principal that is being deleted by its rights.
func dropRights(ctx context.Context, id string, r Rights) error {
	for _, role := range r.RoleIDs {
		if err := RoleMembers.Delete(ctx, Key2(role, id)); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	for api := range apisOf(r.Permissions) {
		if err := PermissionHolders.Delete(ctx, Key2(api, id)); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// RightsAt returns what somebody may do at an API: the permissions of the roles and the direct
// ones, as far as the API knows them, sorted; and the names of all roles, sorted. Without an
// API of that identifier there are no permissions.
func (e *Env) RightsAt(ctx context.Context, r Rights, audience string) (permissions, roles []string, err error) {
	found, err := e.RolesOf(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	all := slices.Clone(r.Permissions)
	for _, role := range found {
		roles = append(roles, role.Name)
		all = append(all, role.Permissions...)
	}
	api, err := e.APIByIdentifier(ctx, audience)
	if errors.Is(err, ErrNotFound) {
		return nil, roles, nil
	}
	if err != nil {
		return nil, nil, err
	}
	known := make(map[string]bool, len(api.Permissions))
	for _, p := range api.Permissions {
		known[p.Value] = true
	}
	for _, p := range all {
		if p.API == audience && known[p.Name] {
			permissions = append(permissions, p.Name)
		}
	}
	slices.Sort(permissions)
	return slices.Compact(permissions), roles, nil
}
