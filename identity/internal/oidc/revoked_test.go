package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// What a user's applications have ends with the user's password, also what no refresh token belongs to, and what is not
// a token yet: a code, and a device that was let in (RFC 9700 section 4.14, CWE-613).
func TestRevokedWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, ctx context.Context) error{
		"password": func(w *world, ctx context.Context) error { return w.provider.RevokeUser(ctx, w.user.ID, "") },
		"block": func(w *world, ctx context.Context) error {
			block := func(u *directory.User) error { u.Blocked = true; return nil }
			if _, err := w.UpdateUser(ctx, directory.Command, w.user.ID, block); err != nil {
				return err
			}
			_, err := w.UpdateUser(ctx, directory.Command, w.user.ID, func(u *directory.User) error { u.Blocked = false; return nil })
			return err // let in again: what was before stays revoked
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			request := w.request(w.web, "scope", "openid")
			token := w.exchange(t, w.code(t, request)).good(t).text("access_token")
			code := w.code(t, request)
			device := w.browser(t).post(t, "/oauth/device/code", url.Values{"client_id": {w.web.ClientID}, "scope": {"openid"}})
			session := w.browser(t).signedIn(t)
			w.Do(t, func(ctx context.Context) error {
				return w.provider.DecideDevice(ctx, device.text("user_code"), session, true)
			})
			if a := w.userinfo(t, token); a.status != http.StatusOK {
				t.Fatalf("userinfo: %d %s", a.status, a.body)
			}
			w.Clock.Advance(time.Millisecond) // in the same second
			w.Do(t, func(ctx context.Context) error { return end(w, ctx) })
			if a := w.userinfo(t, token); a.status != http.StatusUnauthorized {
				t.Errorf("userinfo with a token from before: %d %s", a.status, a.body)
			}
			w.exchange(t, code).want(t, "invalid_grant")
			w.token(t, "client_id", w.web.ClientID, "client_secret", w.secret,
				"grant_type", directory.GrantDevice, "device_code", device.text("device_code")).want(t, "invalid_grant")
			w.Clock.Advance(time.Millisecond)
			token = w.exchange(t, w.code(t, request)).good(t).text("access_token")
			if a := w.userinfo(t, token); a.status != http.StatusOK {
				t.Errorf("userinfo with a new token: %d %s", a.status, a.body)
			}
		})
	}
}

// The session in which a password was changed keeps its refresh tokens, and no other.
func TestRevokeOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.exchange(t, w.code(t, w.request(w.web))).good(t)
	b := w.browser(t)
	session := b.signedIn(t)
	own := w.exchange(t, b.get(t, "/authorize", w.request(w.web)).query("code")).good(t)
	w.Clock.Advance(time.Millisecond)
	w.Do(t, func(ctx context.Context) error { return w.provider.RevokeOthers(ctx, w.user.ID, session.ID) })
	w.refresh(t, other.text("refresh_token")).want(t, "invalid_grant")
	w.refresh(t, own.text("refresh_token")).good(t)
	for _, one := range []*answer{own, other} {
		if a := w.userinfo(t, one.text("access_token")); a.status != http.StatusUnauthorized {
			t.Errorf("userinfo with a token from before: %d", a.status)
		}
	}
}

// An application that is deleted, and one that gets its id, are two.
func TestRevokedWithTheApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token(t, "grant_type", "client_credentials", "client_id", w.web.ClientID, "client_secret", w.secret, "audience", apiName).good(t).text("access_token")
	_, claims := w.claims(t, token)
	id, _ := claims["jti"].(string)
	subject, _ := claims["sub"].(string)
	w.Clock.Advance(time.Millisecond)
	for _, want := range []bool{false, true} {
		w.Do(t, func(ctx context.Context) error {
			got, err := w.provider.Revoked(ctx, subject, id)
			if got != want {
				t.Errorf("revoked: %v, want %v", got, want)
			}
			return err
		})
		if !want {
			w.Do(t, func(ctx context.Context) error { return w.DeleteApplication(ctx, directory.Command, w.web.ClientID) })
		}
	}
}
