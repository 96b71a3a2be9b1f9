package directory_test

import (
	"context"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
)

// Who may change APIs does not make everybody an administrator by it: without RBAC each scope that is asked for is
// granted (CWE-269).
func TestManagementAPIEnforcesPolicies(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	fails(t, w, directory.ErrSystem, func(ctx context.Context) error {
		a, err := w.APIByIdentifier(ctx, w.ManagementAPI())
		if err != nil {
			return err
		}
		_, err = w.UpdateAPI(ctx, directory.Command, a.ID, func(a *directory.API) error {
			a.EnforcePolicies = false
			return nil
		})
		return err
	})
}

// A subject is somebody at one issuer (OpenID Connect Core section 5.7): while anybody signs in by a connection, it
// does not come to stand for another issuer, not even by one of the same name.
func TestSubjectStaysThatOfItsIssuer(t *testing.T) {
	t.Parallel()
	w := directorytest.New(t)
	ada := w.NewUser(t, "ada@example.org")
	var c *directory.Connection
	w.Do(t, func(ctx context.Context) (err error) {
		c, err = w.CreateConnection(ctx, directory.Command, &directory.Connection{
			Name: "corp", Strategy: directory.StrategyOIDC, ForAll: true,
			Options: directory.ConnectionOptions{Issuer: "https://corp.example", ClientID: "perdure"},
		})
		return err
	})
	move := func(ctx context.Context) error {
		_, err := w.UpdateConnection(ctx, directory.Command, c.ID, func(c *directory.Connection) error {
			c.Options.Issuer = "https://evil.example"
			return nil
		})
		return err
	}
	remove := func(ctx context.Context) error { return w.DeleteConnection(ctx, directory.Command, c.ID) }
	w.Do(t, func(ctx context.Context) error {
		_, err := w.LinkIdentity(ctx, directory.Command, ada.ID, directory.Identity{Connection: "corp", Provider: directory.StrategyOIDC, UserID: "1"})
		return err
	})
	fails(t, w, directory.ErrInUse, move)
	fails(t, w, directory.ErrInUse, remove)
	w.Do(t, func(ctx context.Context) error {
		_, err := w.UnlinkIdentity(ctx, directory.Command, ada.ID, "corp", "1")
		return err
	})
	w.Do(t, move)
	w.Do(t, remove)
}
