package login

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/perdure/perdure/auth"
)

const (
	maxCallbackQuery = 16 << 10
	maxToken         = 64 << 10 // bytes of one token
)

// callback is where the issuer sends the browser back to.
func (l *Login) callback(w http.ResponseWriter, r *http.Request) {
	secretPage(w.Header())
	query, err := callbackQuery(r.URL.RawQuery)
	if err != nil {
		l.fail(w, r, failure{status: http.StatusBadRequest, title: "Sign-in failed", cause: err, returnTo: "/", text: "The answer of the sign-in service makes no sense."})
		return
	}
	p, ok := l.takePending(w, r, query.Get("state"))
	if !ok {
		// Login CSRF (RFC 6749 section 10.12), or a person who took too long, went back, or lost the cookie.
		l.fail(w, r, failure{
			status: http.StatusBadRequest, title: "Sign-in failed", returnTo: "/", cause: errors.New("no sign-in under way has this state"),
			text: "This sign-in took too long, was used already, or began in another browser.",
		})
		return
	}
	meta, err := l.issuer.metadata(r.Context(), &l.config)
	if err == nil {
		// Whatever else the answer says counts only if it is this issuer's (mix-up, RFC 9207).
		err = l.checkIssuer(meta, query)
	}
	if err == nil && query.Get("error") != "" {
		l.fail(w, r, refusal(query, p))
		return
	}
	var s *session
	if err == nil {
		s, err = l.redeem(r.Context(), meta, query.Get("code"), p)
	}
	if err == nil {
		err = l.signIn(w, r, s)
	}
	if err != nil {
		l.fail(w, r, brokenSignIn(err, p))
		return
	}
	l.config.Logger.InfoContext(r.Context(), "login: signed in", "subject", s.Subject)
	http.Redirect(w, r, l.base.String()+l.returnTo(p.ReturnTo), http.StatusSeeOther)
}

// callbackQuery parses the query of a callback. A parameter that is there twice could mean two things (RFC 6749
// section 3.1).
func callbackQuery(raw string) (url.Values, error) {
	if len(raw) > maxCallbackQuery {
		return nil, errors.New("the query is too long")
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.New("the query cannot be parsed")
	}
	for name, values := range query {
		if len(values) > 1 {
			return nil, fmt.Errorf("the parameter %.50q is there twice", name)
		}
	}
	return query, nil
}

// checkIssuer checks that the answer comes from the issuer that was asked.
func (l *Login) checkIssuer(meta *metadata, query url.Values) error {
	_, there := query["iss"]
	if !there && !meta.SendsIssuer {
		return nil
	}
	if got := query.Get("iss"); got != l.config.Issuer {
		return fmt.Errorf("the answer is of the issuer %.200q, not %q", got, l.config.Issuer)
	}
	return nil
}

// refusal is what a person is told when the issuer refused.
func refusal(query url.Values, p pending) failure {
	code := query.Get("error")
	f := failure{
		status: http.StatusBadRequest, title: "Sign-in failed", returnTo: p.ReturnTo,
		text:  "The sign-in service refused.",
		cause: fmt.Errorf("the issuer answered %.100q: %.300q", code, query.Get("error_description")),
	}
	switch code {
	case "access_denied":
		f.status, f.title, f.text = http.StatusForbidden, "You are not signed in", "The sign-in was cancelled, or you are not allowed in."
	case "temporarily_unavailable", "server_error":
		f.status, f.text = http.StatusServiceUnavailable, "The sign-in service has a problem. Please try again in a minute."
	}
	if detail := plainText(query.Get("error_description"), 200); detail != "" {
		f.detail = "It says: " + detail
	}
	return f
}

// plainText keeps the printable ASCII of a text, as RFC 6749 has it, cut to a length.
func plainText(text string, length int) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, text[:min(len(text), length)])
}

