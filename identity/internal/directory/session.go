package directory

import (
	"time"

	"github.com/perdure/perdure/table"
)

// Session is a browser in which a user is signed in at the provider.
type Session struct {
	ID        string    `json:"id"` // SHA-256 of the cookie in hexadecimal digits
	UserID    string    `json:"user_id"`
	AuthTime  time.Time `json:"auth_time"`
	Methods   []string  `json:"amr"` // RFC 8176: "pwd", "otp", "hwk", "mfa", "fed"
	UserAgent string    `json:"user_agent,omitempty"`
	IP        string    `json:"ip,omitempty"`
	// Clients are the applications that were signed in to.
	Clients  []string  `json:"clients,omitempty"`
	Created  time.Time `json:"created"`
	LastSeen time.Time `json:"last_seen"`
	Expires  time.Time `json:"expires"`
}

// SessionsByUser finds the sessions of a user.
var SessionsByUser = table.Index("user", func(s *Session) string { return s.UserID })

// Sessions are by id.
var Sessions = table.Of("perdure.sessions", SessionsByUser, table.ExpiresAt(func(s *Session) time.Time { return s.Expires }))

// AuthRequest is a request to sign in (RFC 6749 section 4.1.1) between its arrival and the code.
type AuthRequest struct {
	ID            string   `json:"id"`
	ClientID      string   `json:"client_id"`
	RedirectURI   string   `json:"redirect_uri"`
	ResponseType  string   `json:"response_type"`
	ResponseMode  string   `json:"response_mode,omitempty"`
	State         string   `json:"state,omitempty"`
	Nonce         string   `json:"nonce,omitempty"`
	Scopes        []string `json:"scopes"`
	Audience      string   `json:"audience,omitempty"`
	Connection    string   `json:"connection,omitempty"`
	LoginHint     string   `json:"login_hint,omitempty"`
	ScreenHint    string   `json:"screen_hint,omitempty"` // "signup"
	Prompt        []string `json:"prompt,omitempty"`
	MaxAge        *int     `json:"max_age,omitempty"` // seconds
	UILocales     string   `json:"ui_locales,omitempty"`
	ACRValues     []string `json:"acr_values,omitempty"`
	Challenge     string   `json:"code_challenge,omitempty"` // S256
	BrowserDigest []byte   `json:"browser,omitempty"`        // SHA-256 of the cookie of the browser that sent it
	// What signing in has found out:
	UserID    string    `json:"user_id,omitempty"`
	SessionID string    `json:"session_id,omitempty"`
	AuthTime  time.Time `json:"auth_time,omitzero"`
	Methods   []string  `json:"amr,omitempty"`
	Done      bool      `json:"done,omitempty"`
	// Error is the code of RFC 6749 section 4.1.2.1 or OpenID Connect Core section 3.1.2.6 by which
	// it ends instead: "access_denied", "login_required", "consent_required".
	Error   string    `json:"error,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// AuthRequests are by id.
var AuthRequests = table.Of("perdure.auth-requests", table.ExpiresAt(func(r *AuthRequest) time.Time { return r.Expires }))
