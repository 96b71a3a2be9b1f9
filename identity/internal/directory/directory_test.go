package directory_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

const api = "https://api.example.org/"

func TestRightsOfRolesAndDirectOnes(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.NewAPI(t, api, "read:x", "write:x", "delete:x")
	other := w.NewAPI(t, "https://other.example.org/", "read:x")
	reader := w.NewRole(t, "reader", api, "read:x")
	writer := w.NewRole(t, "writer", api, "write:x", "read:x")
	u := w.NewUser(t, "ann@example.org")
	w.Do(t, func(ctx context.Context) error {
		if err := w.AssignRoles(ctx, directory.Command, u.ID, directory.KindUser, writer.ID, reader.ID); err != nil {
			return err
		}
		return w.GrantPermissions(ctx, directory.Command, u.ID, directory.KindUser,
			directory.APIPermission{API: api, Name: "delete:x"}, directory.APIPermission{API: other.Identifier, Name: "read:x"})
	})
	wantRights(t, w, u.ID, api, "delete:x read:x write:x", "reader writer")
	w.Do(t, func(ctx context.Context) error { return w.DeleteRole(ctx, directory.Command, writer.ID) })
	wantRights(t, w, u.ID, api, "delete:x read:x", "reader")
	w.Do(t, func(ctx context.Context) error { return w.DeleteAPI(ctx, directory.Command, other.ID) })
	w.NewAPI(t, other.Identifier, "read:x")
	wantRights(t, w, u.ID, other.Identifier, "", "reader")
}

// Even if a row says so, nobody has a permission that the API does not know.
func TestUnknownPermissionsDoNotCount(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.NewAPI(t, api, "read:x")
	ann := w.NewUser(t, "ann@example.org")
	w.Do(t, func(ctx context.Context) error {
		return directory.Users.Update(ctx, directory.Key(ann.ID), func(u *directory.User) error {
			u.Permissions = []directory.APIPermission{{API: api, Name: "read:x"}, {API: api, Name: "write:x"}}
			return nil
		})
	})
	wantRights(t, w, ann.ID, api, "read:x", "")
}

func TestOneAddressOneUser(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			err := w.Unit(t.Context(), func(ctx context.Context) error {
				_, err := w.CreateUser(ctx, directory.Command, &directory.User{Connection: directory.DefaultConnection, Email: "Ann@Example.org"})
				return err
			})
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, directory.ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d users have the address, want 1", n)
	}
}
