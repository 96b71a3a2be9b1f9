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

// callback goes on with a request to sign in when the page for it is done. Only the browser that sent
// the request goes on with it: otherwise somebody could have another browser signed in as themselves
// (RFC 6749 section 10.12), or learn a code that another browser's user has earned.
func (p *Provider) callback(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	id := r.Form.Get("id")
	if id == "" || len(id) > 64 {
		p.errorPage(w, http.StatusBadRequest, "This address is incomplete.")
		return
	}
	req, err := directory.AuthRequests.Get(ctx, directory.Key(id))
	if errors.Is(err, directory.ErrNotFound) {
		p.errorPage(w, http.StatusBadRequest, "This request to sign in has ended or was too long ago. Please go back to the application and start again.")
		return
	}
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	if !directory.CheckBrowser(r, p.env.Issuer, req.BrowserDigest) {
		p.errorPage(w, http.StatusForbidden, "This request to sign in was started in another browser.")
		return
	}
	app, err := application(ctx, req.ClientID)
	if err != nil {
		if errors.Is(err, directory.ErrNotFound) {
			p.errorPage(w, http.StatusBadRequest, "The application that sent you here is not known any more.")
			return
		}
		p.faulty(w, r, err)
		return
	}
	if !redirects(app.Callbacks, app.Type == "native", req.RedirectURI) {
		p.errorPage(w, http.StatusBadRequest, "The address of the application is not registered for it any more.")
		return
	}
	ended, err := sessionEnded(ctx, req)
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	switch {
	case req.Error != "":
		p.end(w, r, req, req.Error, "the request was refused")
	case !req.Done || ended || !p.fresh(req):
		p.toLogin(w, r, req.ID)
	case r.Method == http.MethodPost:
		p.decideConsent(w, r, app, req)
	default:
		p.finish(w, r, app, req)
	}
}

// sessionEnded reports whether the session of the sign-in was revoked in the meantime.
func sessionEnded(ctx context.Context, req *directory.AuthRequest) (bool, error) {
	if req.SessionID == "" {
		return false, nil
	}
	_, err := directory.Sessions.Get(ctx, directory.Key(req.SessionID))
	if errors.Is(err, directory.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// fresh reports whether the user has signed in as lately as the request wants it.
func (p *Provider) fresh(req *directory.AuthRequest) bool {
	// Whoever signs in now may have done so just before the request was stored with a finer clock.
	if slices.Contains(req.Prompt, "login") && req.AuthTime.Before(req.Created.Truncate(time.Second)) {
		return false
	}
	if req.MaxAge == nil {
		return true
	}
	oldest := p.env.Now().Add(-time.Duration(*req.MaxAge) * time.Second)
	// What was fresh when the request came stays so while it is answered.
	if created := req.Created.Add(-time.Duration(*req.MaxAge) * time.Second); created.Before(oldest) {
		oldest = created
	}
	return !req.AuthTime.Before(oldest.Truncate(time.Second))
}

// finish ends a request whose user is known: by a code, or first by the question for consent.
func (p *Provider) finish(w http.ResponseWriter, r *http.Request, app *directory.Application, req *directory.AuthRequest) {
	ctx := r.Context()
	user, err := activeUser(ctx, req.UserID)
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	if user == nil {
		p.end(w, r, req, accessDenied, "the user may not sign in")
		return
	}
	asks, err := p.needsConsent(ctx, app, req)
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	if asks {
		if slices.Contains(req.Prompt, "none") {
			p.end(w, r, req, consentRequired, "the user has to consent")
			return
		}
		if err := directory.AuthRequests.Put(ctx, directory.Key(req.ID), req); err != nil {
			p.faulty(w, r, err)
			return
		}
		p.consentPage(w, app, req, user)
		return
	}
	code, err := p.issueCode(ctx, req)
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	if err := p.noteClient(ctx, req); err != nil {
		p.faulty(w, r, err)
		return
	}
	if err := directory.AuthRequests.Delete(ctx, directory.Key(req.ID)); err != nil && !errors.Is(err, directory.ErrNotFound) {
		p.faulty(w, r, err)
		return
	}
	p.respond(w, r, req, url.Values{"code": {code}})
}

// end ends a request by an error.
func (p *Provider) end(w http.ResponseWriter, r *http.Request, req *directory.AuthRequest, code, description string) {
	if err := directory.AuthRequests.Delete(r.Context(), directory.Key(req.ID)); err != nil && !errors.Is(err, directory.ErrNotFound) {
		p.faulty(w, r, err)
		return
	}
	p.respond(w, r, req, url.Values{"error": {code}, "error_description": {description}})
}
