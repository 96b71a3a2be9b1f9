package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/test/e2e/browser"
)

// The people of demo mode, each of whom has one role.
const (
	uploader         = "uma"
	uploadApprover   = "ada"
	downloadApprover = "dan"
)

// accounts are the accounts of demo mode.
func (s *server) accounts() identity.DemoAccounts {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.data, identity.DemoFile))
	if err != nil {
		s.t.Fatal(err)
	}
	var all identity.DemoAccounts
	if err := json.Unmarshal(data, &all); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// account is the account of one of the people.
func (s *server) account(who string) identity.DemoAccount {
	s.t.Helper()
	for _, a := range s.accounts().Users {
		if a.Username == who {
			return a
		}
	}
	s.t.Fatalf("there is no account of %s", who)
	return identity.DemoAccount{}
}

// as adds the token of one of the people to a request.
func (s *server) as(who string, r *http.Request) *http.Request {
	r.Header.Set("Authorization", "Bearer "+s.account(who).AccessToken)
	return r
}

// open opens the page in a browser and signs in as one of the people.
func (s *server) open(who string) *browser.Page {
	s.t.Helper()
	p := browser.Open(s.t, s.url)
	s.signIn(p, who)
	return p
}

// become signs out and in as another of the people.
func (s *server) become(p *browser.Page, who string) {
	s.t.Helper()
	p.Click("#me button")
	s.signIn(p, who)
}

// signIn signs in on the provider's page, and waits for the app's.
func (s *server) signIn(p *browser.Page, who string) {
	s.t.Helper()
	a := s.account(who)
	p.Wait("the sign-in page", `location.pathname === '/u/login' && document.readyState === 'complete'`)
	browser.Eval[bool](p, fmt.Sprintf(`(document.getElementById('login').value = %q, document.getElementById('password').value = %q, true)`, a.Username, a.Password))
	p.Click(`form[action="/u/login"] button[type=submit]`)
	p.Wait("the page of "+who, `location.pathname === '/' && !document.getElementById('me').hidden`)
}

// Nobody sees anything before signing in, and nothing after signing out.
func TestPageAsksToSignIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/", "/api/files", "/assets/app.js", "/metrics", "/perdure/v1/info"} {
		if got := status(t, s.url+path); got != http.StatusUnauthorized {
			t.Errorf("%s without a token: status %d, want 401", path, got)
		}
	}
	p := s.open(uploader)
	if got := p.Text("#me-name"); got != "Uma Uploader" {
		t.Errorf("the name is %q", got)
	}
	if got := browser.Eval[string](p, "document.cookie"); got != "" {
		t.Errorf("scripts see the cookies %q", got)
	}
	p.Click("#me button")
	p.Wait("the sign-in page", `location.pathname === '/u/login'`)
	if got := browser.Eval[int](p, `fetch('/api/files').then((r) => { window.got = r.status }), 0`); got != 0 {
		t.Fatal(got)
	}
	p.Wait("the refusal", `window.got === 401`)
	p.Quiet()
}
