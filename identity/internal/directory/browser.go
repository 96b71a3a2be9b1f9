package directory

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// BrowserCookie is the name of the cookie by which a browser is known again while it signs
// in. It binds a request to sign in to the browser that sent it: without, somebody could have
// another browser go on with a request of theirs (RFC 6749 section 10.12, login CSRF).
func (e *Env) BrowserCookie() string {
	if strings.HasPrefix(e.Issuer, "https://") {
		return "__Host-perdure-browser"
	}
	return "perdure-browser"
}

// BindBrowser returns the digest for AuthRequest.BrowserDigest of the browser that sent r. A
// browser without the cookie gets one.
func (e *Env) BindBrowser(w http.ResponseWriter, r *http.Request) []byte {
	if digest := e.browserDigest(r); digest != nil {
		return digest
	}
	value := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: e.BrowserCookie(), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(e.Issuer, "https://"),
	})
	digest := sha256.Sum256([]byte(value))
	return digest[:]
}

// SameBrowser reports whether r comes from the browser that sent the request to sign in.
func (e *Env) SameBrowser(r *http.Request, request *AuthRequest) bool {
	digest := e.browserDigest(r)
	return digest != nil && subtle.ConstantTimeCompare(digest, request.BrowserDigest) == 1
}

// browserDigest is the digest of the browser's cookie; nil without a good one.
func (e *Env) browserDigest(r *http.Request) []byte {
	cookie, err := r.Cookie(e.BrowserCookie())
	if err != nil || len(cookie.Value) < 26 || len(cookie.Value) > 128 {
		return nil
	}
	digest := sha256.Sum256([]byte(cookie.Value))
	return digest[:]
}
