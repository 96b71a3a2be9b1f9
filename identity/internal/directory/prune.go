package directory

import (
	"cmp"
	"context"
	"slices"

	"github.com/perdure/perdure/table"
)

// prune deletes what the document does not name, in an order in which nothing is deleted that others need.
func (a *applying) prune(ctx context.Context) error {
	steps := []struct {
		kind string
		run  func(context.Context) error
	}{
		{kindUser, func(ctx context.Context) error {
			return drop(ctx, a, kindUser, Users, a.DeleteUser, func(u *User) (id, name string, keep bool) {
				return u.ID, cmp.Or(u.Email, u.Username, u.ID), false
			})
		}},
		{kindIdentity, func(ctx context.Context) error {
			return drop(ctx, a, kindIdentity, ManagedIdentities, a.DeleteManagedIdentity, func(m *ManagedIdentity) (id, name string, keep bool) {
				return m.ClientID, m.Name, m.System
			})
		}},
		{kindRole, func(ctx context.Context) error {
			return drop(ctx, a, kindRole, Roles, a.DeleteRole, func(r *Role) (id, name string, keep bool) { return r.ID, r.Name, r.System })
		}},
		{kindGrant, func(ctx context.Context) error {
			return drop(ctx, a, kindGrant, ClientGrants, a.DeleteClientGrant, func(g *ClientGrant) (id, name string, keep bool) {
				app, err := a.Application(ctx, g.ClientID)
				if err != nil {
					return g.ID, g.ClientID + " -> " + g.Audience, false
				}
				return g.ID, app.Name + " -> " + g.Audience, app.System
			})
		}},
		{kindApplication, func(ctx context.Context) error {
			return drop(ctx, a, kindApplication, Applications, a.DeleteApplication, func(r *Application) (id, name string, keep bool) {
				return r.ClientID, r.Name, r.System
			})
		}},
		{kindConnection, func(ctx context.Context) error {
			return drop(ctx, a, kindConnection, Connections, a.DeleteConnection, func(c *Connection) (id, name string, keep bool) {
				return c.ID, c.Name, c.Name == DefaultConnection
			})
		}},
		{kindAPI, func(ctx context.Context) error {
			return drop(ctx, a, kindAPI, APIs, a.DeleteAPI, func(r *API) (id, name string, keep bool) { return r.ID, r.Identifier, r.System || r.Own })
		}},
	}
	for _, s := range steps {
		if !slices.Contains(a.doc.Prune, s.kind) {
			continue
		}
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes the rows of a table that the document has not named.
func drop[T any](
	ctx context.Context, a *applying, kind string, t *table.Table[T],
	remove func(context.Context, Actor, string) error, about func(*T) (id, name string, keep bool),
) error {
	for row, err := range t.Scan(ctx, "") {
		if err != nil {
			return err
		}
		id, name, keep := about(row.Value)
		if keep || a.seen[kind+" "+id] {
			continue
		}
		a.diff.changed("-", kind, name)
		if err := remove(ctx, a.by, id); err != nil {
			return err
		}
	}
	return nil
}
