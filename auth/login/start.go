package login

import (
	"crypto/rand"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
)

// maxHint bounds a parameter that is passed to the issuer.
const maxHint = 256

// passed are the parameters that a link to the login may set at the issuer. Prompt has words of its own:
// "none" would end in an error whenever nobody is signed in there.
var passed = []string{"prompt", "login_hint", "screen_hint", "ui_locales"}

var prompts = map[string]bool{"login": true, "consent": true, "select_account": true, "create": true}

// start sends the browser to the issuer.
func (l *Login) start(w http.ResponseWriter, r *http.Request) {
	secretPage(w.Header())
	if elsewhere := l.otherName(r); elsewhere != "" {
		http.Redirect(w, r, elsewhere, http.StatusFound)
		return
	}
	query := r.URL.Query()
	returnTo := l.returnTo(query.Get("return_to"))
	meta, err := l.issuer.metadata(r.Context(), &l.config)
	if err != nil {
		l.fail(w, r, failure{
			status: http.StatusServiceUnavailable, title: "Sign-in is not available", cause: err, returnTo: returnTo,
			text: "The service that signs people in cannot be reached at the moment. Please try again in a minute.",
		})
		return
	}
	p := pending{
		State: newState(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		ReturnTo: returnTo, Began: l.config.Now().Unix(),
	}
	if err := l.keepPending(w, r, p); err != nil {
		l.fail(w, r, failure{status: http.StatusInternalServerError, title: "Sign-in failed", cause: err, text: "Something went wrong here."})
		return
	}
	http.Redirect(w, r, l.oauth(meta).AuthCodeURL(p.State, l.authParams(p, query)...), http.StatusFound)
}

// authParams are the parameters of the request to the issuer beside those of x/oauth2.
func (l *Login) authParams(p pending, query url.Values) []oauth2.AuthCodeOption {
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(p.Verifier),
		oauth2.SetAuthURLParam("nonce", p.Nonce),
	}
	set := func(name, value string) {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	for name, value := range l.config.Params {
		set(name, value)
	}
	set("audience", l.config.Audience)
	set("connection", l.config.Connection)
	for _, name := range passed {
		value := query.Get(name)
		if len(value) > maxHint || name == "prompt" && !prompts[value] {
			continue
		}
		set(name, value)
	}
	return options
}

// returnTo is the safe form of a path to return to; never one of the Login's own.
func (l *Login) returnTo(text string) string {
	to := safePath(text)
	if u, err := url.Parse(to); err != nil || l.owns(u.Path) {
		return "/"
	}
	return to
}

// otherName returns where to go instead when this machine was asked by another of its names than BaseURL has
// (127.0.0.1 for localhost): cookies set there would not come to the callback. Other hosts are not compared, as
// a proxy may have changed the header.
func (l *Login) otherName(r *http.Request) string {
	asked := url.URL{Host: r.Host}
	if r.Host == l.base.Host || asked.Port() != l.base.Port() || !loopback(asked.Hostname()) || !loopback(l.base.Hostname()) {
		return ""
	}
	// A browser at localhost is not sent on for the letters' case.
	if ip := net.ParseIP(asked.Hostname()); ip == nil && asked.Hostname() == l.base.Hostname() {
		return ""
	}
	return l.base.String() + l.loginPath + "?" + r.URL.Query().Encode()
}
