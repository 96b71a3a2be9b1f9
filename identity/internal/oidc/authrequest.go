package oidc

import (
	"crypto/rand"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

const (
	// signInTime is how long a user may take to sign in.
	signInTime = time.Hour
	// acrMFA is the class of authentication by several factors, by the name that Auth0 gives it.
	acrMFA = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"
)

// parseAuthRequest reads the parameters of a request to sign in, of which client and redirect URI
// are known to be good. The request it returns is there also with a refusal, so that it can be answered.
func parseAuthRequest(app *directory.Application, form url.Values, now time.Time) (*directory.AuthRequest, *refusal) {
	r := &directory.AuthRequest{
		ID: rand.Text(), ClientID: app.ClientID, RedirectURI: form.Get("redirect_uri"),
		ResponseType: form.Get("response_type"), State: form.Get("state"), Nonce: form.Get("nonce"),
		Connection: form.Get("connection"), LoginHint: form.Get("login_hint"), ScreenHint: form.Get("screen_hint"),
		UILocales: form.Get("ui_locales"), Challenge: form.Get("code_challenge"),
		Scopes: words(form.Get("scope")), ACRValues: words(form.Get("acr_values")), Prompt: words(form.Get("prompt")),
		Created: now, Expires: now.Add(signInTime),
	}
	if len(r.State) > 4096 {
		r.State = ""
		return r, refuse(invalidRequest, "state has more than 4096 bytes")
	}
	if form.Get("response_mode") == "form_post" {
		r.ResponseMode = "form_post"
	}
	for name, values := range form {
		if name != "state" && name != "redirect_uri" && name != "id_token_hint" && len(values[0]) > 2048 {
			return r, refuse(invalidRequest, "the parameter %q has more than 2048 bytes", name)
		}
	}
	switch {
	case form.Has("request"):
		return r, refuse("request_not_supported", "request objects are not supported")
	case form.Has("request_uri"):
		return r, refuse("request_uri_not_supported", "request objects are not supported")
	case form.Has("registration"):
		return r, refuse("registration_not_supported", "registration is not supported")
	case r.ResponseType == "":
		return r, refuse(invalidRequest, "response_type is missing")
	case r.ResponseType != "code":
		return r, refuse(unsupportedResponseType, "the response_type must be code")
	case !slices.Contains(app.GrantTypes, grantCode):
		return r, refuse(unauthorizedClient, "the application may not use the authorization code grant")
	case !slices.Contains([]string{"", "query", "form_post"}, form.Get("response_mode")):
		return r, refuse(invalidRequest, "the response_mode must be query or form_post")
	case len(r.Scopes) > 100 || len(r.ACRValues) > 10:
		return r, refuse(invalidRequest, "there are too many scopes or acr_values")
	}
	if refused := checkChallenge(app, form); refused != nil {
		return r, refused
	}
	if refused := parsePrompt(r, form); refused != nil {
		return r, refused
	}
	var refused *refusal
	r.Audience, refused = audienceOf(form)
	return r, refused
}

// checkChallenge wants PKCE by S256 (RFC 7636): plain is refused, and a public client must use it.
func checkChallenge(app *directory.Application, form url.Values) *refusal {
	challenge, method := form.Get("code_challenge"), form.Get("code_challenge_method")
	switch {
	case challenge == "" && method != "":
		return refuse(invalidRequest, "code_challenge is missing")
	case challenge == "" && isPublic(app):
		return refuse(invalidRequest, "a public client must send a code_challenge")
	case challenge == "":
		return nil
	case method != "S256":
		return refuse(invalidRequest, "the code_challenge_method must be S256")
	case len(challenge) != 43 || strings.Trim(challenge, unreserved) != "":
		return refuse(invalidRequest, "the code_challenge is no SHA-256 in base64url")
	}
	return nil
}

// unreserved are the characters of challenges and verifiers.
const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// parsePrompt reads prompt and max_age.
func parsePrompt(r *directory.AuthRequest, form url.Values) *refusal {
	for _, one := range r.Prompt {
		switch one {
		case "none", "login", "consent", "select_account":
		case "create": // Initiating User Registration via OpenID Connect
			r.ScreenHint = "signup"
		default:
			return refuse(invalidRequest, "the prompt must be none, login, consent, select_account or create")
		}
	}
	if slices.Contains(r.Prompt, "none") && len(r.Prompt) > 1 {
		return refuse(invalidRequest, "the prompt none stands alone")
	}
	if text := form.Get("max_age"); text != "" {
		age, err := strconv.Atoi(text)
		if err != nil || age < 0 || age > 1<<31-1 {
			return refuse(invalidRequest, "max_age must be a number of seconds")
		}
		r.MaxAge = &age
	}
	return nil
}

// audienceOf returns the API that a request names by Auth0's audience or by resource (RFC 8707).
func audienceOf(form url.Values) (string, *refusal) {
	names := slices.DeleteFunc(slices.Concat(form["audience"], form["resource"]), func(s string) bool { return s == "" })
	slices.Sort(names)
	names = slices.Compact(names)
	switch {
	case len(names) > 1:
		return "", refuse(invalidTarget, "a token is for one audience only")
	case len(names) == 0:
		return "", nil
	}
	return names[0], nil
}

// words splits a list at its spaces; what comes twice comes once.
func words(text string) []string {
	var list []string
	for _, one := range strings.Split(text, " ") {
		if one != "" && !slices.Contains(list, one) {
			list = append(list, one)
		}
	}
	return list
}

// isPublic reports whether an application cannot keep a secret.
func isPublic(app *directory.Application) bool { return app.AuthMethod == "none" }
