package login

import (
	"crypto/rand"
	"net/http"
	"net/url"
)

// failure is a sign-in that did not work.
type failure struct {
	status      int
	title, text string
	detail      string // what the issuer says, if that is trusted to come from it
	returnTo    string // where the next try leads; "" offers none
	cause       error  // for the log
}

// fail shows a person that a sign-in did not work, and logs why under a reference that the page shows.
func (l *Login) fail(w http.ResponseWriter, r *http.Request, f failure) {
	reference := rand.Text()[:10]
	p := page{Title: f.title, Text: []string{f.text}, Reference: reference}
	if f.detail != "" {
		p.Text = append(p.Text, f.detail)
	}
	if f.returnTo != "" {
		again := l.loginPath
		if f.returnTo != "/" {
			again += "?" + url.Values{"return_to": {f.returnTo}}.Encode()
		}
		p.Links = append(p.Links, pageLink{again, "Try again"})
	}
	p.Links = append(p.Links, pageLink{"/", "To the start page"})
	args := []any{"reference", reference, "title", f.title, "status", f.status}
	if f.cause != nil {
		args = append(args, "error", short(f.cause))
	}
	l.config.Logger.WarnContext(r.Context(), "login: sign-in failed", args...)
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	p.write(w, f.status)
}
