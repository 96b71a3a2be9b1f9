package oidc_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/oidc"
)

func TestCodeFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := w.exchange(t, w.code(t, w.request(w.web))).good(t)
	header, access := w.claims(t, tokens.text("access_token"))
	if header.ExtraHeaders["typ"] != "at+jwt" || header.Algorithm != "RS256" {
		t.Errorf("header %v of the access token", header)
	}
	for name, want := range map[string]any{
		"iss": issuer, "sub": w.user.ID, "client_id": w.web.ClientID, "azp": w.web.ClientID,
		"scope": "openid profile email offline_access read", "roles": []any{"reader"}, "aud": []any{apiName, issuer + "userinfo"},
		"auth_time": float64(w.Now().Unix()), "iat": float64(w.Now().Unix()), "exp": float64(w.Now().Add(24 * time.Hour).Unix()),
	} {
		if got := access[name]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("access token: %s = %v, want %v", name, got, want)
		}
	}
	if got := tokens.text("scope"); got != "openid profile email offline_access read" {
		t.Errorf("scope %q: the user has no right to write", got)
	}
	header, id := w.claims(t, tokens.text("id_token"))
	if header.ExtraHeaders["typ"] != "JWT" {
		t.Errorf("header %v of the ID token", header)
	}
	for name, want := range map[string]any{
		"iss": issuer, "sub": w.user.ID, "aud": w.web.ClientID, "nonce": "the nonce", "amr": []any{"pwd"},
		"email": w.user.Email, "email_verified": true, "auth_time": float64(w.Now().Unix()),
	} {
		if got := id[name]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ID token: %s = %v, want %v", name, got, want)
		}
	}
	if id["at_hash"] == nil || id["sid"] == nil {
		t.Errorf("ID token without at_hash or sid: %v", id)
	}
	if tokens.header.Get("Cache-Control") != "no-store" {
		t.Error("tokens may be cached")
	}
	if a := w.userinfo(t, tokens.text("access_token")); a.text("email") != w.user.Email || a.text("sub") != w.user.ID {
		t.Errorf("userinfo %d %s", a.status, a.body)
	}
}

func TestPermissionsInTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Do(t, func(ctx context.Context) error {
		_, err := w.UpdateAPI(ctx, directory.Command, w.api.ID, func(a *directory.API) error {
			a.TokenDialect, a.SigningAlg = directory.DialectPermissions, directory.ES256
			return nil
		})
		return err
	})
	tokens := w.exchange(t, w.code(t, w.request(w.web, "scope", "openid"))).good(t)
	header, access := w.claims(t, tokens.text("access_token"))
	if header.Algorithm != "ES256" {
		t.Errorf("algorithm %q, want that of the API", header.Algorithm)
	}
	if got := fmt.Sprint(access["permissions"]); got != "[read]" {
		t.Errorf("permissions %v, want all that the user has, whatever the scope is", got)
	}
	if tokens.text("refresh_token") != "" {
		t.Error("a refresh token without offline_access")
	}
}

