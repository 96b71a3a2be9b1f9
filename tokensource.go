package perdure

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// TokenSource returns access tokens of the app itself for an API, without a secret: those of its system identity,
// the managed identity named after the app. The API must be one of the identity's resources, and the identity needs
// the rights there ("perdure identity grant"). A token is used again until it nears its end. Token fails with ErrNotRunning
// while the app does not run, and for an app without Config.Identity.
//
//	client := oauth2.NewClient(ctx, app.TokenSource("https://orders.example.com"))
func (a *App) TokenSource(api string) oauth2.TokenSource { return &tokenSource{app: a, api: api} }

// tokenSource has the tokens for one API.
type tokenSource struct {
	app *App
	api string

	mu    sync.Mutex
	of    *running // that the token is from
	token *oauth2.Token
	renew time.Time
}

// Token implements oauth2.TokenSource.
func (s *tokenSource) Token() (*oauth2.Token, error) {
	r := s.app.running.Load()
	if r == nil {
		return nil, ErrNotRunning
	}
	if r.provider == nil {
		return nil, errors.New("perdure: the app has no managed identity: Config.Identity is nil")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := r.clock.Now()
	if s.of == r && now.Before(s.renew) {
		return s.token, nil
	}
	// In a unit of work of its own: that of a function which asks may run several times.
	text, expires, err := r.provider.Token(context.Background(), s.api)
	if err != nil {
		return nil, err
	}
	s.of, s.token = r, &oauth2.Token{AccessToken: text, TokenType: "Bearer", Expiry: expires}
	s.renew = now.Add(expires.Sub(now) * 4 / 5)
	return s.token, nil
}
