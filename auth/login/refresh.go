package login

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/perdure/perdure/auth"
)

const (
	// refreshAhead is how long before its end an access token is renewed, at most a quarter of its life.
	refreshAhead = time.Minute
	// leaseTime is how long a process may take to renew a session's tokens before another tries.
	leaseTime = 15 * time.Second
	leasePoll = 100 * time.Millisecond
	// saveTries bounds how often renewed tokens are stored again after a conflict.
	saveTries = 10
)

// flights are the renewals under way in this process, one for a session: a refresh token must be used once, or the
// issuer takes it for stolen.
type flights struct {
	mu  sync.Mutex
	all map[string]*flight
}

type flight struct {
	done chan struct{}
	s    *session
	err  error
}

// join returns the flight of a session, and whether the caller has to fly it.
func (f *flights) join(key string) (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.all[key]; one != nil {
		return one, false
	}
	if f.all == nil {
		f.all = map[string]*flight{}
	}
	one := &flight{done: make(chan struct{})}
	f.all[key] = one
	return one, true
}

// land ends a flight.
func (f *flights) land(key string, one *flight, s *session, err error) {
	f.mu.Lock()
	delete(f.all, key)
	f.mu.Unlock()
	one.s, one.err = s, err
	close(one.done)
}

// due reports whether it is time to renew the access token.
func (s *session) due(now time.Time) bool {
	if s.AccessExpires.IsZero() {
		return false
	}
	ahead := min(refreshAhead, s.AccessExpires.Sub(s.AccessFrom)/4)
	return !now.Before(s.AccessExpires.Add(-ahead))
}

// good reports whether the access token is good still.
func (s *session) good(now time.Time) bool {
	return s.AccessExpires.IsZero() || now.Before(s.AccessExpires)
}

// fresh returns a session whose tokens are good. While they are, nobody waits for a renewal, and one that fails
// signs nobody out.
func (l *Login) fresh(ctx context.Context, s *session) (*session, error) {
	now := l.config.Now()
	// Without an audience the access token is a thing beside the session, not what it stands on.
	usable := s.good(now) || l.verifier == nil
	if s.due(now) && s.Refresh != "" {
		if usable && l.issuer.paused() {
			return l.identified(ctx, s)
		}
		f := l.board(ctx, s.Key)
		if usable {
			return l.identified(ctx, s)
		}
		return l.await(ctx, f)
	}
	if !usable {
		if err := l.end(ctx, s.Key); err != nil {
			return nil, err
		}
		return nil, ErrNoSession
	}
	return l.identified(ctx, s)
}

// board joins the flight of a session, or begins it.
func (l *Login) board(ctx context.Context, key string) *flight {
	f, mine := l.flights.join(key)
	if mine {
		l.running.Add(1)
		go l.fly(context.WithoutCancel(ctx), key, f)
	}
	return f
}

// await waits for a flight.
func (l *Login) await(ctx context.Context, f *flight) (*session, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.err != nil {
		return nil, f.err
	}
	one := *f.s // it is shared by all who waited
	return l.identified(ctx, &one)
}

// identified returns a session that has a principal: its access token may have been stored before the issuer's keys
// could be had.
func (l *Login) identified(ctx context.Context, s *session) (*session, error) {
	if s.Principal != nil {
		return s, nil
	}
	err := l.identify(ctx, s)
	if errors.Is(err, auth.ErrUnauthenticated) {
		l.config.Logger.WarnContext(ctx, "login: a session ends: its access token is not good", "error", short(err))
		return nil, errors.Join(ErrNoSession, l.end(ctx, s.Key))
	}
	if err != nil {
		return nil, err
	}
	if err := l.save(ctx, s); err != nil && !errors.Is(err, ErrConflict) {
		l.config.Logger.WarnContext(ctx, "login: a session was not stored", "error", short(err))
	}
	return s, nil
}

// fly renews the tokens of a session and tells those who wait. It goes on when the request that began it has ended:
// a refresh token that was sent must not be lost.
func (l *Login) fly(ctx context.Context, key string, f *flight) {
	defer l.running.Done()
	ctx, cancel := context.WithTimeout(ctx, 2*leaseTime)
	defer cancel()
	s, err := l.renew(ctx, key)
	if err != nil && !errors.Is(err, ErrNoSession) {
		l.config.Logger.WarnContext(ctx, "login: tokens were not renewed", "error", short(err))
	}
	l.flights.land(key, f, s, err)
}