func TestWithoutAudience(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens := w.exchange(t, w.code(t, w.request(w.web, "audience", ""))).good(t)
	_, access := w.claims(t, tokens.text("access_token"))
	if access["aud"] != issuer+"userinfo" || access["permissions"] != nil || access["roles"] != nil {
		t.Errorf("claims %v, want a token for userinfo alone", access)
	}
	if a := w.userinfo(t, tokens.text("access_token")); a.status != http.StatusOK {
		t.Errorf("userinfo %d %s", a.status, a.body)
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	b.signedIn(t)
	// The session spares the login page.
	a := b.get(t, "/authorize", w.request(w.web, "redirect_uri", "https://app.example/other?x=1"))
	if a.query("code") == "" || a.query("iss") != issuer || a.query("state") != "the state" || a.query("x") != "1" {
		t.Errorf("answer %v, want code, iss, state and what the address had", a.location)
	}
	a = b.get(t, "/authorize", w.request(w.web, "response_mode", "form_post"))
	if a.status != 200 || !strings.Contains(a.body, `action="https://app.example/callback"`) || !strings.Contains(a.body, `name="code"`) || !strings.Contains(a.body, `name="iss"`) {
		t.Errorf("form_post: %d %s", a.status, a.body)
	}
	if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, c := range []struct{ name, value, want string }{
		{"response_type", "token", "unsupported_response_type"},
		{"response_type", "id_token", "unsupported_response_type"},
		{"response_type", "code id_token", "unsupported_response_type"},
		{"response_type", "", "invalid_request"},
		{"response_mode", "fragment", "invalid_request"},
		{"response_mode", "web_message", "invalid_request"},
		{"request", "eyJ", "request_not_supported"},
		{"request_uri", "https://evil.example/", "request_uri_not_supported"},
		{"prompt", "none login", "invalid_request"},
		{"prompt", "sudo", "invalid_request"},
		{"max_age", "-1", "invalid_request"},
		{"max_age", "x", "invalid_request"},
		{"audience", "https://nothing.example/", "invalid_target"},
		{"resource", "https://other.example/", "invalid_target"},
		{"nonce", strings.Repeat("n", 3000), "invalid_request"},
		{"state", strings.Repeat("s", 5000), "invalid_request"},
	} {
		a := b.get(t, "/authorize", w.request(w.web, c.name, c.value))
		if a.query("error") != c.want || a.query("iss") != issuer || c.name != "state" && a.query("state") != "the state" || a.query("code") != "" {
			t.Errorf("%s=%.20q: %v, want the error %s with iss and state", c.name, c.value, a.location, c.want)
		}
	}
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody, b := w.browser(t), w.browser(t)
	session := b.signedIn(t)
	if a := nobody.get(t, "/authorize", w.request(w.web, "prompt", "none")); a.query("error") != "login_required" || a.query("iss") != issuer {
		t.Errorf("prompt none without a session: %v", a.location)
	}
	if a := b.get(t, "/authorize", w.request(w.web, "prompt", "none")); a.query("code") == "" {
		t.Errorf("prompt none with a session: %v %s", a.location, a.body)
	}
	w.Clock.Advance(time.Minute)
	for _, more := range [][]string{{"prompt", "login"}, {"prompt", "select_account"}, {"max_age", "0"}, {"max_age", "30"}, {"screen_hint", "signup"}, {"connection", "other"}, {"acr_values", "http://schemas.openid.net/pape/policies/2007/06/multi-factor"}} {
		a := b.get(t, "/authorize", w.request(w.web, more...))
		if a.location == nil || a.location.Path != "/u/login" {
			t.Errorf("%v with a session: %v, want the login page", more, a.location)
		}
	}
	if a := b.get(t, "/authorize", w.request(w.web, "max_age", "3600")); a.query("code") == "" {
		t.Errorf("max_age that the session keeps: %v", a.location)
	}
	// A page that lets the old session count for prompt=login does not get through.
	id := b.get(t, "/authorize", w.request(w.web, "prompt", "login")).query("state")
	w.Do(t, func(ctx context.Context) error {
		return directory.AuthRequests.Update(ctx, directory.Key(id), func(r *directory.AuthRequest) error {
			r.UserID, r.SessionID, r.AuthTime, r.Done = session.UserID, session.ID, session.AuthTime, true
			return nil
		})
	})
	if a := b.get(t, "/authorize/callback", url.Values{"id": {id}}); a.location == nil || a.location.Path != "/u/login" {
		t.Errorf("callback with an old sign-in: %v, want the login page", a.location)
	}
	b.login(t, id)
	if a := b.get(t, "/authorize/callback", url.Values{"id": {id}}); a.query("code") == "" {
		t.Errorf("callback with a new sign-in: %v %s", a.location, a.body)
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	third, secret := w.NewApplication(t, &directory.Application{Name: "Third <b>party", Callbacks: []string{callback}})
	b := w.browser(t)
	b.signedIn(t)
	if a := b.get(t, "/authorize", w.request(third, "prompt", "none")); a.query("error") != "consent_required" {
		t.Errorf("prompt none without consent: %v", a.location)
	}
	a := b.get(t, "/authorize", w.request(third))
	if a.status != 200 || !strings.Contains(a.body, "Third &lt;b&gt;party") {
		t.Fatalf("consent page: %d %s", a.status, a.body)
	}
	id := between(a.body, `name="id" value="`, `"`)
	if a := w.browser(t).post(t, "/authorize/callback", url.Values{"id": {id}, "consent": {"allow"}}); a.status != http.StatusForbidden {
		t.Errorf("consent from another browser: %d", a.status)
	}
	a = b.post(t, "/authorize/callback", url.Values{"id": {id}, "consent": {"allow"}})
	if a.query("code") == "" {
		t.Fatalf("consent: %v %s", a.location, a.body)
	}
	w.token(t, "grant_type", "authorization_code", "client_id", third.ClientID, "client_secret", secret, "code", a.query("code"), "redirect_uri", callback, "code_verifier", verifier).good(t)
	if a := b.get(t, "/authorize", w.request(third, "prompt", "none")); a.query("code") == "" {
		t.Errorf("with consent: %v", a.location)
	}
	a = b.get(t, "/authorize", w.request(third, "scope", "openid phone", "prompt", ""))
	id = between(a.body, `name="id" value="`, `"`)
	if a = b.post(t, "/authorize/callback", url.Values{"id": {id}}); a.query("error") != "access_denied" {
		t.Errorf("no consent to more: %v", a.location)
	}
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.token(t, "grant_type", "client_credentials", "client_id", w.web.ClientID, "client_secret", w.secret, "audience", apiName).good(t)
	_, claims := w.claims(t, a.text("access_token"))
	if claims["sub"] != w.web.ClientID+"@clients" || claims["scope"] != "read" || claims["aud"] != apiName || a.text("refresh_token") != "" {
		t.Errorf("claims %v", claims)
	}
	// Entra's shape.
	a = w.token(t, "grant_type", "client_credentials", "client_id", w.web.ClientID, "client_secret", w.secret, "scope", apiName+"/.default openid offline_access profile").good(t)
	if a.json("ext_expires_in") == nil {
		t.Errorf("no ext_expires_in: %s", a.body)
	}
	for _, c := range []struct{ name, value, want string }{
		{"scope", "write", "invalid_scope"},
		{"scope", "read write", "invalid_scope"},
		{"audience", "", "invalid_request"},
		{"audience", "https://nothing.example/", "invalid_target"},
		{"audience", issuer + "api/v2/", "access_denied"},
		{"audience", issuer + "userinfo", "invalid_target"},
		{"client_secret", "wrong", "invalid_client"},
		{"client_secret", "", "invalid_client"},
		{"client_id", "nobody", "invalid_client"},
		{"client_id", "", "invalid_request"},
	} {
		w.token(t, "grant_type", "client_credentials", "client_id", w.web.ClientID, "client_secret", w.secret, "audience", apiName, c.name, c.value).want(t, c.want)
	}
	// JSON as Auth0's libraries send it.
	res, err := w.browser(t).Post(issuer+"oauth/token", "application/json; charset=utf-8", strings.NewReader(fmt.Sprintf(
		`{"grant_type":"client_credentials","client_id":%q,"client_secret":%q,"audience":%q}`, w.web.ClientID, w.secret, apiName)))
	read(t, res, err).good(t)
	token, expires, err := "", time.Time{}, error(nil)
	w.Do(t, func(ctx context.Context) error {
		token, expires, err = w.provider.MintForApplication(ctx, w.web, apiName, nil)
		return err
	})
	if token == "" || !expires.Equal(w.Now().Add(24*time.Hour).Truncate(time.Second)) {
		t.Errorf("minted %q until %v", token, expires)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.exchange(t, w.code(t, w.request(w.web))).good(t)
	second := w.refresh(t, first.text("refresh_token")).good(t)
	if second.text("refresh_token") == "" || second.text("refresh_token") == first.text("refresh_token") || second.text("id_token") == "" {
		t.Errorf("answer %s, want another refresh token and an ID token", second.body)
	}
	narrow := w.refresh(t, second.text("refresh_token"), "scope", "openid unknown").good(t)
	if got := narrow.text("scope"); got != "openid" {
		t.Errorf("scope %q, want what was asked for", got)
	}
	wide := w.refresh(t, narrow.text("refresh_token")).good(t)
	if got := wide.text("scope"); !strings.Contains(got, "read") {
		t.Errorf("scope %q, want all again (RFC 6749 section 6)", got)
	}
	w.refresh(t, wide.text("refresh_token"), "scope", "openid phone").want(t, "invalid_scope")
	w.refresh(t, wide.text("refresh_token"), "audience", "https://other.example/").want(t, "invalid_target")
	// The rights are those of now.
	w.Do(t, func(ctx context.Context) error {
		return w.UnassignRoles(ctx, directory.Command, w.user.ID, directory.KindUser, w.user.RoleIDs...)
	})
	user := w.user
	w.Do(t, func(ctx context.Context) (err error) { user, err = w.User(ctx, w.user.ID); return err })
	w.Do(t, func(ctx context.Context) error {
		return w.UnassignRoles(ctx, directory.Command, w.user.ID, directory.KindUser, user.RoleIDs...)
	})
	less := w.refresh(t, wide.text("refresh_token")).good(t)
	if got := less.text("scope"); strings.Contains(got, "read") {
		t.Errorf("scope %q of a user without rights", got)
	}
	w.Clock.Advance(16 * 24 * time.Hour)
	w.refresh(t, less.text("refresh_token")).want(t, "invalid_grant")
}

func TestRefreshEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.exchange(t, w.code(t, w.request(w.web))).good(t).text("refresh_token")
	for range 3 { // used every ten days, it lives for thirty
		token = w.refresh(t, token).good(t).text("refresh_token")
		w.Clock.Advance(10 * 24 * time.Hour)
	}
	w.refresh(t, token).want(t, "invalid_grant")

	token = w.exchange(t, w.code(t, w.request(w.web))).good(t).text("refresh_token")
	w.Do(t, func(ctx context.Context) error {
		_, err := w.UpdateUser(ctx, directory.Command, w.user.ID, func(u *directory.User) error { u.Blocked = true; return nil })
		return err
	})
	w.refresh(t, token).want(t, "invalid_grant")
}

func TestDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	session := b.signedIn(t)
	begin := func() *answer {
		// As x/oauth2: without the secret.
		return b.post(t, "/oauth/device/code", url.Values{"client_id": {w.web.ClientID}, "scope": {"openid read"}, "audience": {apiName}})
	}
	poll := func(a *answer) *answer {
		return w.token(t, "grant_type", directory.GrantDevice, "client_id", w.web.ClientID, "client_secret", w.secret, "device_code", a.text("device_code"))
	}
	a := begin()
	if a.json("interval") != 5.0 || a.text("verification_uri") != issuer+"u/device" || len(a.text("user_code")) != 9 {
		t.Fatalf("answer %s", a.body)
	}
	w.token(t, "grant_type", directory.GrantDevice, "client_id", w.web.ClientID, "device_code", a.text("device_code")).want(t, "invalid_client")
	w.token(t, "grant_type", directory.GrantDevice, "client_id", w.spa.ClientID, "device_code", a.text("device_code")).want(t, "unauthorized_client")
	poll(a).want(t, "authorization_pending")
	poll(a).want(t, "slow_down")
	w.Clock.Advance(6 * time.Second)
	poll(a).want(t, "slow_down") // ten seconds by now
	w.Clock.Advance(16 * time.Second)
	poll(a).want(t, "authorization_pending")
	w.Do(t, func(ctx context.Context) error {
		d, err := w.provider.DeviceOf(ctx, strings.ToLower(strings.ReplaceAll(a.text("user_code"), "-", " ")), w.user.ID)
		if err != nil {
			return err
		}
		if d.Client.ClientID != w.web.ClientID || d.Code != a.text("user_code") {
			t.Errorf("device %+v", d)
		}
		return w.provider.DecideDevice(ctx, d.Code, session, true)
	})
	w.Clock.Advance(16 * time.Second)
	tokens := poll(a).good(t)
	if _, claims := w.claims(t, tokens.text("access_token")); claims["sub"] != w.user.ID || claims["scope"] != "openid read" {
		t.Errorf("claims %v", claims)
	}
	poll(a).want(t, "invalid_grant")

	a = begin()
	w.Do(t, func(ctx context.Context) error {
		return w.provider.DecideDevice(ctx, a.text("user_code"), session, false)
	})
	poll(a).want(t, "access_denied")
	a = begin()
	w.Clock.Advance(11 * time.Minute)
	poll(a).want(t, "expired_token")
}

func TestDeviceGuesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	a := b.post(t, "/oauth/device/code", url.Values{"client_id": {w.web.ClientID}})
	try := func(code string) (err error) {
		w.Do(t, func(ctx context.Context) error {
			_, err = w.provider.DeviceOf(ctx, code, w.user.ID)
			return nil // it commits: wrong codes are counted
		})
		return err
	}
	for range 10 {
		if err := try("BBBB-BBBB"); err != oidc.ErrDevice { //nolint:errorlint // it is that value
			t.Fatal(err)
		}
	}
	if err := try(a.text("user_code")); err != oidc.ErrGuesses { //nolint:errorlint // it is that value
		t.Errorf("after ten wrong codes: %v", err)
	}
	w.Clock.Advance(16 * time.Minute)
	if err := try("BBBB-BBBB"); err != oidc.ErrDevice { //nolint:errorlint // it is that value
		t.Errorf("later: %v", err)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := []string{"grant_type", "password", "client_id", w.web.ClientID, "client_secret", w.secret, "username", w.user.Email, "password", "right", "scope", "openid"}
	w.token(t, good...).good(t)
	w.token(t, append(good, "password", "wrong")...).want(t, "invalid_grant")
	w.token(t, append(good, "client_secret", "wrong")...).want(t, "invalid_client")
	w.token(t, append(good, "client_id", w.spa.ClientID, "client_secret", "")...).want(t, "unauthorized_client")
}

func TestLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser(t)
	session := b.signedIn(t)
	code := b.get(t, "/authorize", w.request(w.web)).query("code")
	hint := w.exchange(t, code).good(t).text("id_token")
	there := func() bool {
		found := false
		w.Do(t, func(ctx context.Context) error {
			_, err := directory.Sessions.Get(ctx, directory.Key(session.ID))
			found = err == nil
			return nil
		})
		return found
	}
	for _, query := range []url.Values{
		{"post_logout_redirect_uri": {"https://evil.example/"}, "id_token_hint": {hint}},
		{"post_logout_redirect_uri": {"https://app.example/bye"}},
		{"post_logout_redirect_uri": {"https://app.example/bye/"}, "client_id": {w.web.ClientID}},
		{"id_token_hint": {hint}, "client_id": {w.spa.ClientID}},
		{"id_token_hint": {hint + "x"}},
	} {
		if a := b.get(t, "/oidc/logout", query); a.status != http.StatusBadRequest || !there() {
			t.Errorf("logout %v: %d %v", query, a.status, a.location)
		}
	}
	// Without a hint the user is asked.
	a := b.get(t, "/oidc/logout", url.Values{"client_id": {w.web.ClientID}, "post_logout_redirect_uri": {"https://app.example/bye"}, "state": {"s"}})
	if a.status != 200 || !there() {
		t.Fatalf("logout without a hint: %d %v", a.status, a.location)
	}
	if a := b.post(t, "/oidc/logout", url.Values{"client_id": {w.web.ClientID}, "confirm": {"forged"}}); a.status != 200 || !there() {
		t.Errorf("a forged confirmation: %d", a.status)
	}
	a = b.post(t, "/oidc/logout", url.Values{"client_id": {w.web.ClientID}, "post_logout_redirect_uri": {"https://app.example/bye"}, "state": {"s"}, "confirm": {between(a.body, `name="confirm" value="`, `"`)}})
	if a.location == nil || a.location.String() != "https://app.example/bye?state=s" || there() {
		t.Errorf("confirmed: %d %v", a.status, a.location)
	}
	// With a hint not, also when that has expired.
	session = b.signedIn(t)
	code = b.get(t, "/authorize", w.request(w.web)).query("code")
	hint = w.exchange(t, code).good(t).text("id_token")
	w.Clock.Advance(20 * time.Hour)
	a = b.get(t, "/oidc/logout", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://app.example/bye"}})
	if a.location == nil || a.location.String() != "https://app.example/bye" || there() {
		t.Errorf("with a hint: %d %v", a.status, a.location)
	}
	session = b.signedIn(t)
	a = b.get(t, "/v2/logout", url.Values{"client_id": {w.web.ClientID}, "returnTo": {"https://app.example/bye"}})
	if a.location == nil || a.location.String() != "https://app.example/bye" || there() {
		t.Errorf("v2: %d %v", a.status, a.location)
	}
	if a := b.get(t, "/v2/logout", url.Values{"returnTo": {"https://app.example/bye"}}); a.status != http.StatusBadRequest {
		t.Errorf("v2 without a client: %d %v", a.status, a.location)
	}
}
