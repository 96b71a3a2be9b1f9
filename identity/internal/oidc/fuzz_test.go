package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/identity/internal/oidc"
)

func FuzzRedirects(f *testing.F) {
	callbacks := []string{"https://app.example/cb", "http://127.0.0.1/cb", "http://[::1]:1/cb", "http://localhost/cb?x=1"}
	for _, uri := range callbacks {
		f.Add(uri)
	}
	f.Add("http://127.0.0.1:80@evil.example/cb")
	f.Add("http://[::1]:2/cb")
	f.Fuzz(func(t *testing.T, uri string) {
		web, native := oidc.Redirects(callbacks, false, uri), oidc.Redirects(callbacks, true, uri)
		if web != slices.Contains(callbacks, uri) {
			t.Fatalf("%q is accepted for an application of the web", uri)
		}
		if !native || web {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q is accepted", uri)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback()) {
			t.Fatalf("%q is accepted, which is not on this machine", uri)
		}
		if u.Path != "/cb" {
			t.Fatalf("%q is accepted, which has another path", uri)
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add("application/json", []byte(`{"grant_type":"client_credentials","x":1,"y":true,"z":null}`))
	f.Add("application/x-www-form-urlencoded", []byte("a=b&a=c"))
	f.Add("application/json; charset=utf-8", []byte(`{"a":{"b":[]}}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		values, ok := oidc.ParseBody(kind, body)
		if !ok && len(values) > 0 {
			t.Fatalf("values %v of a body that is refused", values)
		}
	})
}

func FuzzAssertion(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIiwic3ViIjoiYSIsImF1ZCI6WyJ4Il19.")
	f.Add("x.y.z")
	f.Fuzz(func(_ *testing.T, token string) { _, _, _ = oidc.Peek(token) })
}

func FuzzUserCode(f *testing.F) {
	f.Add("bcdf-ghjk")
	f.Add("BCDFGHJK")
	f.Fuzz(func(t *testing.T, entered string) {
		code := oidc.NormalCode(entered)
		if code != "" && (len(code) != 8 || strings.Trim(code, "BCDFGHJKLMNPQRSTVWXZ") != "") {
			t.Fatalf("%q is read as %q", entered, code)
		}
	})
}

func FuzzAuthRequest(f *testing.F) {
	w := newWorld(f)
	f.Add(w.request(w.web).Encode())
	f.Add(w.request(w.spa, "prompt", "none", "max_age", "10", "response_mode", "form_post").Encode())
	f.Add("client_id=x&redirect_uri=y")
	f.Fuzz(func(t *testing.T, query string) {
		form, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, code := oidc.ParseAuthRequest(w.provider, w.spa, form)
		if code == "" && (r.ResponseType != "code" || r.Challenge == "" || form.Get("code_challenge_method") != "S256") {
			t.Fatalf("%q is accepted: %+v", query, r)
		}
	})
}

// FuzzRequest sends whole requests: none of them makes the provider fail, and none of an unknown sender gets a token or is
// redirected away.
func FuzzRequest(f *testing.F) {
	w := newWorld(f)
	for _, path := range w.provider.Patterns() {
		f.Add("GET", path, w.request(w.web).Encode(), "", "")
		f.Add("POST", path, "", "application/x-www-form-urlencoded", "grant_type=client_credentials&client_id=x&client_secret=y&token=z")
	}
	f.Add("POST", "/oauth/token", "", "application/json", `{"grant_type":"urn:ietf:params:oauth:grant-type:token-exchange","client_id":"x","subject_token":"a.b.c","subject_token_type":"urn:ietf:params:oauth:token-type:jwt"}`)
	paths := w.provider.Patterns()
	f.Fuzz(func(t *testing.T, method, path, query, kind, body string) {
		if !slices.Contains(paths, path) || method != http.MethodGet && method != http.MethodPost {
			return
		}
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", kind)
		rec := httptest.NewRecorder()
		w.provider.ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Fatalf("%s %s?%s %q: %d %s", method, path, query, body, rec.Code, rec.Body)
		}
		if strings.Contains(rec.Body.String(), "access_token\":") {
			t.Fatalf("%s %s?%s %q: %s", method, path, query, body, rec.Body)
		}
		to := rec.Header().Get("Location")
		if to != "" && !strings.HasPrefix(to, issuer) && !strings.HasPrefix(to, callback+"?") && !strings.HasPrefix(to, "https://app.example/other?x=1&") && to != "https://app.example/bye" && !strings.HasPrefix(to, "https://app.example/bye?state=") {
			t.Fatalf("%s %s?%s: sent to %q", method, path, query, to)
		}
	})
}