// brokenSignIn is what a person is told when the answer was good but led to nothing.
func brokenSignIn(err error, p pending) failure {
	f := failure{
		status: http.StatusBadRequest, title: "Sign-in failed", returnTo: p.ReturnTo, cause: err,
		text: "The sign-in could not be completed.",
	}
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		f.status, f.text = http.StatusServiceUnavailable, "The service that signs people in cannot be reached at the moment. Please try again in a minute."
	case isRefused(err, "invalid_client"), isRefused(err, "unauthorized_client"):
		f.status, f.text = http.StatusInternalServerError, "This application is not registered correctly at the sign-in service."
	case errors.Is(err, errStore):
		f.status, f.text = http.StatusServiceUnavailable, "The sign-in could not be kept. Please try again in a minute."
	}
	return f
}

// redeem turns a code into a session.
func (l *Login) redeem(ctx context.Context, meta *metadata, code string, p pending) (*session, error) {
	if code == "" {
		return nil, errors.New("the answer has no code")
	}
	ctx, cancel := l.issuerContext(ctx)
	defer cancel()
	client, err := l.oauthWith(ctx, meta)
	if err != nil {
		return nil, err
	}
	token, err := client.Exchange(ctx, code, oauth2.VerifierOption(p.Verifier))
	if err != nil {
		return nil, issuerError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, errors.New("the issuer sent no ID token")
	}
	id, claims, err := l.verifyIDToken(ctx, meta, raw, token.AccessToken)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(p.Nonce)) != 1 {
		return nil, errors.New("the ID token has another nonce: it was not made for this sign-in")
	}
	now := l.config.Now()
	s := &session{
		Subject: id.Subject, SID: claimText(claims, "sid"), Created: now, Seen: now,
		IDToken: raw, IDClaims: claims,
	}
	s.take(token, now)
	if s.Name = displayName(claims); s.Name == "" {
		s.Name = l.askName(ctx, meta, s.Subject, token)
	}
	if err := l.identify(ctx, s); err != nil {
		return nil, fmt.Errorf("access token: %w", err)
	}
	return s, nil
}

// askName asks the issuer what to call a person whom the ID token does not name: many issuers say that at the
// userinfo endpoint alone (OpenID Connect Core section 5.4). It is no loss when they do not.
func (l *Login) askName(ctx context.Context, meta *metadata, subject string, token *oauth2.Token) string {
	if _, err := endpointURL(meta.provider.UserInfoEndpoint()); err != nil {
		return ""
	}
	info, err := meta.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return "" // such as for a token that is for an API alone
	}
	var claims map[string]any
	// An answer about another could come from a token that was substituted (section 5.3.4).
	if err := info.Claims(&claims); err != nil || info.Subject != subject {
		return ""
	}
	return displayName(claims)
}

// verifyIDToken checks an ID token as OpenID Connect Core section 3.1.3.7 says, except for its nonce, and that the
// access token is the one it came with.
func (l *Login) verifyIDToken(ctx context.Context, meta *metadata, raw, access string) (*oidc.IDToken, map[string]any, error) {
	if len(raw) > maxToken || len(access) > maxToken {
		return nil, nil, errors.New("the issuer sent a token that is too large")
	}
	id, err := meta.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, nil, fmt.Errorf("ID token: %w", err)
	}
	claims, err := claimsOf(id)
	if err != nil {
		return nil, nil, fmt.Errorf("ID token: %w", err)
	}
	// A token for several audiences is ours only if it was issued to us.
	azp := claimText(claims, "azp")
	if len(id.Audience) > 1 && azp == "" || azp != "" && azp != l.config.ClientID {
		return nil, nil, fmt.Errorf("ID token: it was issued to %.200q", azp)
	}
	if id.Subject == "" {
		return nil, nil, errors.New("ID token: it has no subject")
	}
	if id.AccessTokenHash != "" && access != "" {
		if err := id.VerifyAccessToken(access); err != nil {
			return nil, nil, fmt.Errorf("ID token: %w", err)
		}
	}
	return id, claims, nil
}

