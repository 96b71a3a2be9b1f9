package people

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
)

// seenEvery is how exactly the last request of a session is known: not every request writes.
const seenEvery = 5 * time.Minute

// maxSessions bounds how many sessions of a user are listed and ended at once.
const maxSessions = 1000

// sessionCookie is the value of the session's cookie; empty when there is none that could be right.
func (p *People) sessionCookie(r *http.Request) string {
	c, err := r.Cookie(directory.CookieName(p.env.Issuer, "session"))
	if err != nil {
		return ""
	}
	if b, err := base64.RawURLEncoding.DecodeString(c.Value); err != nil || len(b) != 32 {
		return ""
	}
	return c.Value
}

func sessionID(cookie string) string {
	d := sha256.Sum256([]byte(cookie))
	return hex.EncodeToString(d[:])
}

// Current returns the session of the browser that sent r; nil without one. It works in the unit of
// work of r's context.
func (p *People) Current(r *http.Request) (*directory.Session, error) {
	s, _, err := p.current(r.Context(), r)
	return s, err
}

// current returns the session and its user, who exists and is not blocked.
func (p *People) current(ctx context.Context, r *http.Request) (*directory.Session, *directory.User, error) {
	cookie := p.sessionCookie(r)
	if cookie == "" {
		return nil, nil, nil
	}
	now := p.env.Now()
	s, err := directory.Sessions.Get(ctx, directory.Key(sessionID(cookie)))
	if errors.Is(err, directory.ErrNotFound) || err == nil && !now.Before(s.Expires) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	user, err := p.env.User(ctx, s.UserID)
	if errors.Is(err, directory.ErrNotFound) || err == nil && user.Blocked {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if now.Sub(s.LastSeen) >= seenEvery {
		s.LastSeen, s.IP = now, addrText(p.clientIP(r).String(), p.clientIP(r).IsValid())
		s.Expires = p.expiry(s)
		if err := directory.Sessions.Put(ctx, directory.Key(s.ID), s); err != nil {
			return nil, nil, err
		}
	}
	return s, user, nil
}

func addrText(text string, valid bool) string {
	if !valid {
		return ""
	}
	return text
}

// expiry is when a session ends: a while after its last request, and in any case after its lifetime.
func (p *People) expiry(s *directory.Session) time.Time {
	idle, end := s.LastSeen.Add(p.options.SessionIdle), s.Created.Add(p.options.SessionLifetime)
	if idle.Before(end) {
		return idle
	}
	return end
}

// begin begins a session with a new id: one that somebody has planted in the browser before is worth
// nothing (CWE-384). The session that the browser had before ends.
func (p *People) begin(ctx context.Context, q *request, userID string, methods []string) (*directory.Session, *http.Cookie, error) {
	if err := p.dropCookie(ctx, q.Request); err != nil {
		return nil, nil, err
	}
	value, now := directory.NewSecret(), p.env.Now()
	s := &directory.Session{
		ID: sessionID(value), UserID: userID, AuthTime: now, Methods: methods,
		UserAgent: clip(q.UserAgent(), 300), IP: q.ip, Created: now, LastSeen: now,
	}
	s.Expires = p.expiry(s)
	if err := directory.Sessions.Insert(ctx, directory.Key(s.ID), s); err != nil {
		return nil, nil, err
	}
	cookie := directory.Cookie(p.env.Issuer, "session", value)
	cookie.MaxAge = int(p.options.SessionLifetime / time.Second)
	return s, cookie, nil
}

// clip returns at most n bytes of a text from outside, as UTF-8.
func clip(text string, n int) string {
	if len(text) > n {
		text = text[:n]
	}
	return string([]rune(text)) // what was cut through becomes U+FFFD
}

// dropCookie deletes the session of the browser, if there is one.
func (p *People) dropCookie(ctx context.Context, r *http.Request) error {
	cookie := p.sessionCookie(r)
	if cookie == "" {
		return nil
	}
	err := directory.Sessions.Delete(ctx, directory.Key(sessionID(cookie)))
	if errors.Is(err, directory.ErrNotFound) {
		return nil
	}
	return err
}

// EndSession signs the browser out. It works in the unit of work of ctx; the cookie is removed by the
// header of w.
func (p *People) EndSession(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	cookie, err := p.endSession(ctx, r)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie)
	return nil
}

func (p *People) endSession(ctx context.Context, r *http.Request) (*http.Cookie, error) {
	s, user, err := p.current(ctx, r)
	if err != nil {
		return nil, err
	}
	if s != nil {
		if err := p.dropCookie(ctx, r); err != nil {
			return nil, err
		}
		ip := p.clientIP(r)
		by := directory.Actor{Subject: user.ID, IP: addrText(ip.String(), ip.IsValid()), Agent: r.UserAgent()}
		if err := p.env.Audit(ctx, by.Entry(directory.AuditLogout, user.ID, "")); err != nil {
			return nil, err
		}
	}
	gone := directory.Cookie(p.env.Issuer, "session", "")
	gone.MaxAge = -1
	return gone, nil
}

// sessionsOf returns the sessions of a user, the last used first.
func (p *People) sessionsOf(ctx context.Context, userID string) ([]*directory.Session, error) {
	var all []*directory.Session
	for row, err := range directory.Sessions.ScanIndex(ctx, directory.SessionsByUser.Equal(userID)) {
		if err != nil {
			return nil, err
		}
		if all = append(all, row.Value); len(all) == maxSessions {
			break
		}
	}
	slices.SortFunc(all, func(a, b *directory.Session) int { return b.LastSeen.Compare(a.LastSeen) })
	return all, nil
}

// endSessions ends the sessions of a user but for one, and what applications have of the user by others: whoever
// has a stolen password may have let applications in with it.
func (p *People) endSessions(ctx context.Context, userID, but string) error {
	all, err := p.sessionsOf(ctx, userID)
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.ID == but {
			continue
		}
		if err := directory.Sessions.Delete(ctx, directory.Key(s.ID)); err != nil {
			return err
		}
	}
	if p.options.EndTokens != nil {
		return p.options.EndTokens(ctx, userID, but)
	}
	return nil
}
