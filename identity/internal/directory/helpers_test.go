package directory_test

import (
	"context"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directorytest"
)

// wantRights wants a user to have permissions and roles, each in one string with spaces.
func wantRights(t *testing.T, w *directorytest.World, userID, audience, permissions, roles string) {
	t.Helper()
	w.Do(t, func(ctx context.Context) error {
		u, err := w.User(ctx, userID)
		if err != nil {
			return err
		}
		p, r, err := w.RightsAt(ctx, u.Rights, audience)
		if err != nil {
			return err
		}
		if got := strings.Join(p, " "); got != permissions {
			t.Errorf("permissions = %q, want %q", got, permissions)
		}
		if got := strings.Join(r, " "); got != roles {
			t.Errorf("roles = %q, want %q", got, roles)
		}
		return nil
	})
}