// renew renews the tokens of a session, unless another process has done so.
func (l *Login) renew(ctx context.Context, key string) (*session, error) {
	s, err := l.lease(ctx, key)
	if err != nil || s.Leased.IsZero() {
		return s, err
	}
	token, err := l.refresh(ctx, s.Refresh)
	if isRefused(err, "invalid_grant") {
		// The issuer has ended it, or the token was used by a process that died before it could store the next.
		l.config.Logger.InfoContext(ctx, "login: a session ends: the issuer does not renew its tokens", "subject", s.Subject)
		return nil, errors.Join(ErrNoSession, l.end(ctx, key))
	}
	if err != nil {
		s.Leased = time.Time{}
		_ = l.save(ctx, s) // the lease ends by itself
		return nil, err
	}
	return l.keepTokens(ctx, s, token)
}

// lease reads a session and notes in the store that this process renews its tokens. A session without a lease need not
// be renewed any more.
func (l *Login) lease(ctx context.Context, key string) (*session, error) {
	for {
		s, err := l.load(ctx, key)
		if err != nil {
			return nil, err
		}
		now := l.config.Now()
		if !s.due(now) {
			s.Leased = time.Time{}
			return s, nil
		}
		if held := now.Sub(s.Leased); held >= leaseTime || held < 0 {
			s.Leased = now
			err := l.save(ctx, s)
			if err == nil {
				return s, nil
			}
			if !errors.Is(err, ErrConflict) {
				return nil, err
			}
			continue
		}
		wait := time.NewTimer(leasePoll)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("login: wait for a renewal elsewhere: %w", ctx.Err())
		}
	}
}

// refresh uses a refresh token.
func (l *Login) refresh(ctx context.Context, refreshToken string) (*oauth2.Token, error) {
	meta, err := l.issuer.metadata(ctx, &l.config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := l.issuerContext(ctx)
	defer cancel()
	client, err := l.oauthWith(ctx, meta)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err) // the session can wait for it
	}
	token, err := client.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
	if err != nil {
		if err = issuerError(err); errors.Is(err, ErrUnavailable) {
			l.issuer.failed(err)
		}
		return nil, err
	}
	l.issuer.answered()
	if len(token.AccessToken) > maxToken || len(token.RefreshToken) > maxToken {
		return nil, errors.New("login: the issuer sent a token that is too large")
	}
	return token, nil
}

// keepTokens stores renewed tokens. The session may have been touched meanwhile, or ended, which stays so.
func (l *Login) keepTokens(ctx context.Context, s *session, token *oauth2.Token) (*session, error) {
	id, claims := l.renewedID(ctx, s, token)
	if claims != nil && claimText(claims, "sub") != s.Subject {
		l.config.Logger.WarnContext(ctx, "login: a session ends: its renewed ID token is of another subject")
		return nil, errors.Join(ErrNoSession, l.end(ctx, s.Key))
	}
	now := l.config.Now()
	for range saveTries {
		s.take(token, now)
		if id != "" {
			s.IDToken, s.IDClaims = id, claims
			if name := displayName(claims); name != "" {
				s.Name = name
			}
		}
		s.Leased, s.Principal = time.Time{}, nil
		if err := l.identify(ctx, s); errors.Is(err, auth.ErrUnauthenticated) {
			l.config.Logger.WarnContext(ctx, "login: a session ends: its renewed access token is not good", "error", short(err))
			return nil, errors.Join(ErrNoSession, l.end(ctx, s.Key))
		}
		// An access token that could not be verified now is when it is asked for.
		err := l.save(ctx, s)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, ErrConflict) {
			return nil, err
		}
		latest, err := l.load(ctx, s.Key)
		if err != nil {
			l.revoke(ctx, token.RefreshToken)
			return nil, err
		}
		s = latest
	}
	return nil, fmt.Errorf("%w: %w", errStore, ErrConflict)
}

// renewedID returns the ID token that came with renewed tokens, if one did. One that cannot be verified is left
// aside: the one of the sign-in goes on saying who it is.
func (l *Login) renewedID(ctx context.Context, s *session, token *oauth2.Token) (string, map[string]any) {
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return "", nil
	}
	meta, err := l.issuer.metadata(ctx, &l.config)
	if err == nil {
		ctx, cancel := l.issuerContext(ctx)
		defer cancel()
		var claims map[string]any
		if _, claims, err = l.verifyIDToken(ctx, meta, raw, token.AccessToken); err == nil {
			return raw, claims
		}
	}
	l.config.Logger.WarnContext(ctx, "login: a renewed ID token is left aside", "subject", s.Subject, "error", short(err))
	return "", nil
}
