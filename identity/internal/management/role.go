package management

import (
	"context"
	"errors"
	"net/http"

	"github.com/perdure/perdure/identity/internal/directory"
)

func roleEndpoints() []endpoint {
	list := parameters(pages, marks)
	return []endpoint{
		{method: http.MethodGet, path: "roles", permissions: []string{"read:roles"}, query: parameters(list, []string{"name_filter"}), run: listRoles},
		{method: http.MethodPost, path: "roles", permissions: []string{"create:roles"}, run: createRole},
		{method: http.MethodGet, path: "roles/{id}", permissions: []string{"read:roles"}, run: readRole},
		{method: http.MethodPatch, path: "roles/{id}", permissions: []string{"update:roles"}, run: updateRole},
		{method: http.MethodDelete, path: "roles/{id}", permissions: []string{"delete:roles"}, run: deleteRole},
		{method: http.MethodGet, path: "roles/{id}/permissions", permissions: []string{"read:roles"}, query: list, run: listRolePermissions},
		{method: http.MethodPost, path: "roles/{id}/permissions", permissions: []string{"update:roles"}, run: addRolePermissions},
		{method: http.MethodDelete, path: "roles/{id}/permissions", permissions: []string{"update:roles"}, run: removeRolePermissions},
		{method: http.MethodGet, path: "roles/{id}/users", permissions: []string{"read:users", "read:roles", "read:role_members"}, query: list, run: listRoleUsers},
		{method: http.MethodPost, path: "roles/{id}/users", permissions: []string{"update:users", "create:role_members"}, run: assignRoleUsers},
	}
}

// roleBody is what a role is created or changed by.
type roleBody struct {
	Name        maybe[string] `json:"name"`
	Description maybe[string] `json:"description"`
}

func (b *roleBody) apply(r *directory.Role) {
	b.Name.set(&r.Name)
	b.Description.set(&r.Description)
}

func listRoles(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	l, err := c.env.ListRoles(ctx, directory.RoleFilter{Name: c.query.Get("name_filter"), Paging: p.Paging})
	if err != nil {
		return nil, err
	}
	return answerList(c, "roles", p, l, shapeRole)
}

func createRole(ctx context.Context, c *call) (*answer, error) {
	var b roleBody
	if err := c.decode("role", &b); err != nil {
		return nil, err
	}
	r := &directory.Role{}
	b.apply(r)
	r, err := c.env.CreateRole(ctx, c.actor(), r)
	if err != nil {
		return nil, err
	}
	return ok(shapeRole(r)) // not 201, as Auth0
}

func readRole(ctx context.Context, c *call) (*answer, error) {
	r, err := c.env.Role(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return ok(shapeRole(r))
}

func updateRole(ctx context.Context, c *call) (*answer, error) {
	var b roleBody
	if err := c.decode("role", &b); err != nil {
		return nil, err
	}
	r, err := c.env.UpdateRole(ctx, c.actor(), c.args["id"], func(r *directory.Role) error {
		b.apply(r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ok(shapeRole(r))
}

func deleteRole(ctx context.Context, c *call) (*answer, error) {
	return none(c.env.DeleteRole(ctx, c.actor(), c.args["id"]))
}

func listRolePermissions(ctx context.Context, c *call) (*answer, error) {
	r, err := c.env.Role(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return c.answerPermissions(ctx, r.Permissions, nil)
}

func addRolePermissions(ctx context.Context, c *call) (*answer, error) {
	rights, err := c.rights()
	if err != nil {
		return nil, err
	}
	_, err = c.env.AddRolePermissions(ctx, c.actor(), c.args["id"], rights...)
	return &answer{status: http.StatusCreated}, err
}

func removeRolePermissions(ctx context.Context, c *call) (*answer, error) {
	rights, err := c.rights()
	if err != nil {
		return nil, err
	}
	_, err = c.env.RemoveRolePermissions(ctx, c.actor(), c.args["id"], rights...)
	return none(err)
}

func listRoleUsers(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	members, err := c.env.ListRoleMembers(ctx, c.args["id"], directory.KindUser, p.Paging)
	if err != nil {
		return nil, err
	}
	l := directory.Listing[memberShape]{Start: members.Start, Limit: members.Limit, Total: members.Total, Next: members.Next}
	for _, m := range members.Items {
		u, err := c.env.User(ctx, m.Principal)
		if errors.Is(err, directory.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, &memberShape{u.ID, u.Email, u.Name, u.Picture, u.Username})
	}
	return answerList(c, "users", p, l, func(m *memberShape) any { return m })
}

func assignRoleUsers(ctx context.Context, c *call) (*answer, error) {
	users, err := c.ids("users")
	if err != nil {
		return nil, err
	}
	if len(users) > directory.MaxPerPage {
		return nil, invalid("\"users\" has %d ids, at most %d are allowed", len(users), directory.MaxPerPage)
	}
	role, err := c.env.Role(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	for _, id := range users {
		err := c.env.AssignRoles(ctx, c.actor(), id, directory.KindUser, role.ID)
		if errors.Is(err, directory.ErrNotFound) {
			return nil, fail(http.StatusNotFound, "inexistent_user", "The user %q does not exist.", id)
		}
		if err != nil {
			return nil, err
		}
	}
	return ok(nil)
}
