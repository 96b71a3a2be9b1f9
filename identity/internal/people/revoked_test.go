package people_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/people"
)

// With a session end the tokens that came of it: who had the session may have let applications in (CWE-613).
func TestSessionsEndWithTheirTokens(t *testing.T) {
	t.Parallel()
	var but, of []string
	a := newApp(t, func(o *people.Options) {
		o.EndTokens = func(_ context.Context, _, session string) error { but = append(but, session); return nil }
		o.EndTokensOf = func(_ context.Context, _, session string) error { of = append(of, session); return nil }
	})
	u := a.member(t, ada)
	b, thief := a.browser(t), a.browser(t)
	thief.login(ada, right).want(t, http.StatusOK, "Your account")
	stolen := sessionIDs(t, a, u.ID)[0]
	b.login(ada, right).want(t, http.StatusOK, "Your account")
	own := slices.DeleteFunc(sessionIDs(t, a, u.ID), func(id string) bool { return id == stolen })[0]
	but = nil
	b.submit(b.get("/u/account"), "/u/account/sessions/revoke", "id", stolen).want(t, http.StatusOK, "The session has ended")
	if !slices.Equal(of, []string{stolen}) {
		t.Errorf("one session: tokens of %v ended, want %s", of, stolen)
	}
	b.submit(b.get("/u/account"), "/u/account/password", "old", right, "new", other).want(t, http.StatusOK, "Your password is changed")
	if !slices.Equal(but, []string{own}) {
		t.Errorf("new password: tokens ended but for %v, want %s", but, own)
	}
}

func sessionIDs(t *testing.T, a *app, userID string) (ids []string) {
	t.Helper()
	a.Do(t, func(ctx context.Context) error {
		ids = nil
		for row, err := range directory.Sessions.ScanIndex(ctx, directory.SessionsByUser.Equal(userID)) {
			if err != nil {
				return err
			}
			ids = append(ids, row.Value.ID)
		}
		return nil
	})
	return ids
}
