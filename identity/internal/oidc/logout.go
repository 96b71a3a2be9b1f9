package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// logout serves RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0). Who comes with an ID token of the session is
// signed out at once; others are asked first, so that no page can sign its visitors out. The browser goes on to an
// address only if it is one of the client's, byte for byte.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	ctx, form := r.Context(), r.Form
	clientID := form.Get("client_id")
	var h *hint
	if text := form.Get("id_token_hint"); text != "" {
		var err error
		if h, err = p.readHint(ctx, text); err != nil {
			p.faulty(w, r, err)
			return
		}
		if h == nil || clientID != "" && h.Client[0] != clientID {
			p.errorPage(w, http.StatusBadRequest, "The application sent a proof of sign-in that is not valid.")
			return
		}
		clientID = h.Client[0]
	}
	to, err := p.afterLogout(ctx, clientID, form.Get("post_logout_redirect_uri"), form.Get("state"))
	if err != nil {
		p.logoutFailed(w, r, err)
		return
	}
	session, err := p.options.Sessions.Current(r)
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	if session != nil && !(h != nil && h.Subject == session.UserID && (h.Session == "" || h.Session == sidOf(session.ID))) && !p.confirmed(form.Get("confirm"), session) {
		hidden := map[string]string{"confirm": p.confirmation(session)}
		for _, name := range []string{"client_id", "id_token_hint", "post_logout_redirect_uri", "state"} {
			if form.Has(name) {
				hidden[name] = form.Get(name)
			}
		}
		p.page(w, http.StatusOK, logoutPage, map[string]any{"Title": "Sign out", "Action": PathLogout, "Hidden": hidden})
		return
	}
	p.signOut(w, r, session, to)
}

// logoutV2 serves Auth0's logout, which does not ask.
func (p *Provider) logoutV2(w http.ResponseWriter, r *http.Request) {
	to, err := p.afterLogout(r.Context(), r.Form.Get("client_id"), r.Form.Get("returnTo"), "")
	if err != nil {
		p.logoutFailed(w, r, err)
		return
	}
	session, err := p.options.Sessions.Current(r)
	if err != nil {
		p.faulty(w, r, err)
		return
	}
	p.signOut(w, r, session, to)
}

func (p *Provider) logoutFailed(w http.ResponseWriter, r *http.Request, err error) {
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		p.errorPage(w, http.StatusBadRequest, refused.description)
		return
	}
	p.faulty(w, r, err)
}

// afterLogout is where the browser goes after a logout; empty is a page of the provider.
func (p *Provider) afterLogout(ctx context.Context, clientID, uri, state string) (string, error) {
	if clientID == "" && uri == "" {
		return "", nil
	}
	bad := refuse(invalidRequest, "The application asks to go on at an address that is not registered for it.")
	if clientID == "" {
		return "", bad
	}
	app, err := application(ctx, clientID)
	if errors.Is(err, directory.ErrNotFound) {
		return "", refuse(invalidRequest, "The application that sent you here is not known.")
	}
	if err != nil || uri == "" {
		return "", err
	}
	if !slices.Contains(app.AllowedLogoutURLs, uri) {
		return "", bad
	}
	if state == "" || len(state) > 4096 {
		return uri, nil
	}
	to, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += url.Values{"state": {state}}.Encode()
	return to.String(), nil
}

// signOut ends a session, which may be nil, and sends the browser on.
func (p *Provider) signOut(w http.ResponseWriter, r *http.Request, session *directory.Session, to string) {
	ctx := r.Context()
	if session != nil {
		if err := p.endSession(ctx, w, r, session); err != nil {
			p.faulty(w, r, err)
			return
		}
	}
	if to == "" {
		p.page(w, http.StatusOK, donePage, map[string]string{"Title": "Signed out"})
		return
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

func (p *Provider) endSession(ctx context.Context, w http.ResponseWriter, r *http.Request, session *directory.Session) error {
	if sessions, ok := p.options.Sessions.(ender); ok {
		return sessions.EndSession(ctx, w, r)
	}
	if err := directory.Sessions.Delete(ctx, directory.Key(session.ID)); err != nil && !errors.Is(err, directory.ErrNotFound) {
		return err
	}
	return p.note(ctx, directory.AuditLogout, session.UserID, session.UserID, "", "")
}

// confirmation is what the form of a session has, so that only the provider's own page can end it.
type confirmation struct {
	Session string    `json:"session"`
	Expires time.Time `json:"expires"`
}

const confirmPurpose = "identity logout confirmation"

func (p *Provider) confirmation(session *directory.Session) string {
	plain, err := json.Marshal(confirmation{session.ID, p.env.Now().Add(10 * time.Minute)})
	if err != nil {
		return ""
	}
	sealed, err := p.env.Seal.Seal(confirmPurpose, plain)
	if err != nil {
		p.env.Log.Error("a form cannot be sealed", "error", err)
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sealed)
}

func (p *Provider) confirmed(text string, session *directory.Session) bool {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) == 0 {
		return false
	}
	plain, err := p.env.Seal.Open(confirmPurpose, sealed)
	if err != nil {
		return false
	}
	var c confirmation
	return json.Unmarshal(plain, &c) == nil && c.Session == session.ID && p.env.Now().Before(c.Expires)
}
