package auth0_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/auth0/go-auth0/authentication"
	"github.com/auth0/go-auth0/authentication/database"
	"github.com/auth0/go-auth0/authentication/oauth"
)

const (
	callback = "https://shop.example.org/callback"
	password = "correct horse battery"
)

// shop is an application that people sign in to, and the SDK's client of it.
func (n *tenant) shop(t *testing.T) (*authentication.Authentication, string) {
	t.Helper()
	app := n.administer(t, "POST", "clients", `{"name":"Shop","app_type":"regular_web","callbacks":["`+callback+`"],
		"grant_types":["authorization_code","refresh_token","client_credentials","password"]}`)
	id, secret := app["client_id"].(string), app["client_secret"].(string)
	n.administer(t, "POST", "resource-servers", `{"identifier":"https://orders.example.org/","allow_offline_access":true,"enforce_policies":true,
		"skip_consent_for_verifiable_first_party_clients":true,"scopes":[{"value":"read:orders"},{"value":"approve:orders"}]}`)
	n.administer(t, "POST", "client-grants", `{"client_id":"`+id+`","audience":"https://orders.example.org/","scope":["read:orders"]}`)
	api, err := authentication.New(t.Context(), n.domain, authentication.WithClientID(id), authentication.WithClientSecret(secret), authentication.WithClient(n.client()))
	must(t, err)
	return api, id
}

