package perdure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/auth/login"
	"github.com/perdure/perdure/table"
)

// openLogin makes the sign-in of browsers, and lets their sessions count.
func (r *running) openLogin(c login.Config) error {
	if c.Store == nil {
		c.Store, c.Sealer = loginStore{r}, r.keys
	}
	if c.Logger == nil {
		c.Logger = r.config.Logger
	}
	if c.Now == nil {
		c.Now = r.clock.Now
	}
	if c.BaseURL == "" {
		c.BaseURL = r.origin()
	}
	l, err := login.New(c)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r.login = l
	r.services = append(r.services, loginService{l})
	return nil
}

// openForeignLogin makes the sign-in at an issuer that is not the app's own. Where nothing else is
// configured, its access tokens count as well.
func (r *running) openForeignLogin() error {
	c := *r.config.Login
	if _, ok, err := r.config.secretRef(c.ClientSecret); err != nil {
		return fmt.Errorf("%w: Login.ClientSecret: %w", ErrConfig, err)
	} else if ok {
		text := c.ClientSecret
		c.ClientSecret, c.SecretFunc = "", func(ctx context.Context) (string, error) { return r.secret(ctx, text) }
	}
	if c.Audience != "" && c.Verifier == nil && r.config.Auth == nil {
		v, err := auth.NewVerifier(auth.VerifierConfig{
			Issuer: c.Issuer, Audiences: []string{c.Audience}, HTTPClient: c.HTTPClient, Now: r.clock.Now, Log: r.config.Logger,
		})
		if err != nil {
			return fmt.Errorf("%w: Login: %w", ErrConfig, err)
		}
		c.Verifier, r.config.Auth = v, v
	}
	if err := r.openLogin(c); err != nil {
		return err
	}
	if r.config.Auth == nil {
		r.config.Auth = r.login
	} else {
		r.config.Auth = auth.First(r.config.Auth, r.login)
	}
	return nil
}

// loginService lets renewals of tokens end before the app does.
type loginService struct{ *login.Login }

// Start implements service.
func (loginService) Start(context.Context) error { return nil }

// Stop implements service.
func (s loginService) Stop(context.Context) error {
	s.Close()
	return nil
}

// Idle implements service.
func (loginService) Idle(context.Context) error { return nil }

// loginSession is the row of a session of a browser.
type loginSession struct {
	Version int64     `json:"version"`
	Subject string    `json:"subject,omitempty"`
	SID     string    `json:"sid,omitempty"`
	Expires time.Time `json:"expires"`
	Sealed  []byte    `json:"sealed"`
}

// Sessions are in tables whose names no table of the app's own can have.
var (
	loginSessionsBySubject = table.Index("subject", func(s *loginSession) string { return s.Subject })
	loginSessionsBySID     = table.Index("sid", func(s *loginSession) string { return s.SID })
	loginSessions          = table.Of("perdure.login-sessions", loginSessionsBySubject, loginSessionsBySID,
		table.ExpiresAt(func(s *loginSession) time.Time { return s.Expires }))
)

// loginStore keeps sessions in the app's store.
type loginStore struct{ r *running }

func (s loginStore) unit(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.r.inUnit(ctx, fn)
}

// Get implements login.Store.
func (s loginStore) Get(ctx context.Context, key string) (record login.Record, err error) {
	err = s.unit(ctx, func(ctx context.Context) error {
		row, err := loginSessions.Get(ctx, key)
		if errors.Is(err, table.ErrNotFound) {
			return login.ErrNotFound
		}
		if err == nil {
			record = login.Record(*row)
		}
		return err
	})
	return record, err
}

// Put implements login.Store.
func (s loginStore) Put(ctx context.Context, key string, record login.Record) error {
	return s.unit(ctx, func(ctx context.Context) error {
		var version int64
		switch row, err := loginSessions.Get(ctx, key); {
		case err == nil:
			version = row.Version
		case !errors.Is(err, table.ErrNotFound):
			return err
		}
		if version != record.Version {
			return login.ErrConflict
		}
		next := loginSession(record)
		next.Version++
		return loginSessions.Put(ctx, key, &next)
	})
}

// Delete implements login.Store.
func (s loginStore) Delete(ctx context.Context, key string) error {
	return s.unit(ctx, func(ctx context.Context) error {
		_, err := loginSessions.DeleteAll(ctx, key)
		return err
	})
}

// DeleteAll implements login.Store.
func (s loginStore) DeleteAll(ctx context.Context, subject, sid string) error {
	selection := loginSessionsBySID.Equal(sid)
	switch {
	case subject == "" && sid == "":
		return nil
	case sid == "":
		selection = loginSessionsBySubject.Equal(subject)
	}
	return s.unit(ctx, func(ctx context.Context) error {
		for row, err := range loginSessions.ScanIndex(ctx, selection, table.Limit(table.MaxBatch)) {
			if err != nil {
				return err
			}
			if subject != "" && row.Value.Subject != subject {
				continue
			}
			if err := loginSessions.Delete(ctx, row.Key.String()); err != nil {
				return err
			}
		}
		return nil
	})
}
