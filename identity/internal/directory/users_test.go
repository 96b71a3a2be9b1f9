package directory_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

// fails wants fn to fail in a unit by an error.
func fails(t *testing.T, w *directorytest.World, want error, fn func(ctx context.Context) error) {
	t.Helper()
	if err := w.Unit(t.Context(), fn); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestUserIsFoundByEveryName(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	db := directory.DefaultConnection
	w.Do(t, func(ctx context.Context) error {
		u, err := w.CreateUser(ctx, directory.Command, &directory.User{Connection: db, Email: "Ann@Example.org", Username: "AnnLee"})
		if err != nil {
			return err
		}
		if !strings.HasPrefix(u.ID, "perdure|") || len(u.Identities) != 1 || "perdure|"+u.Identities[0].UserID != u.ID {
			t.Errorf("id %q, identities %v", u.ID, u.Identities)
		}
		for _, login := range []string{"ann@example.org", "ANN@EXAMPLE.ORG", "annlee", "ANNLEE"} {
			got, err := w.UserByLogin(ctx, db, login)
			if err != nil || got.ID != u.ID {
				t.Errorf("%s: %v", login, err)
			}
		}
		for _, login := range []string{"", "bob", "bob@example.org", "a\x00b", strings.Repeat("x", 2000), "\xff@x", "%2F/"} {
			if _, err := w.UserByLogin(ctx, db, login); !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("%.20q: %v", login, err)
			}
			if _, err := w.User(ctx, login); !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("id %.20q: %v", login, err)
			}
		}
		if _, err := w.UserByLogin(ctx, "other", "annlee"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("in another connection: %v", err)
		}
		return nil
	})
}

func TestNamesMoveWithTheUser(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	ann, bob := w.NewUser(t, "ann@example.org"), w.NewUser(t, "bob@example.org")
	fails(t, w, directory.ErrExists, func(ctx context.Context) error {
		_, err := w.UpdateUser(ctx, directory.Command, bob.ID, func(u *directory.User) error { u.Email = "ANN@example.org"; return nil })
		return err
	})
	w.Do(t, func(ctx context.Context) error {
		u, err := w.UpdateUser(ctx, directory.Command, ann.ID, func(u *directory.User) error { u.Email = "new@example.org"; return nil })
		if err == nil && u.EmailVerified {
			t.Error("a new address is verified without anybody having said so")
		}
		return err
	})
	w.Do(t, func(ctx context.Context) error {
		u, err := w.UpdateUser(ctx, directory.Command, bob.ID, func(u *directory.User) error {
			u.SetEmail("ann@example.org", true)
			return nil
		})
		if err == nil && !u.EmailVerified {
			t.Error("SetEmail did not verify the address")
		}
		return err
	})
	for field, change := range map[string]func(*directory.User){
		"connection": func(u *directory.User) { u.Connection = "other" },
		"identities": func(u *directory.User) { u.Identities = nil },
		"email":      func(u *directory.User) { u.Email = "" },
	} {
		wantField(t, field, w.Unit(t.Context(), func(ctx context.Context) error {
			_, err := w.UpdateUser(ctx, directory.Command, bob.ID, func(u *directory.User) error { change(u); return nil })
			return err
		}), field)
	}
	w.Do(t, func(ctx context.Context) error {
		u, err := w.UpdateUser(ctx, directory.Command, bob.ID, func(u *directory.User) error {
			u.RoleIDs = []string{"rol_stolen"}
			u.ID = "perdure|other"
			return nil
		})
		if err == nil && (len(u.RoleIDs) != 0 || u.ID != bob.ID) {
			t.Errorf("an update changed the id or gave rights: %+v", u)
		}
		return err
	})
}

