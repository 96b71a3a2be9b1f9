package login

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/perdure/perdure/auth"
)

// Login signs people in at an issuer and keeps their sessions. It is an auth.Authenticator by its
// session cookie, and an http.Handler of its Patterns. It is safe for concurrent use.
type Login struct {
	config      Config
	base        *url.URL
	secure      bool // cookies go over https alone
	redirectURI string
	store       Store
	sealer      Sealer
	verifier    TokenVerifier // nil without an audience
	issuer      issuer
	sameOrigin  *http.CrossOriginProtection
	mux         *http.ServeMux

	sessionCookie, pendingCookie string // names; the second is a prefix
	loginPath, logoutPath        string

	flights flights
	running sync.WaitGroup // refreshes
	seen    seenTokens     // logout tokens
}

// New returns a Login. The issuer is not asked yet.
func New(config Config) (*Login, error) {
	base, err := config.check()
	if err != nil {
		return nil, err
	}
	l := &Login{
		config: config, base: base, secure: base.Scheme == "https",
		store: config.Store, sealer: config.Sealer, verifier: config.Verifier,
		issuer:    issuer{url: config.Issuer, client: issuerClient(config.HTTPClient), now: config.Now},
		loginPath: config.Prefix + "/login", logoutPath: config.Prefix + "/logout",
		sameOrigin: http.NewCrossOriginProtection(),
	}
	l.redirectURI = base.String() + l.loginPath + "/callback"
	// Behind a proxy that changes the Host header, the origin is this one all the same.
	if err := l.sameOrigin.AddTrustedOrigin(base.String()); err != nil {
		return nil, fmt.Errorf("login: Config.BaseURL: %w", err)
	}
	if l.store == nil {
		store := NewMemoryStore()
		store.now = config.Now
		l.store = store
	}
	if l.sealer == nil {
		if l.sealer, err = newMemorySealer(); err != nil {
			return nil, err
		}
	}
	if config.Audience == "" {
		l.verifier = nil
	} else if l.verifier == nil {
		l.verifier, err = auth.NewVerifier(auth.VerifierConfig{
			Issuer: config.Issuer, Audiences: []string{config.Audience},
			HTTPClient: l.issuer.client, Now: config.Now, Log: config.Logger, MaxTokenBytes: maxToken,
		})
		if err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
	}
	l.nameCookies()
	l.mux = http.NewServeMux()
	for pattern, handler := range l.routes() {
		l.mux.HandleFunc(pattern, handler)
	}
	return l, nil
}

// nameCookies gives the cookies names that no other login has. The ports of a host share their cookies, and
// one application may have several logins.
func (l *Login) nameCookies() {
	sum := sha256.Sum256([]byte(strings.Join([]string{l.config.Issuer, l.config.ClientID, l.base.String(), l.config.Prefix}, "\n")))
	tag := hex.EncodeToString(sum[:4])
	prefix := ""
	if l.secure {
		// Browsers take such a cookie from this very host alone, over https, for all of its paths.
		prefix = "__Host-"
	}
	l.sessionCookie = prefix + "session-" + tag
	l.pendingCookie = prefix + "login-" + tag + "-"
}

func (l *Login) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET " + l.loginPath:                   l.start,
		"GET " + l.loginPath + "/callback":     l.callback,
		"POST " + l.loginPath + "/backchannel": l.backchannel,
		"GET " + l.logoutPath:                  l.confirmLogout,
		"POST " + l.logoutPath:                 l.logout,
	}
}

// Patterns are the patterns of net/http that the Login handles:
//
//	GET  /login              sends the browser to the issuer; "return_to" is the path to return to
//	GET  /login/callback     where the issuer sends it back to
//	POST /login/backchannel  the issuer says that a session has ended there (OpenID Connect Back-Channel Logout)
//	GET  /logout             asks whether to sign out
//	POST /logout             signs out here and at the issuer
//
// The first also takes "prompt", "login_hint", "screen_hint" and "ui_locales" for the issuer.
func (l *Login) Patterns() []string {
	return []string{
		"GET " + l.loginPath, "GET " + l.loginPath + "/callback", "POST " + l.loginPath + "/backchannel",
		"GET " + l.logoutPath, "POST " + l.logoutPath,
	}
}

// Mount adds the Login's Patterns to a mux.
func (l *Login) Mount(mux *http.ServeMux) {
	for _, pattern := range l.Patterns() {
		mux.Handle(pattern, l)
	}
}

// ServeHTTP implements http.Handler for Patterns.
func (l *Login) ServeHTTP(w http.ResponseWriter, r *http.Request) { l.mux.ServeHTTP(w, r) }

// owns reports whether a path is one of the Login's.
func (l *Login) owns(path string) bool {
	return path == l.loginPath || path == l.logoutPath || path == l.loginPath+"/callback" || path == l.loginPath+"/backchannel"
}

// RedirectURI is what must be registered at the issuer as the redirect URI.
func (l *Login) RedirectURI() string { return l.redirectURI }

// LogoutURI is what must be registered at the issuer as the URI to come back to after logout.
func (l *Login) LogoutURI() string { return l.base.String() + l.config.AfterLogout }

// Close waits for renewals of tokens under way, at most some seconds: a renewal that the end of the process cut off
// might leave a session with a refresh token that has been used.
func (l *Login) Close() { l.running.Wait() }

// cookie returns a cookie with a value for a time; seconds 0 is until the browser ends, negative ends it now.
func (l *Login) cookie(name, value string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, MaxAge: seconds, Path: "/",
		HttpOnly: true, Secure: l.secure, SameSite: http.SameSiteLaxMode,
	}
}

var _ auth.Authenticator = (*Login)(nil)
