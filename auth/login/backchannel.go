package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	maxLogoutBody  = 128 << 10
	logoutEvent    = "http://schemas.openid.net/event/backchannel-logout"
	logoutTokenAge = 10 * time.Minute
	maxSeenTokens  = 10_000
)

// backchannel takes the issuer's word that a session has ended there (OpenID Connect Back-Channel Logout 1.0).
func (l *Login) backchannel(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, maxLogoutBody)
	err := r.ParseForm()
	var subject, sid string
	if err == nil {
		subject, sid, err = l.verifyLogoutToken(r.Context(), r.PostForm.Get("logout_token"))
	}
	if err == nil {
		if subject != "" {
			subject = l.subjectDigest(subject)
		}
		if sid != "" {
			sid = l.sidDigest(sid)
		}
		err = l.store.DeleteAll(r.Context(), subject, sid)
		if err != nil {
			err = fmt.Errorf("%w: %w", errStore, err)
		}
	}
	if err != nil {
		l.config.Logger.WarnContext(r.Context(), "login: a logout by the issuer failed", "error", short(err))
		// The issuer must not take the session for ended; the specification has 400 for every failure.
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_request"}`)) // the issuer is gone: nobody is left to tell
		return
	}
	w.WriteHeader(http.StatusOK)
}

// verifyLogoutToken returns whose sessions a logout token ends, as section 2.6 says: those of the subject, of the
// issuer's session, or that have both.
func (l *Login) verifyLogoutToken(ctx context.Context, raw string) (subject, sid string, err error) {
	if raw == "" || len(raw) > maxToken {
		return "", "", errors.New("no logout token")
	}
	meta, err := l.issuer.metadata(ctx, &l.config)
	if err != nil {
		return "", "", err
	}
	ctx, cancel := l.issuerContext(ctx)
	defer cancel()
	token, err := meta.verifier.Verify(ctx, raw)
	if err != nil {
		return "", "", err
	}
	var claims struct {
		Subject string                     `json:"sub"`
		SID     string                     `json:"sid"`
		ID      string                     `json:"jti"`
		Events  map[string]json.RawMessage `json:"events"`
		Nonce   json.RawMessage            `json:"nonce"`
	}
	if err := token.Claims(&claims); err != nil {
		return "", "", errors.New("the claims of a logout token make no sense")
	}
	var event map[string]json.RawMessage
	now := l.config.Now()
	switch {
	case json.Unmarshal(claims.Events[logoutEvent], &event) != nil || event == nil:
		return "", "", errors.New("the token is not about a logout")
	case claims.Nonce != nil: // such as an ID token has
		return "", "", errors.New("the token has a nonce")
	case claims.Subject == "" && claims.SID == "":
		return "", "", errors.New("the token is about nobody")
	case claims.ID == "":
		return "", "", errors.New("the token has no id")
	case now.Sub(token.IssuedAt).Abs() > logoutTokenAge:
		return "", "", errors.New("the token is old, or of the future")
	}
	// Used again, it would end sessions that began later.
	if !l.seen.first(digest("logout token", claims.ID), now) {
		return "", "", errors.New("the token was used already")
	}
	return claims.Subject, claims.SID, nil
}

// seenTokens are the logout tokens that were used, as long as they are good.
type seenTokens struct {
	mu  sync.Mutex
	all map[string]time.Time // id → when it is forgotten
}

// first notes an id and reports whether it is new. When there are too many it takes them for used, which ends no session.
func (s *seenTokens) first(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]time.Time{}
	}
	if len(s.all) >= maxSeenTokens {
		for one, until := range s.all {
			if !until.After(now) {
				delete(s.all, one)
			}
		}
	}
	if until, used := s.all[id]; used && until.After(now) || len(s.all) >= maxSeenTokens {
		return false
	}
	s.all[id] = now.Add(2 * logoutTokenAge)
	return true
}
