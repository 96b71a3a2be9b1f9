package directory

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
)

// CookieName is the name of a cookie of the provider. On https it has the prefix __Host-, so that
// no other host can set it (RFC 6265bis section 4.1.3.2). On http, where cookies
// do not tell ports apart, it has the issuer's port, so that two providers on localhost do not sign
// each other's users out.
func CookieName(issuer, noun string) string {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return "perdure_" + noun
	case u.Scheme == "https":
		return "__Host-perdure_" + noun
	case u.Port() == "":
		return "perdure_" + noun
	}
	return "perdure_" + noun + "_" + u.Port()
}

// Cookie is a cookie of the provider with the attributes that all of them have: scripts do not see
// it, requests that another site makes do not carry it except when the user follows a link, and on
// https it never leaves in clear text. It ends with the browser unless MaxAge is set.
func Cookie(issuer, noun, value string) *http.Cookie {
	u, err := url.Parse(issuer)
	return &http.Cookie{
		Name:     CookieName(issuer, noun),
		Value:    value,
		Path:     "/",
		HttpOnly: true,
		Secure:   err == nil && u.Scheme == "https",
		SameSite: http.SameSiteLaxMode,
	}
}

// BrowserCookieName is the name of the cookie that tells browsers apart before anybody is signed
// in: a request to sign in goes on only in the browser that began it.
func BrowserCookieName(issuer string) string { return CookieName(issuer, "browser") }

// NewBrowser returns the value of a new browser's cookie, and the digest of it that is stored.
func NewBrowser() (value string, digest []byte) {
	value = NewSecret()
	return value, browserDigest(value)
}

// NewSecret is 256 random bits in base64url.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails, as crypto/rand says
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func browserDigest(value string) []byte {
	d := sha256.Sum256([]byte(value))
	return d[:]
}

// Browser is the digest of the cookie of the browser that sent r. A browser without one gets it with
// the answer, so it is called before anything is written.
func Browser(w http.ResponseWriter, r *http.Request, issuer string) (digest []byte) {
	if value := BrowserValue(r, issuer); value != "" {
		return browserDigest(value)
	}
	value, digest := NewBrowser()
	http.SetCookie(w, Cookie(issuer, "browser", value))
	r.AddCookie(&http.Cookie{Name: BrowserCookieName(issuer), Value: value}) // for who asks again during the request
	return digest
}

// BrowserValue is the value of the browser's cookie, empty when it has none that NewBrowser could have
// made.
func BrowserValue(r *http.Request, issuer string) string {
	c, err := r.Cookie(BrowserCookieName(issuer))
	if err != nil {
		return ""
	}
	if b, err := base64.RawURLEncoding.DecodeString(c.Value); err != nil || len(b) != 32 {
		return ""
	}
	return c.Value
}

// CheckBrowser reports whether r comes from the browser whose cookie has the digest. No digest is
// nobody's.
func CheckBrowser(r *http.Request, issuer string, digest []byte) bool {
	value := BrowserValue(r, issuer)
	return value != "" && len(digest) == sha256.Size && subtle.ConstantTimeCompare(browserDigest(value), digest) == 1
}
