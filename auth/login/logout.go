package login

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// logoutPatience is how long a person who signs out waits for the issuer.
	logoutPatience = 3 * time.Second
	// maxIDTokenHint bounds an ID token in an address: servers refuse long ones.
	maxIDTokenHint = 4 << 10
)

// confirmLogout asks whether to sign out: a link must not do it.
func (l *Login) confirmLogout(w http.ResponseWriter, r *http.Request) {
	p := page{Title: "Sign out", Text: []string{"Do you want to sign out?"}, Links: []pageLink{{"/", "To the start page"}}}
	p.Post = &pageLink{l.logoutPath, "Sign out"}
	if meta := l.patiently(r.Context()); meta != nil {
		if u, err := url.Parse(meta.EndSession); err == nil && u.Host != "" {
			p.formTo = u.Scheme + "://" + u.Host
		}
	}
	p.write(w, http.StatusOK)
}

// logout ends the session here, and then at the issuer.
func (l *Login) logout(w http.ResponseWriter, r *http.Request) {
	secretPage(w.Header())
	if err := l.sameOrigin.Check(r); err != nil {
		page{
			Title: "You are still signed in", Text: []string{"Another site asked to sign you out."},
			Links: []pageLink{{l.logoutPath, "Sign out"}, {"/", "To the start page"}},
		}.write(w, http.StatusForbidden)
		return
	}
	home := l.LogoutURI()
	key, ok := l.sessionKey(r)
	if !ok {
		http.SetCookie(w, l.cookie(l.sessionCookie, "", -1))
		http.Redirect(w, r, home, http.StatusSeeOther)
		return
	}
	s, err := l.load(r.Context(), key)
	if err == nil || errors.Is(err, ErrNoSession) {
		err = l.end(r.Context(), key)
	}
	if err != nil {
		// The cookie stays, so that the person can try again.
		l.fail(w, r, failure{
			status: http.StatusServiceUnavailable, title: "You are still signed in", cause: err,
			text: "The session could not be ended. Please try again in a minute.",
		})
		return
	}
	http.SetCookie(w, l.cookie(l.sessionCookie, "", -1))
	if s == nil {
		http.Redirect(w, r, home, http.StatusSeeOther)
		return
	}
	l.config.Logger.InfoContext(r.Context(), "login: signed out", "subject", s.Subject)
	meta := l.patiently(r.Context())
	if meta != nil {
		l.revoke(r.Context(), s.Refresh)
		home = l.endSession(meta, s)
	}
	http.Redirect(w, r, home, http.StatusSeeOther)
}

// patiently returns what is known of the issuer; nil if that is nothing in the time that a person waits.
func (l *Login) patiently(ctx context.Context) *metadata {
	ctx, cancel := context.WithTimeout(ctx, logoutPatience)
	defer cancel()
	meta, err := l.issuer.metadata(ctx, &l.config)
	if err != nil {
		return nil
	}
	return meta
}

// endSession is the address at which the issuer ends its session and sends the browser back (OpenID Connect
// RP-Initiated Logout); the application's own if it has none. There is no state: nothing waits for the return.
func (l *Login) endSession(meta *metadata, s *session) string {
	u, err := url.Parse(meta.EndSession)
	if err != nil || meta.EndSession == "" {
		return l.LogoutURI()
	}
	query := u.Query()
	query.Set("client_id", l.config.ClientID)
	query.Set("post_logout_redirect_uri", l.LogoutURI())
	if len(s.IDToken) <= maxIDTokenHint {
		query.Set("id_token_hint", s.IDToken)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// revoke tells the issuer that a refresh token is not used any more (RFC 7009), if it takes that.
func (l *Login) revoke(ctx context.Context, refreshToken string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutPatience)
	defer cancel()
	meta, err := l.issuer.metadata(ctx, &l.config)
	if err != nil || meta.Revocation == "" || refreshToken == "" {
		return
	}
	secret, err := l.config.secret(ctx)
	if err != nil {
		l.config.Logger.WarnContext(ctx, "login: a refresh token was not revoked", "error", err)
		return
	}
	form := url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}}
	if meta.style == oauth2.AuthStyleInParams {
		form.Set("client_id", l.config.ClientID)
		if secret != "" {
			form.Set("client_secret", secret)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, meta.Revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if meta.style == oauth2.AuthStyleInHeader {
		r.SetBasicAuth(url.QueryEscape(l.config.ClientID), url.QueryEscape(secret))
	}
	resp, err := l.issuer.client.Do(r)
	if err != nil {
		l.config.Logger.WarnContext(ctx, "login: a refresh token was not revoked", "error", short(err))
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection can be used again
	if resp.StatusCode != http.StatusOK {
		l.config.Logger.WarnContext(ctx, "login: a refresh token was not revoked", "status", resp.StatusCode)
	}
}