func TestDeletedUserLeavesNothing(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	w.NewAPI(t, api, "read:x")
	role := w.NewRole(t, "reader", api, "read:x")
	var told string
	w.OnUserDeleted = append(w.OnUserDeleted, func(_ context.Context, id string) error { told = id; return nil })
	ann := w.NewUser(t, "ann@example.org")
	w.Do(t, func(ctx context.Context) error {
		if err := w.AssignRoles(ctx, directory.Command, ann.ID, directory.KindUser, role.ID); err != nil {
			return err
		}
		if err := w.GrantPermissions(ctx, directory.Command, ann.ID, directory.KindUser, directory.APIPermission{API: api, Name: "read:x"}); err != nil {
			return err
		}
		s := &directory.Session{ID: "s1", UserID: ann.ID, Expires: w.Now().Add(1e12)}
		if err := directory.Sessions.Put(ctx, directory.Key(s.ID), s); err != nil {
			return err
		}
		_, err := w.LinkIdentity(ctx, directory.Command, ann.ID, directory.Identity{Connection: "google", Provider: "oidc", UserID: "77"})
		return err
	})
	w.Do(t, func(ctx context.Context) error { return w.DeleteUser(ctx, directory.Command, ann.ID) })
	if told != ann.ID {
		t.Errorf("the hook was told of %q", told)
	}
	w.Do(t, func(ctx context.Context) error {
		names := 0
		for row, err := range directory.Names.ScanAll(ctx) {
			if err != nil {
				return err
			}
			if row.Value.ID == ann.ID {
				t.Errorf("name %v is left", row.Key)
			}
			names++
		}
		if names == 0 {
			t.Error("the scan of names found nothing at all")
		}
		for row := range directory.RoleMembers.ScanAll(ctx) {
			t.Errorf("member %v is left", row.Key)
		}
		for row := range directory.PermissionHolders.ScanAll(ctx) {
			t.Errorf("holder %v is left", row.Key)
		}
		if _, err := directory.Sessions.Get(ctx, "s1"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("session: %v", err)
		}
		return nil
	})
	// The id stays taken, the address is free.
	fails(t, w, directory.ErrExists, func(ctx context.Context) error {
		_, err := w.CreateUser(ctx, directory.Command, &directory.User{ID: ann.ID, Connection: directory.DefaultConnection, Email: "x@example.org"})
		return err
	})
	w.NewUser(t, "ann@example.org")
}

func TestIdentitiesAreLinkedOnce(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	ann, bob := w.NewUser(t, "ann@example.org"), w.NewUser(t, "bob@example.org")
	google := directory.Identity{Connection: "google", Provider: "oidc", UserID: "77"}
	link := func(id string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := w.LinkIdentity(ctx, directory.Command, id, google)
			return err
		}
	}
	w.Do(t, link(ann.ID))
	fails(t, w, directory.ErrExists, link(bob.ID))
	fails(t, w, directory.ErrExists, link(ann.ID))
	w.Do(t, func(ctx context.Context) error {
		u, err := w.UserByUpstream(ctx, "google", "77")
		if err == nil && u.ID != ann.ID {
			t.Errorf("found %s", u.ID)
		}
		return err
	})
	fails(t, w, directory.ErrInvalid, func(ctx context.Context) error {
		_, err := w.UnlinkIdentity(ctx, directory.Command, ann.ID, directory.DefaultConnection, ann.Identities[0].UserID)
		return err
	})
	w.Do(t, func(ctx context.Context) error {
		_, err := w.UnlinkIdentity(ctx, directory.Command, ann.ID, "google", "77")
		return err
	})
	w.Do(t, link(bob.ID))
}

func TestBlockedUserLosesSessions(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	ann := w.NewUser(t, "ann@example.org")
	w.Do(t, func(ctx context.Context) error {
		return directory.Sessions.Put(ctx, "s1", &directory.Session{ID: "s1", UserID: ann.ID, Expires: w.Now().Add(1e12)})
	})
	w.Do(t, func(ctx context.Context) error {
		_, err := w.UpdateUser(ctx, directory.Command, ann.ID, func(u *directory.User) error { u.Blocked = true; return nil })
		return err
	})
	fails(t, w, directory.ErrNotFound, func(ctx context.Context) error {
		_, err := directory.Sessions.Get(ctx, "s1")
		return err
	})
}
