package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// authorize serves the authorization endpoint (RFC 6749 section 3.1). Errors of which client or redirect
// URI are the cause are shown to the user; nobody is redirected to where nobody vouches for (section
// 4.1.2.1).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	app, err := application(ctx, r.Form.Get("client_id"))
	switch {
	case errors.Is(err, directory.ErrNotFound):
		p.errorPage(w, http.StatusBadRequest, "The application that sent you here is not known.")
		return
	case err != nil:
		p.faulty(w, r, err)
		return
	case !redirects(app.Callbacks, app.Type == "native", r.Form.Get("redirect_uri")):
		p.unregistered(w, r, app, r.Form.Get("redirect_uri"))
		return
	}
	req, refused := parseAuthRequest(app, r.Form, p.env.Now())
	if refused == nil {
		refused, err = p.checkAuthRequest(ctx, app, req)
	}
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	if refused != nil {
		p.respond(w, r, req, url.Values{"error": {refused.code}, "error_description": {refused.description}})
		return
	}
	req.BrowserDigest = requestOf(ctx).browser
	session, err := p.usable(r, app, req)
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	if session != nil {
		req.UserID, req.SessionID, req.AuthTime, req.Methods, req.Done = session.UserID, session.ID, session.AuthTime, session.Methods, true
		p.finish(w, r, app, req)
		return
	}
	if slices.Contains(req.Prompt, "none") {
		p.respond(w, r, req, url.Values{"error": {loginRequired}, "error_description": {"the user is not signed in"}})
		return
	}
	if err := directory.AuthRequests.Insert(ctx, directory.Key(req.ID), req); err != nil {
		p.faulty(w, r, err)
		return
	}
	p.toLogin(w, r, req.ID)
}

// toLogin sends the browser to the page for signing in.
func (p *Provider) toLogin(w http.ResponseWriter, r *http.Request, id string) {
	http.Redirect(w, r, p.url(p.options.LoginPath)+"?state="+url.QueryEscape(id), http.StatusSeeOther)
}

// checkAuthRequest checks what needs the directory, and leaves the scopes that the API knows.
func (p *Provider) checkAuthRequest(ctx context.Context, app *directory.Application, req *directory.AuthRequest) (*refusal, error) {
	api, err := p.target(ctx, req.Audience)
	if errors.Is(err, directory.ErrNotFound) {
		return refuse(invalidTarget, "there is no API with that identifier"), nil
	}
	if err != nil {
		return nil, err
	}
	req.Scopes = knownScopes(app, api, req.Scopes)
	return nil, nil
}

// usable returns the session of the browser if it spares the user to sign in for a request.
func (p *Provider) usable(r *http.Request, app *directory.Application, req *directory.AuthRequest) (*directory.Session, error) {
	session, err := p.options.Sessions.Current(r)
	if err != nil || session == nil {
		return nil, err
	}
	if slices.Contains(req.Prompt, "login") || slices.Contains(req.Prompt, "select_account") || req.ScreenHint == "signup" {
		return nil, nil
	}
	if req.MaxAge != nil && (*req.MaxAge == 0 || p.env.Now().Sub(session.AuthTime) > time.Duration(*req.MaxAge)*time.Second) {
		return nil, nil
	}
	if slices.Contains(req.ACRValues, acrMFA) && !slices.Contains(session.Methods, "mfa") {
		return nil, nil
	}
	user, err := activeUser(r.Context(), session.UserID)
	if err != nil || user == nil {
		return nil, err
	}
	if req.Connection != "" && !slices.ContainsFunc(user.Identities, func(i directory.Identity) bool { return i.Connection == req.Connection }) && user.Connection != req.Connection {
		return nil, nil
	}
	if may, err := p.env.MayUse(r.Context(), app, user); err != nil || !may {
		return nil, err
	}
	if hint := r.Form.Get("id_token_hint"); hint != "" {
		claims, err := p.readHint(r.Context(), hint)
		if err != nil || claims == nil || claims.Subject != user.ID {
			return nil, err
		}
	}
	return session, nil
}

// faulty ends a request that cannot be served: its unit of work does not commit.
func (p *Provider) faulty(w http.ResponseWriter, r *http.Request, err error) {
	requestOf(r.Context()).fault = err
	w.WriteHeader(http.StatusInternalServerError)
}
