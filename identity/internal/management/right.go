package management

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/perdure/perdure/identity/internal/directory"
)

func userRightEndpoints() []endpoint {
	list := parameters(pages, marks)
	return []endpoint{
		{method: http.MethodGet, path: "users/{id}/roles", permissions: []string{"read:users", "read:roles", "read:role_members"}, query: list, run: listUserRoles},
		{method: http.MethodPost, path: "users/{id}/roles", permissions: []string{"update:users", "create:role_members"}, run: assignUserRoles},
		{method: http.MethodDelete, path: "users/{id}/roles", permissions: []string{"update:users", "delete:role_members"}, run: removeUserRoles},
		{method: http.MethodGet, path: "users/{id}/permissions", permissions: []string{"read:users"}, query: list, run: listUserPermissions},
		{method: http.MethodPost, path: "users/{id}/permissions", permissions: []string{"update:users"}, run: grantUserPermissions},
		{method: http.MethodDelete, path: "users/{id}/permissions", permissions: []string{"update:users"}, run: revokeUserPermissions},
	}
}

func listUserRoles(ctx context.Context, c *call) (*answer, error) {
	u, err := c.env.User(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return c.answerRoles(ctx, u.Rights)
}

func assignUserRoles(ctx context.Context, c *call) (*answer, error) {
	roles, err := c.ids("roles")
	if err != nil {
		return nil, err
	}
	return none(c.env.AssignRoles(ctx, c.actor(), c.args["id"], directory.KindUser, roles...))
}

func removeUserRoles(ctx context.Context, c *call) (*answer, error) {
	roles, err := c.ids("roles")
	if err != nil {
		return nil, err
	}
	return none(c.env.UnassignRoles(ctx, c.actor(), c.args["id"], directory.KindUser, roles...))
}

func listUserPermissions(ctx context.Context, c *call) (*answer, error) {
	u, err := c.env.User(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return c.answerRights(ctx, u.Rights)
}

func grantUserPermissions(ctx context.Context, c *call) (*answer, error) {
	rights, err := c.rights()
	if err != nil {
		return nil, err
	}
	err = c.env.GrantPermissions(ctx, c.actor(), c.args["id"], directory.KindUser, rights...)
	return &answer{status: http.StatusCreated}, err
}

func revokeUserPermissions(ctx context.Context, c *call) (*answer, error) {
	rights, err := c.rights()
	if err != nil {
		return nil, err
	}
	return none(c.env.RevokePermissions(ctx, c.actor(), c.args["id"], directory.KindUser, rights...))
}

// answerRoles answers with the roles of somebody's rights.
func (c *call) answerRoles(ctx context.Context, r directory.Rights) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	roles, err := c.env.RolesOf(ctx, r)
	if err != nil {
		return nil, err
	}
	l, err := cut(p, roles)
	if err != nil {
		return nil, err
	}
	return answerList(c, "roles", p, l, shapeRole)
}

// answerRights answers with the permissions that somebody has, and from where.
func (c *call) answerRights(ctx context.Context, r directory.Rights) (*answer, error) {
	roles, err := c.env.RolesOf(ctx, r)
	if err != nil {
		return nil, err
	}
	sources := map[directory.APIPermission][]sourceShape{}
	for _, right := range r.Permissions {
		sources[right] = append(sources[right], sourceShape{Type: "DIRECT"})
	}
	for _, role := range roles {
		for _, right := range role.Permissions {
			sources[right] = append(sources[right], sourceShape{ID: role.ID, Name: role.Name, Type: "ROLE"})
		}
	}
	rights := make([]directory.APIPermission, 0, len(sources))
	for right := range sources {
		rights = append(rights, right)
	}
	return c.answerPermissions(ctx, rights, sources)
}

// answerPermissions answers with permissions, sorted, and what their APIs say of them.
func (c *call) answerPermissions(ctx context.Context, rights []directory.APIPermission, sources map[directory.APIPermission][]sourceShape) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	apis := map[string]*directory.API{}
	shapes := make([]*permissionShape, 0, len(rights))
	for _, right := range rights {
		api, known := apis[right.API]
		if !known {
			if api, err = c.env.APIByIdentifier(ctx, right.API); err != nil && !errors.Is(err, directory.ErrNotFound) {
				return nil, err
			}
			apis[right.API] = api
		}
		s := &permissionShape{API: right.API, Name: right.Name, Sources: sources[right]}
		if api != nil {
			s.APIName = api.Name
			for _, p := range api.Permissions {
				if p.Value == right.Name {
					s.Description = p.Description
				}
			}
		}
		shapes = append(shapes, s)
	}
	slices.SortFunc(shapes, func(a, b *permissionShape) int {
		return slices.Compare([]string{a.API, a.Name}, []string{b.API, b.Name})
	})
	l, err := cut(p, shapes)
	if err != nil {
		return nil, err
	}
	return answerList(c, "permissions", p, l, func(s *permissionShape) any { return s })
}
