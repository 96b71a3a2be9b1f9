package management_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/identity/internal/management"
)

// world is the management API on a directory, and what other parts do for it.
type world struct {
	*directorytest.World
	*management.Handler
	passwords map[string]string
	mails     int
	factors   []management.Factor
	blocked   bool
	revoked   string // user and session
}

// guard says that a request is from whom its Authorization header says: the permissions,
// separated by commas.
func guard(r *http.Request) (*auth.Principal, error) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return nil, nil
	}
	if token == "bad" {
		return nil, &auth.TokenError{Reason: "the token is bad"}
	}
	if token == "broken" {
		return nil, errors.New("the issuer cannot be reached, says 10.0.0.1")
	}
	p := &auth.Principal{Subject: "tester", ClientID: "client-of-tester"}
	if scopes, is := strings.CutPrefix(token, "scope:"); is {
		p.Scopes = strings.Split(scopes, ",")
	} else {
		p.Permissions = strings.Split(token, ",")
	}
	slices.Sort(p.Permissions)
	slices.Sort(p.Scopes)
	return p, nil
}

func newWorld(t testing.TB) *world {
	w := &world{World: directorytest.New(t), passwords: map[string]string{}}
	w.factors = []management.Factor{{ID: "f1", Type: "totp"}, {ID: "f2", Type: "passkey", Name: "Phone"}}
	w.Handler = management.New(w.Env, auth.AuthenticatorFunc(guard), management.Parts{
		Passwords: w, Tickets: tickets{w}, Factors: factors{w}, Blocks: blocks{w}, Tokens: tokens{w},
	})
	return w
}

// Set implements management.Passwords.
func (w *world) Set(_ context.Context, id, password string) error {
	if len(password) < 10 {
		return &management.PasswordError{Reason: "too short"}
	}
	w.passwords[id] = password
	return nil
}

type tickets struct{ w *world }

func (t tickets) VerifyEmail(_ context.Context, k management.Ticket, mail bool) (string, error) {
	if mail {
		t.w.mails++
	}
	return directorytest.Issuer + "u/verify?ticket=1&user=" + k.UserID, nil
}

func (t tickets) ChangePassword(_ context.Context, k management.Ticket) (string, error) {
	return directorytest.Issuer + "u/reset?ticket=1&user=" + k.UserID, nil
}

type factors struct{ w *world }

func (f factors) List(context.Context, string) ([]management.Factor, error) { return f.w.factors, nil }

func (f factors) Delete(_ context.Context, _, id string) (bool, error) {
	n := len(f.w.factors)
	f.w.factors = slices.DeleteFunc(f.w.factors, func(one management.Factor) bool { return id == "" || one.ID == id })
	return len(f.w.factors) < n, nil
}

type blocks struct{ w *world }

func (b blocks) List(context.Context, string) ([]management.Block, error) {
	if b.w.blocked {
		return []management.Block{{Identifier: "ann@example.org", IP: "192.0.2.1"}}, nil
	}
	return nil, nil
}

func (b blocks) Remove(context.Context, string) error {
	b.w.blocked = false
	return nil
}

// everything is a token with all permissions.
func everything() string {
	var names []string
	for _, p := range directory.ManagementPermissions() {
		names = append(names, p.Value)
	}
	return strings.Join(names, ",")
}

// request is a request with a token.
func request(method, path, body, token string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

// send sends a request with a token and returns the answer.
func (w *world) send(token, method, path, body string) *httptest.ResponseRecorder {
	return w.serve(request(method, path, body, token))
}

// do sends a request of somebody who may do all, wants a status, and returns the body.
func (w *world) do(t testing.TB, status int, method, path, body string) (object map[string]any) {
	t.Helper()
	rec := w.send(everything(), method, path, body)
	text, _ := io.ReadAll(rec.Body)
	if rec.Code != status {
		t.Fatalf("%s %s %.300s: got %d %.600s, want %d", method, path, body, rec.Code, text, status)
	}
	if len(text) > 0 && text[0] == '{' {
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
	}
	return object
}

type tokens struct{ w *world }

func (k tokens) RevokeUser(_ context.Context, userID, sessionID string) error {
	k.w.revoked = userID + " " + sessionID
	return nil
}
