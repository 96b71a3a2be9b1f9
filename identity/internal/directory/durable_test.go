package directory_test

import (
	"context"
	"errors"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/store/storetest"
)

// What was made is there when the store is opened again.
func TestDirectoryOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var id string
	for run := range 2 {
		s, err := pebble.Open(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Run("", func(t *testing.T) {
			w := directorytest.On(t, s)
			w.Do(t, w.EnsureDefaults)
			if run == 0 {
				id = w.NewUser(t, "ann@example.org").ID
				return
			}
			w.Do(t, func(ctx context.Context) error {
				u, err := w.UserByEmail(ctx, directory.DefaultConnection, "ann@example.org")
				if err == nil && u.ID != id {
					t.Errorf("found %s, want %s", u.ID, id)
				}
				return err
			})
			fails(t, w, directory.ErrExists, func(ctx context.Context) error {
				_, err := w.CreateUser(ctx, directory.Command, &directory.User{Connection: directory.DefaultConnection, Email: "ann@example.org"})
				return err
			})
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// At whichever operation of the store it fails: a user is there with the names, the role and the entry
// of the audit log, or nothing of it is.
func TestUserIsMadeAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, fault := range []storetest.Fault{storetest.Refuse, storetest.Lose, storetest.Keep} {
		storetest.Sweep(t, fault, func(t *testing.T, inject func(store.Store) *storetest.Faulty) {
			s := memory.New(nil)
			t.Cleanup(func() { _ = s.Close() })
			before := directorytest.On(t, s)
			before.Do(t, before.EnsureDefaults)
			before.NewAPI(t, api, "read:x")
			role := before.NewRole(t, "reader", api, "read:x")

			faulty := directorytest.On(t, inject(s))
			failed := faulty.Unit(t.Context(), func(ctx context.Context) error {
				_, err := faulty.CreateUser(ctx, directory.Command, &directory.User{
					Connection: directory.DefaultConnection, Email: "ann@example.org", Username: "ann",
					Rights: directory.Rights{RoleIDs: []string{role.ID}},
				})
				return err
			})

			after := directorytest.On(t, s)
			after.Do(t, func(ctx context.Context) error {
				found := []bool{}
				u, err := after.UserByEmail(ctx, directory.DefaultConnection, "ann@example.org")
				if err != nil && !errors.Is(err, directory.ErrNotFound) {
					return err
				}
				found = append(found, err == nil)
				_, err = after.UserByLogin(ctx, directory.DefaultConnection, "ann")
				found = append(found, err == nil)
				members, err := after.ListRoleMembers(ctx, role.ID, "", directory.Paging{})
				if err != nil {
					return err
				}
				found = append(found, members.Total == 1)
				for _, all := range found {
					if all != found[0] {
						t.Errorf("a part is there: %v", found)
					}
				}
				if failed == nil && !found[0] {
					t.Error("it is lost after it was acknowledged")
				}
				if u != nil {
					l, err := after.AuditLog(ctx, directory.AuditFilter{Target: u.ID})
					if err == nil && l.Total != 2 {
						t.Errorf("%d entries of the audit log, want 2", l.Total)
					}
					return err
				}
				return nil
			})
		})
	}
}
