package login

import (
	"net/http"
	"net/url"
)

// Challenge sends a browser that opens a page to the login, and back afterwards, and reports whether
// it did: other requests, such as those of scripts, and those that come with a token, it leaves alone.
func (l *Login) Challenge(w http.ResponseWriter, r *http.Request) bool {
	if !opensPage(r) || r.Header.Get("Authorization") != "" || l.owns(r.URL.Path) {
		return false
	}
	secretPage(w.Header())
	query := url.Values{"return_to": {l.returnTo(r.URL.RequestURI())}}
	http.Redirect(w, r, l.loginPath+"?"+query.Encode(), http.StatusFound)
	return true
}