// hidden are the inputs of a form that the browser sends back.
var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// signIn opens a URL of /authorize in a browser, fills in the form and returns where the browser is sent.
func (n *tenant) signIn(t *testing.T, authorize, login, secret string) *url.URL {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	browser := n.client()
	browser.Jar = jar
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host != n.domain {
			return http.ErrUseLastResponse
		}
		return nil
	}
	page, err := browser.Get(authorize)
	must(t, err)
	text, err := io.ReadAll(page.Body)
	_ = page.Body.Close()
	must(t, err)
	form := url.Values{"login": {login}, "password": {secret}}
	for _, m := range hidden.FindAllStringSubmatch(string(text), -1) {
		if !form.Has(m[1]) && m[1] != "response" {
			form.Set(m[1], html.UnescapeString(m[2]))
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+n.domain+"/u/login", strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://"+n.domain)
	answer, err := browser.Do(r)
	must(t, err)
	defer answer.Body.Close()
	to, err := answer.Location()
	if err != nil {
		text, _ := io.ReadAll(answer.Body)
		t.Fatalf("no redirect after the form but %d: %.2000s", answer.StatusCode, text)
	}
	return to
}

func TestSignUpAndSignIn(t *testing.T) {
	t.Parallel()
	n, ctx := newTenant(t), t.Context()
	api, id := n.shop(t)

	ann, err := api.Database.Signup(ctx, database.SignupRequest{
		Connection: passwords, Email: "ann@example.org", Password: password, Name: "Ann", UserMetadata: &map[string]any{"color": "green"},
	})
	must(t, err)
	if ann.Email != "ann@example.org" || ann.ID == "" || ann.EmailVerified {
		t.Errorf("signed up %+v", ann)
	}

	// Code with PKCE, as a browser brings it.
	verifier := rand.Text() + rand.Text()
	digest := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id": {id}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid profile email offline_access read:orders"},
		"audience": {"https://orders.example.org/"}, "state": {"s"}, "nonce": {"nonce-1"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(digest[:])}, "code_challenge_method": {"S256"},
	}
	to := n.signIn(t, "https://"+n.domain+"/authorize?"+query.Encode(), "ann@example.org", password)
	if !strings.HasPrefix(to.String(), callback) || to.Query().Get("state") != "s" || to.Query().Get("iss") != "https://"+n.domain+"/" {
		t.Fatalf("sent to %s", to)
	}
	request := oauth.LoginWithAuthCodeWithPKCERequest{Code: to.Query().Get("code"), CodeVerifier: verifier, RedirectURI: callback}
	tokens, err := api.OAuth.LoginWithAuthCodeWithPKCE(ctx, request, oauth.IDTokenValidationOptions{Nonce: "nonce-1"})
	must(t, err)
	if tokens.AccessToken == "" || tokens.IDToken == "" || tokens.RefreshToken == "" || tokens.TokenType != "Bearer" {
		t.Errorf("tokens %+v", tokens)
	}
	if _, err := api.OAuth.LoginWithAuthCodeWithPKCE(ctx, request, oauth.IDTokenValidationOptions{Nonce: "nonce-1"}); err == nil {
		t.Error("a code was good twice")
	}

	user, err := api.UserInfo(ctx, tokens.AccessToken)
	// The first code came again, so what came of it is revoked (RFC 6749 section 4.1.2).
	if err == nil {
		t.Errorf("the token of a code that came twice is good still: %+v", user)
	}

	to = n.signIn(t, "https://"+n.domain+"/authorize?"+query.Encode(), "ann@example.org", password)
	request.Code = to.Query().Get("code")
	tokens, err = api.OAuth.LoginWithAuthCodeWithPKCE(ctx, request, oauth.IDTokenValidationOptions{Nonce: "nonce-1"})
	must(t, err)
	user, err = api.UserInfo(ctx, tokens.AccessToken)
	must(t, err)
	if user.Email != "ann@example.org" || user.Name != "Ann" || !strings.Contains(user.Sub, ann.ID) {
		t.Errorf("user %+v, signed up as %q", user, ann.ID)
	}

	next, err := api.OAuth.RefreshToken(ctx, oauth.RefreshTokenRequest{RefreshToken: tokens.RefreshToken}, oauth.IDTokenValidationOptions{})
	must(t, err)
	if next.RefreshToken == "" || next.RefreshToken == tokens.RefreshToken || next.AccessToken == tokens.AccessToken {
		t.Errorf("refreshed %+v", next)
	}
	must(t, api.OAuth.RevokeRefreshToken(ctx, oauth.RevokeRefreshTokenRequest{Token: next.RefreshToken}))
	if _, err := api.OAuth.RefreshToken(ctx, oauth.RefreshTokenRequest{RefreshToken: next.RefreshToken}, oauth.IDTokenValidationOptions{}); err == nil {
		t.Error("a refresh token that was revoked is good still")
	}

	// Password grant, for applications that list it.
	by, err := api.OAuth.LoginWithPassword(ctx, oauth.LoginWithPasswordRequest{
		Username: "ann@example.org", Password: password, Scope: "openid email", Audience: "https://orders.example.org/",
	}, oauth.IDTokenValidationOptions{})
	must(t, err)
	if by.AccessToken == "" || by.IDToken == "" {
		t.Errorf("tokens %+v", by)
	}
	if _, err := api.OAuth.LoginWithPassword(ctx, oauth.LoginWithPasswordRequest{Username: "ann@example.org", Password: "wrong", Scope: "openid"}, oauth.IDTokenValidationOptions{}); err == nil {
		t.Error("a wrong password was good")
	}

	machine, err := api.OAuth.LoginWithClientCredentials(ctx, oauth.LoginWithClientCredentialsRequest{Audience: "https://orders.example.org/"}, oauth.IDTokenValidationOptions{})
	must(t, err)
	if machine.Scope != "read:orders" || machine.AccessToken == "" || machine.RefreshToken != "" {
		t.Errorf("tokens %+v", machine)
	}
	if _, err := api.Database.ChangePassword(ctx, database.ChangePasswordRequest{Connection: passwords, Email: "ann@example.org"}); err != nil {
		t.Error(err)
	}
	if _, err := api.Database.ChangePassword(ctx, database.ChangePasswordRequest{Connection: passwords, Email: "nobody@example.org"}); err != nil {
		t.Errorf("it shows who has an account: %v", err)
	}
}
