package directory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

// What an app makes again at each start is not deleted: the rights of people would not come back with it.
func TestWhatTheAppNeedsIsNotDeleted(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	own := w.NewAPI(t, api, "read:x")
	role := w.NewRole(t, "administrator", api, "read:x")
	w.Do(t, func(ctx context.Context) error {
		if err := directory.Roles.Update(ctx, directory.Key(role.ID), func(r *directory.Role) error { r.System = true; return nil }); err != nil {
			return err
		}
		return w.MarkOwn(ctx, api)
	})
	for name, fn := range map[string]func(context.Context) error{
		"role": func(ctx context.Context) error { return w.DeleteRole(ctx, directory.Command, role.ID) },
		"name of role": func(ctx context.Context) error {
			_, err := w.UpdateRole(ctx, directory.Command, role.ID, func(r *directory.Role) error { r.Name, r.System = "x", false; return nil })
			return err
		},
		"API": func(ctx context.Context) error { return w.DeleteAPI(ctx, directory.Command, own.ID) },
	} {
		if err := w.Unit(t.Context(), fn); !errors.Is(err, directory.ErrSystem) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Do(t, func(ctx context.Context) error {
		doc, err := directory.ParseDocument([]byte("prune: [roles, apis]"))
		if err != nil {
			return err
		}
		if _, err := w.Apply(ctx, directory.Command, doc); err != nil {
			return err
		}
		if _, err := w.Role(ctx, role.ID); err != nil {
			t.Error(err)
		}
		if _, err := w.API(ctx, own.ID); err != nil {
			t.Error(err)
		}
		return nil
	})
	// The app has another API now.
	w.NewAPI(t, "urn:another", "read:x")
	w.Do(t, func(ctx context.Context) error {
		if err := w.MarkOwn(ctx, "urn:another"); err != nil {
			return err
		}
		return w.DeleteAPI(ctx, directory.Command, own.ID)
	})
}

func TestRoleWithManyMembersIsDeletedInPieces(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.NewAPI(t, api, "read:x")
	role := w.NewRole(t, "reader", api, "read:x")
	ids := []string{}
	for i := range 250 {
		u := w.NewUser(t, fmt.Sprintf("u%d@example.org", i))
		ids = append(ids, u.ID)
		w.Do(t, func(ctx context.Context) error {
			return w.AssignRoles(ctx, directory.Command, u.ID, directory.KindUser, role.ID)
		})
	}
	w.Do(t, func(ctx context.Context) error {
		l, err := w.ListRoleMembers(ctx, role.ID, directory.KindUser, directory.Paging{PerPage: 10})
		if err == nil && (l.Total != 250 || len(l.Items) != 10) {
			t.Errorf("%d members of %d", len(l.Items), l.Total)
		}
		return err
	})
	w.Do(t, func(ctx context.Context) error { return w.DeleteRole(ctx, directory.Command, role.ID) })
	for _, id := range ids {
		wantRights(t, w, id, api, "", "")
	}
	// Nobody gets the rights of a new role of the same name.
	w.NewRole(t, "reader", api, "read:x")
	for _, id := range ids {
		wantRights(t, w, id, api, "", "")
	}
	if err := w.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Do(t, func(ctx context.Context) error {
		for row := range directory.Users.Scan(ctx, "") {
			if len(row.Value.RoleIDs) > 0 {
				t.Fatalf("%s still has %v", row.Value.ID, row.Value.RoleIDs)
			}
		}
		for row := range directory.RoleMembers.ScanAll(ctx) {
			t.Errorf("member %v is left", row.Key)
		}
		for row := range directory.Leftovers.ScanAll(ctx) {
			t.Errorf("leftover %v is left", row.Key)
		}
		return nil
	})
}

func TestPermissionThatWasDroppedDoesNotComeBack(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	a := w.NewAPI(t, api, "read:x", "write:x")
	role := w.NewRole(t, "writer", api, "read:x", "write:x")
	ann := w.NewUser(t, "ann@example.org")
	app, _ := w.NewApplication(t, &directory.Application{Name: "cron", Type: directory.TypeNonInteractive})
	var grant *directory.ClientGrant
	w.Do(t, func(ctx context.Context) (err error) {
		if err := w.AssignRoles(ctx, directory.Command, ann.ID, directory.KindUser, role.ID); err != nil {
			return err
		}
		if err := w.GrantPermissions(ctx, directory.Command, ann.ID, directory.KindUser, directory.APIPermission{API: api, Name: "write:x"}); err != nil {
			return err
		}
		grant, err = w.CreateClientGrant(ctx, directory.Command, &directory.ClientGrant{ClientID: app.ClientID, Audience: api, Scope: []string{"write:x", "read:x"}})
		return err
	})
	set := func(names ...string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := w.UpdateAPI(ctx, directory.Command, a.ID, func(a *directory.API) error {
				a.Permissions = nil
				for _, n := range names {
					a.Permissions = append(a.Permissions, directory.Permission{Value: n})
				}
				return nil
			})
			return err
		}
	}
	w.Do(t, set("read:x"))
	wantRights(t, w, ann.ID, api, "read:x", "writer")
	w.Do(t, set("read:x", "write:x"))
	wantRights(t, w, ann.ID, api, "read:x", "writer")
	w.Do(t, func(ctx context.Context) error {
		g, err := w.ClientGrant(ctx, grant.ID)
		if err == nil && !slices.Equal(g.Scope, []string{"read:x"}) {
			t.Errorf("grant has %v", g.Scope)
		}
		return err
	})
	w.Do(t, func(ctx context.Context) error { return w.DeleteAPI(ctx, directory.Command, a.ID) })
	w.NewAPI(t, api, "read:x", "write:x")
	wantRights(t, w, ann.ID, api, "", "writer")
	fails(t, w, directory.ErrNotFound, func(ctx context.Context) error {
		_, err := w.GrantOf(ctx, app.ClientID, api)
		return err
	})
}

