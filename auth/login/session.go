package login

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/perdure/perdure/auth"
)

// ErrNoSession: the request has no session, or it has ended.
var ErrNoSession = errors.New("login: nobody is signed in")

// errStore: the store failed.
var errStore = errors.New("login: store of sessions")

const cookieLength = 26

// session is what is kept of a sign-in, sealed.
type session struct {
	// Key is the key of the record it belongs to: a record cannot be passed off as another's.
	Key     string
	Subject string
	SID     string `json:",omitempty"`
	Name    string `json:",omitempty"` // what to call the person, if the issuer says

	Created, Seen time.Time

	IDToken  string
	IDClaims map[string]any

	Access     string
	AccessFrom time.Time
	// AccessExpires is zero if the issuer did not say.
	AccessExpires time.Time `json:",omitzero"`
	Refresh       string    `json:",omitempty"`
	Scope         string    `json:",omitempty"`
	// Leased is since when a process has been renewing the tokens.
	Leased time.Time `json:",omitzero"`

	// Principal is nil until the access token was verified.
	Principal *auth.Principal `json:",omitempty"`

	version int64 // of the record
}

// newSessionCookie returns the value of a new session's cookie: 130 random bits.
func newSessionCookie() string { return rand.Text() }

// keyOf is the key of a cookie's session.
func keyOf(cookie string) string { return digest("cookie", cookie) }

// digest hides what a store need not know.
func digest(what, text string) string {
	sum := sha256.Sum256([]byte(what + "\n" + text))
	return hex.EncodeToString(sum[:])
}

// sessionKey returns the key of the session that a request claims by its cookie.
func (l *Login) sessionKey(r *http.Request) (string, bool) {
	cookies := r.CookiesNamed(l.sessionCookie)
	// Of two cookies with one name, one was planted for another path or domain; which cannot be told.
	if len(cookies) != 1 {
		return "", false
	}
	value := cookies[0].Value
	if len(value) != cookieLength {
		return "", false
	}
	return keyOf(value), true
}

// expires is when a session ends unless it is used again.
func (l *Login) expires(s *session) time.Time {
	idle, end := s.Seen.Add(l.config.IdleTimeout), s.Created.Add(l.config.Lifetime)
	if end.Before(idle) {
		return end
	}
	return idle
}

// save stores a session, if the stored one is of its version.
func (l *Login) save(ctx context.Context, s *session) error {
	plain, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("login: encode a session: %w", err)
	}
	sealed, err := l.sealer.Seal(sealSession, plain)
	if err != nil {
		return fmt.Errorf("login: seal a session: %w", err)
	}
	record := Record{Version: s.version, Subject: l.subjectDigest(s.Subject), Expires: l.expires(s), Sealed: sealed}
	if s.SID != "" {
		record.SID = l.sidDigest(s.SID)
	}
	if err := l.store.Put(ctx, s.Key, record); err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	s.version++
	return nil
}

func (l *Login) subjectDigest(subject string) string {
	return digest("subject", l.config.Issuer+"\n"+subject)
}

func (l *Login) sidDigest(sid string) string { return digest("sid", l.config.Issuer+"\n"+sid) }

// load reads a session. What cannot be opened, because its key is gone or it was tampered with, is no session.
func (l *Login) load(ctx context.Context, key string) (*session, error) {
	record, err := l.store.Get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNoSession
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	plain, err := l.sealer.Open(sealSession, record.Sealed)
	if err != nil {
		l.config.Logger.WarnContext(ctx, "login: a session cannot be opened", "error", short(err))
		return nil, ErrNoSession
	}
	s := &session{}
	decoder := json.NewDecoder(bytes.NewReader(plain))
	decoder.UseNumber()
	if err := decoder.Decode(s); err != nil || s.Key != key {
		l.config.Logger.WarnContext(ctx, "login: a session is not what was stored")
		return nil, ErrNoSession
	}
	s.version = record.Version
	if !l.config.Now().Before(l.expires(s)) {
		return nil, ErrNoSession
	}
	return s, nil
}

// use reads the session of a key for a request: it goes on living, and its tokens are fresh.
func (l *Login) use(ctx context.Context, key string) (*session, error) {
	s, err := l.load(ctx, key)
	if err != nil {
		return nil, err
	}
	l.touch(ctx, s)
	return l.fresh(ctx, s)
}

// touch notes that a session is used, if that was not noted lately. It is no loss when it fails.
func (l *Login) touch(ctx context.Context, s *session) {
	now := l.config.Now()
	if now.Sub(s.Seen) < l.config.IdleTimeout/20 {
		return
	}
	seen := s.Seen
	s.Seen = now
	if err := l.save(ctx, s); err != nil {
		s.Seen = seen
		if !errors.Is(err, ErrConflict) {
			l.config.Logger.WarnContext(ctx, "login: the use of a session was not noted", "error", short(err))
		}
	}
}

// end removes a session.
func (l *Login) end(ctx context.Context, key string) error {
	if err := l.store.Delete(ctx, key); err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	return nil
}
