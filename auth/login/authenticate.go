package login

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/problem"
)

// Session is what is known of a person who is signed in.
type Session struct {
	// Principal is who it is.
	Principal *auth.Principal
	// IDClaims are the claims of the ID token, numbers as json.Number. With Config.Audience, Principal.Claims
	// are those of the access token.
	IDClaims map[string]any
	// Created is when the person signed in, Expires when the session ends unless it is used again.
	Created, Expires time.Time
}

type sessionKey struct{ l *Login }

// Authenticate implements auth.Authenticator by the session cookie. It returns nil if there is no session, or it
// has ended: a browser sends an old cookie without meaning anything by it. A request that may change something,
// or opens a WebSocket, must come from the same origin to count as the session's; the error then matches
// auth.ErrUnauthenticated. Other errors say that the session could not be read, or that its
// access token has expired while the issuer is not available.
func (l *Login) Authenticate(r *http.Request) (*auth.Principal, error) {
	s, _ := r.Context().Value(sessionKey{l}).(*session)
	if s != nil {
		return s.Principal, nil // guard has checked the request
	}
	s, err := l.of(r)
	if errors.Is(err, ErrNoSession) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.Principal, nil
}

// of returns the session of a request.
func (l *Login) of(r *http.Request) (*session, error) {
	key, ok := l.sessionKey(r)
	if !ok {
		return nil, ErrNoSession
	}
	s, err := l.use(r.Context(), key)
	if err != nil {
		return nil, err
	}
	return s, l.checkOrigin(r)
}

// checkOrigin refuses what another site made a browser send (CSRF).
func (l *Login) checkOrigin(r *http.Request) error {
	if r.Header.Get("Upgrade") != "" {
		// A WebSocket is opened by GET, and can do anything afterwards.
		unsafe := *r
		unsafe.Method = http.MethodPost
		r = &unsafe
	}
	if err := l.sameOrigin.Check(r); err != nil {
		return &auth.TokenError{Reason: "a session does not count in a request from another origin", Cause: err}
	}
	return nil
}

// Session returns the session of a request, or ErrNoSession. It fails as Authenticate does.
func (l *Login) Session(r *http.Request) (*Session, error) {
	s, err := l.of(r)
	if err != nil {
		return nil, err
	}
	return &Session{Principal: s.Principal, IDClaims: maps.Clone(s.IDClaims), Created: s.Created, Expires: l.expires(s)}, nil
}

// IDClaims returns the claims of the ID token of a request's session, or ErrNoSession.
func (l *Login) IDClaims(r *http.Request) (map[string]any, error) {
	s, err := l.Session(r)
	if err != nil {
		return nil, err
	}
	return s.IDClaims, nil
}

// Token returns the access token of a request's session, for calls to other APIs on behalf of the person; it is
// renewed when it has expired. It is ErrNoSession when nobody is signed in, and auth.ErrUnauthenticated when
// the token has expired and cannot be renewed. It must not be sent to the browser.
func (l *Login) Token(r *http.Request) (string, error) {
	s, err := l.of(r)
	if err != nil {
		return "", err
	}
	if s.good(l.config.Now()) {
		return s.Access, nil
	}
	if s.Refresh == "" {
		return "", fmt.Errorf("login: the access token has expired, and there is no refresh token: %w", auth.ErrUnauthenticated)
	}
	if s, err = l.await(r.Context(), l.board(r.Context(), s.Key)); err != nil {
		return "", err
	}
	return s.Access, nil
}

// EndSessions ends all sessions of a subject of the issuer, for an administrator.
func (l *Login) EndSessions(ctx context.Context, subject string) error {
	if subject == "" {
		return errors.New("login: no subject")
	}
	if err := l.store.DeleteAll(ctx, l.subjectDigest(subject), ""); err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	return nil
}

// Require lets requests of signed-in people through to next, with the principal in the context (auth.From). It
// sends browsers to the login, and back afterwards; other requests, such as those of scripts, are answered with
// 401. The Login's own paths are let through.
func (l *Login) Require(next http.Handler) http.Handler {
	return l.guard(next, func(w http.ResponseWriter, r *http.Request) {
		answer := problem.New(http.StatusUnauthorized, "Nobody is signed in.")
		w.Header().Set("WWW-Authenticate", `Cookie form-action="`+l.loginPath+`"`)
		answer.Write(w)
	})
}

// Redirect sends browsers that open a page without being signed in to the login, and back afterwards. Everything else
// goes through to next, which must decide about it:
//
//	l.Redirect(auth.Middleware(auth.First(verifier, l), policy, handler))
func (l *Login) Redirect(next http.Handler) http.Handler {
	return l.guard(next, next.ServeHTTP)
}

func (l *Login) guard(next http.Handler, otherwise http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.owns(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Cookie")
		s, err := l.of(r)
		switch {
		case err == nil:
			// The page is this person's, and must not be seen after the sign-out; next may say otherwise.
			w.Header().Set("Cache-Control", "private, no-cache")
			ctx := context.WithValue(r.Context(), sessionKey{l}, s)
			next.ServeHTTP(w, r.WithContext(auth.With(ctx, s.Principal)))
		case !errors.Is(err, ErrNoSession) && opensPage(r):
			l.fail(w, r, failure{
				status: http.StatusServiceUnavailable, title: "Your session cannot be read", cause: err,
				text: "Something that this application needs is not available at the moment. Please try again in a minute.",
			})
		case !errors.Is(err, ErrNoSession):
			auth.RefuseCredentials(w, r, err)
		case l.Challenge(w, r):
		default:
			otherwise(w, r)
		}
	})
}

// opensPage reports whether a browser opens a page, so that a redirect leads a person somewhere.
func opensPage(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		(mode == "" || mode == "navigate") && strings.Contains(r.Header.Get("Accept"), "text/html")
}
