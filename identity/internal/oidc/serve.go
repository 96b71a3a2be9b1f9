package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			p.env.Log.ErrorContext(r.Context(), "a request made the provider panic", "path", r.URL.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			writeRefusal(w, r, refuse(serverError, "the request could not be handled"))
		}
	}()
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	switch r.URL.Path {
	case PathDiscovery, PathKeys:
		p.servePublic(w, r)
	case PathToken, PathRevoke, PathIntrospect, PathDevice:
		p.serveToken(w, r)
	case PathUserinfo:
		p.serveUserinfo(w, r)
	case PathAuthorize:
		p.serveBrowser(w, r, p.authorize)
	case PathCallback:
		p.serveBrowser(w, r, p.callback)
	case PathLogout:
		p.serveBrowser(w, r, p.logout)
	case PathLogoutV2:
		p.serveBrowser(w, r, p.logoutV2)
	default:
		http.NotFound(w, r)
	}
}

// ServeToken serves a request to the token endpoint under another path.
func (p *Provider) ServeToken(w http.ResponseWriter, r *http.Request) {
	to := r.Clone(r.Context())
	to.URL.Path, to.URL.RawPath = PathToken, ""
	p.ServeHTTP(w, to)
}

// begin puts what is known of a request into its context.
func (p *Provider) begin(r *http.Request) (*http.Request, *request) {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	state := &request{ip: p.clientIP(r), agent: agent(r), basic: strings.EqualFold(scheme, "Basic")}
	return r.WithContext(context.WithValue(r.Context(), requestKey{}, state)), state
}

// servePublic serves discovery and the keys, which every web page may read.
func (p *Provider) servePublic(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Del("Pragma")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		writeRefusal(w, r, &refusal{invalidRequest, "the method must be GET", http.StatusMethodNotAllowed})
		return
	}
	r, _ = p.begin(r)
	if refused := readForm(w, r, false); refused != nil {
		writeRefusal(w, r, refused)
		return
	}
	if err := p.unit(w, r, "", p.library); err != nil {
		p.fail(w, r, err)
	}
}

// serveToken serves the endpoints for clients.
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	if p.cors(w, r, "POST") {
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		writeRefusal(w, r, &refusal{invalidRequest, "the method must be POST", http.StatusMethodNotAllowed})
		return
	}
	r, state := p.begin(r)
	if refused := readForm(w, r, false); refused != nil {
		writeRefusal(w, r, refused)
		return
	}
	if refused := checkCredentials(r); refused != nil {
		writeRefusal(w, r, refused)
		return
	}
	var h http.Handler = p.library
	var turn string
	if r.URL.Path == PathToken {
		form := r.Form
		switch form.Get("grant_type") {
		case grantPassword, grantPasswordRealm:
			h = http.HandlerFunc(p.password)
		}
		turn = form.Get("code") + form.Get("refresh_token") + form.Get("device_code")
		state.foreign = p.readForeign(r)
	}
	if err := p.unit(w, r, turn, unauthorized(h)); err != nil {
		p.fail(w, r, err)
	}
}

// checkCredentials refuses a request that authenticates its client in several ways (RFC 6749
// section 2.3), except that it says the same twice: zitadel's client for devices does.
func checkCredentials(r *http.Request) *refusal {
	refused := refuse(invalidRequest, "the client must authenticate in one way only")
	id, secret, asserted := r.Form.Get("client_id"), r.Form.Get("client_secret"), r.Form.Get("client_assertion") != ""
	if asserted && secret != "" {
		return refused
	}
	basicID, basicSecret, ok := r.BasicAuth()
	if !ok {
		return nil
	}
	basicID, err1 := url.QueryUnescape(basicID)
	basicSecret, err2 := url.QueryUnescape(basicSecret)
	if err1 != nil || err2 != nil {
		return nil // refused where it is read
	}
	if id != "" && id != basicID || secret != "" && secret != basicSecret || asserted && basicSecret != "" {
		return refused
	}
	return nil
}

// serveUserinfo serves the userinfo endpoint. Its token is not taken from the query, where it would
// end in logs (RFC 6750 section 5.3).
func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	if p.cors(w, r, "GET, POST") {
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST, OPTIONS")
		writeRefusal(w, r, &refusal{invalidRequest, "the method must be GET or POST", http.StatusMethodNotAllowed})
		return
	}
	r, _ = p.begin(r)
	if refused := readForm(w, r, false); refused != nil {
		writeRefusal(w, r, refused)
		return
	}
	if err := p.unit(w, r, "", challenged(p.library)); err != nil {
		p.fail(w, r, err)
	}
}

// challenged says in a header which token is missing (RFC 6750 section 3).
func challenged(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		a, ok := w.(*answer)
		if !ok {
			return
		}
		switch a.status {
		case http.StatusUnauthorized:
			challenge := "Bearer"
			if r.Header.Get("Authorization") != "" || r.Form.Get("access_token") != "" {
				challenge = `Bearer error="invalid_token"`
			}
			a.header.Set("WWW-Authenticate", challenge)
		case http.StatusForbidden:
			a.header.Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="openid"`)
		}
	})
}

// serveBrowser serves the endpoints to which browsers are sent.
func (p *Provider) serveBrowser(w http.ResponseWriter, r *http.Request, h http.HandlerFunc) {
	header := w.Header()
	header.Set("X-Frame-Options", "DENY")
	header.Set("Content-Security-Policy", pagePolicy)
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		header.Set("Allow", "GET, POST")
		p.errorPage(w, http.StatusMethodNotAllowed, "The method must be GET or POST.")
		return
	}
	r, state := p.begin(r)
	if refused := readForm(w, r, true); refused != nil {
		p.errorPage(w, refused.status, "The request is not valid: "+refused.description+".")
		return
	}
	state.browser = directory.Browser(w, r, p.env.Issuer)
	if err := p.unit(w, r, r.Form.Get("id"), h); err != nil {
		p.log(r, err)
		p.errorPage(w, http.StatusInternalServerError, "Something went wrong. Please try again.")
	}
}

// fail answers a request whose unit of work has failed.
func (p *Provider) fail(w http.ResponseWriter, r *http.Request, err error) {
	p.log(r, err)
	writeRefusal(w, r, refuse(serverError, "the request could not be handled"))
}

func (p *Provider) log(r *http.Request, err error) {
	if !errors.Is(err, errPanic) {
		p.env.Log.ErrorContext(r.Context(), "a request to the provider failed", "path", r.URL.Path, "error", err)
	}
}

// writeRefusal answers as RFC 6749 section 5.2 says.
func writeRefusal(w http.ResponseWriter, r *http.Request, refused *refusal) {
	if refused.code == invalidClient && requestOf(r.Context()).basic {
		w.Header().Set("WWW-Authenticate", `Basic realm="token endpoint"`)
	}
	writeJSON(w, refused.status, map[string]string{"error": refused.code, "error_description": refused.description})
}

// writeJSON answers by a JSON document.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // who went away does not hear it
}
