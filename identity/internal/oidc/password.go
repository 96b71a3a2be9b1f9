package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/perdure/perdure/identity/internal/directory"
)

// password serves the password grant (RFC 6749 section 4.3), which the library does not have. RFC 9700
// section 2.4 forbids it; it is for applications of the first party that list it, such as those that use Auth0's
// libraries for it, and nobody has it by default.
func (p *Provider) password(w http.ResponseWriter, r *http.Request) {
	t, err := p.passwordTokens(r.Context(), r)
	if err == nil {
		writeJSON(w, http.StatusOK, t)
		return
	}
	refused := (*refusal)(nil)
	if !errors.As(err, &refused) {
		p.faulty(w, r, err)
		return
	}
	writeRefusal(w, r, refused)
}

func (p *Provider) passwordTokens(ctx context.Context, r *http.Request) (*tokens, error) {
	if p.options.People == nil {
		return nil, refuse(unsupportedGrantType, "passwords are not accepted")
	}
	form := r.Form
	c := credentials{id: form.Get("client_id"), secret: form.Get("client_secret"), assertion: form.Get("client_assertion")}
	if id, secret, ok := r.BasicAuth(); ok {
		var err1, err2 error
		c.id, err1 = url.QueryUnescape(id)
		c.secret, err2 = url.QueryUnescape(secret)
		if err1 != nil || err2 != nil {
			return nil, errClient
		}
	}
	client, err := p.authenticate(ctx, c)
	if err != nil {
		return nil, err
	}
	app := client.app
	if app == nil || !app.FirstParty || !slices.Contains(app.GrantTypes, grantPassword) {
		return nil, refuse(unauthorizedClient, "the application may not use this grant")
	}
	connection := form.Get("realm")
	if connection == "" {
		connection = directory.DefaultConnection
	}
	if len(app.Connections) > 0 && !slices.Contains(app.Connections, connection) {
		return nil, refuse(invalidRequest, "the application does not offer this connection")
	}
	login, secret := form.Get("username"), form.Get("password")
	if login == "" || secret == "" {
		return nil, refuse(invalidRequest, "username or password is missing")
	}
	audience, refused := audienceOf(form)
	if refused != nil {
		return nil, refused
	}
	user, err := p.options.People.CheckPassword(ctx, connection, login, secret, requestOf(ctx).ip)
	if errors.Is(err, ErrPassword) {
		return nil, &refusal{invalidGrant, ErrPassword.Error(), http.StatusForbidden}
	}
	if err != nil {
		return nil, err
	}
	if user.Blocked {
		return nil, &refusal{invalidGrant, ErrPassword.Error(), http.StatusForbidden}
	}
	if len(user.SecondFactors) > 0 {
		return nil, &refusal{"mfa_required", "the user signs in with a second factor", http.StatusForbidden}
	}
	return p.userTokens(ctx, app, user, &signIn{
		Grant: newGrantID(), Audience: audience, Scopes: words(form.Get("scope")), AuthTime: p.env.Now(), Methods: []string{"pwd"},
	})
}
