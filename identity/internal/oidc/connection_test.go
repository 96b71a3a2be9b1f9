package oidc_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
)

// A session spares the user to sign in, it does not let the user in where the user's connection is not offered
// (CWE-863): neither by a code nor by a password, a device, or a refresh token from before.
func TestConnectionBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := w.exchange(t, w.code(t, w.request(w.web))).good(t)
	b := w.browser(t)
	session := b.signedIn(t)
	if a := b.get(t, "/authorize", w.request(w.web)); a.query("code") == "" {
		t.Fatalf("single sign-on: %d %v", a.status, a.location)
	}
	device := w.browser(t).post(t, "/oauth/device/code", url.Values{"client_id": {w.web.ClientID}, "audience": {apiName}, "scope": {"openid read"}})
	w.Do(t, func(ctx context.Context) error {
		return w.provider.DecideDevice(ctx, device.text("user_code"), session, true)
	})
	w.Do(t, func(ctx context.Context) error { // the connection is for another application from now on
		c, err := w.ConnectionByName(ctx, directory.DefaultConnection)
		if err != nil {
			return err
		}
		_, err = w.UpdateConnection(ctx, directory.Command, c.ID, func(c *directory.Connection) error {
			c.ForAll, c.EnabledClients = false, []string{w.spa.ClientID}
			return nil
		})
		return err
	})
	if a := b.get(t, "/authorize", w.request(w.web)); !strings.HasPrefix(a.location.Path, "/u/login") {
		t.Errorf("single sign-on by a connection that is not offered: %d %v", a.status, a.location)
	}
	if a := b.get(t, "/authorize", w.request(w.web, "prompt", "none")); a.query("error") != "login_required" {
		t.Errorf("without a question: %d %v", a.status, a.location)
	}
	if a := b.get(t, "/authorize", w.request(w.spa)); a.query("code") == "" {
		t.Errorf("single sign-on where it is offered: %d %v", a.status, a.location)
	}
	id := []string{"client_id", w.web.ClientID, "client_secret", w.secret}
	w.refresh(t, tokens.text("refresh_token")).want(t, "invalid_grant")
	w.token(t, append(id, "grant_type", directory.GrantPassword, "username", w.user.Email, "password", "right", "audience", apiName)...).want(t, "invalid_grant")
	w.token(t, append(id, "grant_type", directory.GrantDevice, "device_code", device.text("device_code"))...).want(t, "invalid_grant")
}

// A token of an application of others has what the user was asked for, and neither further permissions nor roles, by
// which an administrator who only shows an application who it is would hand it everything (CWE-285).
func TestTokenOfThirdPartyHasWhatWasConsented(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	others, secret := w.NewApplication(t, &directory.Application{Name: "others", Callbacks: []string{callback}})
	for _, c := range []struct{ scope, permissions, roles string }{
		{"openid", "[]", "<nil>"},
		{"openid read write", "[read]", "<nil>"},
	} {
		b := w.browser(t)
		b.signedIn(t)
		a := b.get(t, "/authorize", w.request(others, "scope", c.scope))
		if a.status != http.StatusOK {
			t.Fatalf("no question for consent: %d %v", a.status, a.location)
		}
		_, id, _ := strings.Cut(a.body, `name="id" value="`)
		id, _, _ = strings.Cut(id, `"`)
		a = b.post(t, "/authorize/callback", url.Values{"id": {id}, "consent": {"allow"}})
		a = w.exchange(t, a.query("code"), "client_id", others.ClientID, "client_secret", secret).good(t)
		_, claims := w.claims(t, a.text("access_token"))
		if got := fmt.Sprint(claims["permissions"]); got != c.permissions {
			t.Errorf("scope %q: permissions %s, want %s", c.scope, got, c.permissions)
		}
		if got := fmt.Sprint(claims["roles"]); got != c.roles {
			t.Errorf("scope %q: roles %s, want %s", c.scope, got, c.roles)
		}
	}
	_, claims := w.claims(t, w.exchange(t, w.code(t, w.request(w.web, "scope", "openid"))).good(t).text("access_token"))
	if got := fmt.Sprint(claims["permissions"], claims["roles"]); got != "[read] [reader]" {
		t.Errorf("an application of the first party has %s", got)
	}
}