// claimsOf decodes the claims of an ID token, numbers as json.Number.
func claimsOf(id *oidc.IDToken) (map[string]any, error) {
	var raw json.RawMessage
	if err := id.Claims(&raw); err != nil {
		return nil, err
	}
	var claims map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		return nil, errors.New("its claims are no JSON object")
	}
	return claims, nil
}

func claimText(claims map[string]any, name string) string {
	text, _ := claims[name].(string)
	return text
}

// identify makes the principal of a session.
func (l *Login) identify(ctx context.Context, s *session) error {
	if l.verifier == nil {
		s.Principal = l.principalOfIDToken(s)
		return nil
	}
	p, err := l.verifier.Verify(ctx, s.Access)
	if err != nil {
		return err
	}
	if p.Subject != s.Subject || p.Issuer != l.config.Issuer {
		return fmt.Errorf("%w: the access token is of another subject than the ID token", auth.ErrUnauthenticated)
	}
	one := *p // the verifier may keep its own
	switch {
	case s.Name != "":
		one.Name = s.Name
	case one.Name == one.ClientID: // a person is not called by the application's name
		one.Name = one.Subject
	}
	if s.AccessExpires.IsZero() || !one.Expires.IsZero() && one.Expires.Before(s.AccessExpires) {
		s.AccessExpires = one.Expires // whatever the answer said about it
	}
	s.Principal = &one
	return nil
}

// displayName is what the ID token calls the person; empty if it does not.
func displayName(claims map[string]any) string {
	for _, name := range []string{"name", "preferred_username", "nickname", "email"} {
		if text := claimText(claims, name); text != "" {
			return text
		}
	}
	return ""
}

// principalOfIDToken makes a principal of the claims of the ID token and the scopes that were granted.
func (l *Login) principalOfIDToken(s *session) *auth.Principal {
	p := &auth.Principal{
		Subject: s.Subject, Issuer: l.config.Issuer, Name: s.Name, ClientID: l.config.ClientID,
		Permissions: claimList(s.IDClaims["permissions"]), Roles: claimList(s.IDClaims["roles"]),
		Scopes: sorted(strings.Fields(s.Scope)), Expires: s.Created.Add(l.config.Lifetime), Claims: s.IDClaims,
	}
	if p.Name == "" {
		p.Name = p.Subject
	}
	return p
}

func claimList(value any) (names []string) {
	list, _ := value.([]any)
	for _, one := range list {
		if name, ok := one.(string); ok {
			names = append(names, name)
		}
	}
	return sorted(names)
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// signIn keeps a session and gives the browser its cookie: always a new one, so that a cookie that somebody planted
// before is worth nothing (session fixation). The browser's earlier session ends.
func (l *Login) signIn(w http.ResponseWriter, r *http.Request, s *session) error {
	if old, ok := l.sessionKey(r); ok {
		if err := l.store.Delete(r.Context(), old); err != nil {
			return fmt.Errorf("%w: %w", errStore, err)
		}
	}
	value := newSessionCookie()
	s.Key = keyOf(value)
	if err := l.save(r.Context(), s); err != nil {
		return err
	}
	http.SetCookie(w, l.cookie(l.sessionCookie, value, 0))
	return nil
}

// take takes over the tokens of an answer. An answer without a refresh token leaves the old one good.
func (s *session) take(token *oauth2.Token, now time.Time) {
	s.Access, s.AccessFrom, s.AccessExpires = token.AccessToken, now, time.Time{}
	if token.ExpiresIn > 0 {
		// By our clock, which is the one that is asked later.
		s.AccessExpires = now.Add(time.Duration(min(token.ExpiresIn, 365*24*3600)) * time.Second)
	}
	if token.RefreshToken != "" {
		s.Refresh = token.RefreshToken
	}
	if scope, ok := token.Extra("scope").(string); ok {
		s.Scope = scope
	}
}
