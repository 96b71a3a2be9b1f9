package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/table"
)

// consent is what a user has allowed an application. Its key is the user and the client.
type consent struct {
	// Scopes are by the audience they were allowed for; "" is the userinfo endpoint.
	Scopes map[string][]string `json:"scopes"`
	Given  time.Time           `json:"given"`
}

var consents = table.Of[consent]("perdure.consents")

// needsConsent reports whether a user must be asked for consent to a request.
func (p *Provider) needsConsent(ctx context.Context, app *directory.Application, req *directory.AuthRequest) (bool, error) {
	if slices.Contains(req.Prompt, "consent") {
		return true, nil
	}
	if app.FirstParty {
		api, err := p.target(ctx, req.Audience)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return false, err
		}
		if api == nil || api.SkipConsent || api.System {
			return false, nil
		}
	}
	given, err := consents.Get(ctx, directory.Key2(req.UserID, app.ClientID))
	if errors.Is(err, directory.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, scope := range req.Scopes {
		if !slices.Contains(given.Scopes[req.Audience], scope) {
			return true, nil
		}
	}
	_, asked := given.Scopes[req.Audience]
	return !asked, nil
}

// scopeTexts say what the scopes of OpenID Connect mean.
var scopeTexts = map[string]string{
	scopeOpenID:  "know who you are",
	scopeProfile: "your name and picture",
	scopeEmail:   "your e-mail address",
	scopePhone:   "your phone number",
	scopeOffline: "access while you are not there",
}

// consentPage asks the user for consent.
func (p *Provider) consentPage(w http.ResponseWriter, app *directory.Application, req *directory.AuthRequest, user *directory.User) {
	var asked []string
	for _, scope := range req.Scopes {
		text := scopeTexts[scope]
		if text == "" {
			text = scope
			if req.Audience != "" {
				text += " (" + req.Audience + ")"
			}
		}
		asked = append(asked, text)
	}
	name := user.Name
	if name == "" {
		name = user.Email
	}
	p.page(w, http.StatusOK, consentPage, map[string]any{
		"Title": "Allow access", "User": name, "App": app.Name, "Scopes": asked, "ID": req.ID, "Action": PathCallback,
	})
}

// decideConsent handles the user's answer. The browser's cookie, which no other site's form carries,
// was checked.
func (p *Provider) decideConsent(w http.ResponseWriter, r *http.Request, app *directory.Application, req *directory.AuthRequest) {
	ctx := r.Context()
	if r.Form.Get("consent") != "allow" {
		p.end(w, r, req, accessDenied, "the user did not consent")
		return
	}
	key := directory.Key2(req.UserID, app.ClientID)
	given, err := consents.Get(ctx, key)
	if errors.Is(err, directory.ErrNotFound) {
		given, err = &consent{}, nil
	}
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	if given.Scopes == nil {
		given.Scopes = map[string][]string{}
	}
	all := slices.Concat(given.Scopes[req.Audience], req.Scopes)
	slices.Sort(all)
	given.Scopes[req.Audience], given.Given = slices.Compact(all), p.env.Now()
	if given.Scopes[req.Audience] == nil {
		given.Scopes[req.Audience] = []string{}
	}
	if err := consents.Put(ctx, key, given); err != nil {
		p.faulty(w, r, err)
		return
	}
	if err := p.note(ctx, directory.AuditConsent, req.UserID, app.ClientID, app.ClientID, ""); err != nil {
		p.faulty(w, r, err)
		return
	}
	req.Prompt = slices.DeleteFunc(req.Prompt, func(s string) bool { return s == "consent" })
	p.finish(w, r, app, req)
}

// note writes an entry of the audit log.
func (p *Provider) note(ctx context.Context, kind, actor, target, client, detail string) error {
	state := requestOf(ctx)
	by := directory.Actor{Subject: actor, Client: client, IP: state.ip, Agent: state.agent}
	return p.env.Audit(ctx, by.Entry(kind, target, detail))
}