func TestWhatOthersNeedStays(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.NewUser(t, "ann@example.org")
	fails(t, w, directory.ErrInUse, func(ctx context.Context) error {
		c, err := w.ConnectionByName(ctx, directory.DefaultConnection)
		if err != nil {
			return err
		}
		return w.DeleteConnection(ctx, directory.Command, c.ID)
	})
	fails(t, w, directory.ErrSystem, func(ctx context.Context) error {
		a, err := w.APIByIdentifier(ctx, w.ManagementAPI())
		if err != nil {
			return err
		}
		return w.DeleteAPI(ctx, directory.Command, a.ID)
	})
	fails(t, w, directory.ErrSystem, func(ctx context.Context) error {
		a, err := w.APIByIdentifier(ctx, w.ManagementAPI())
		if err != nil {
			return err
		}
		_, err = w.UpdateAPI(ctx, directory.Command, a.ID, func(a *directory.API) error { a.Permissions = nil; return nil })
		return err
	})
}

func TestDeletedApplicationLeavesNothing(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.NewAPI(t, api, "read:x")
	app, secret := w.NewApplication(t, &directory.Application{Name: "web"})
	if secret == "" {
		t.Fatal("it has no secret")
	}
	var c *directory.Connection
	w.Do(t, func(ctx context.Context) (err error) {
		if _, err := w.CreateClientGrant(ctx, directory.Command, &directory.ClientGrant{ClientID: app.ClientID, Audience: api}); err != nil {
			return err
		}
		c, err = w.CreateConnection(ctx, directory.Command, &directory.Connection{
			Name: "db2", Strategy: directory.StrategyDatabase, EnabledClients: []string{app.ClientID},
		})
		return err
	})
	w.Do(t, func(ctx context.Context) error { return w.DeleteApplication(ctx, directory.Command, app.ClientID) })
	w.Do(t, func(ctx context.Context) error {
		c, err := w.Connection(ctx, c.ID)
		if err == nil && len(c.EnabledClients) > 0 {
			t.Errorf("the connection is for %v still", c.EnabledClients)
		}
		l, err2 := w.ListClientGrants(ctx, directory.GrantFilter{})
		if err2 == nil && l.Total != 0 {
			t.Errorf("%d grants are left", l.Total)
		}
		return err
	})
}
