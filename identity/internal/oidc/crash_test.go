package oidc_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/identity/internal/directorytest"
	"github.com/perdure/perdure/identity/internal/oidc"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
)

// mortal is a store that dies at a commit, which is lost or kept without anybody hearing of it.
type mortal struct {
	store.Store
	mu   sync.Mutex
	left int // commits until it dies; negative never
	kept bool
	dead bool
}

func (m *mortal) Commit(ctx context.Context, group []*store.Txn) ([]error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left > 0 {
		m.left--
	}
	if m.left != 0 && !m.dead {
		return m.Store.Commit(ctx, group)
	}
	if !m.dead && m.kept {
		_, _ = m.Store.Commit(ctx, group) // its result is what a crash hides
	}
	m.dead = true
	return nil, fmt.Errorf("%w: it has crashed", store.ErrOutcomeUnknown)
}

func (m *mortal) Close() error { return nil }

// TestCrash kills the store at each commit of a sign-in with refreshes: what was answered stays good, and a token that was not
// answered for can be sent again.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		for at := 1; ; at++ {
			if !crash(t, at, kept) {
				if at < 5 {
					t.Errorf("the scenario made %d commits", at-1)
				}
				break
			}
		}
	}
}

// crash runs the scenario, and reports whether it met its crash.
func crash(t *testing.T, at int, kept bool) (met bool) {
	t.Helper()
	inside := memory.New(nil)
	defer func() { _ = inside.Close() }()
	m := &mortal{Store: inside, left: -1, kept: kept}
	d := directorytest.On(t, m)
	d.Do(t, d.EnsureDefaults)
	w := worldOn(t, d)
	d.Do(t, func(ctx context.Context) error {
		_, err := d.UpdateApplication(ctx, directory.Command, w.web.ClientID, func(a *directory.Application) error { a.RefreshLeeway = 30; return nil })
		return err
	})
	code := w.code(t, w.request(w.web))
	m.mu.Lock()
	m.left = at
	m.mu.Unlock()

	var token, access string // the last that were answered
	a := w.exchange(t, code)
	if a.status == http.StatusOK {
		token, access = a.text("refresh_token"), a.text("access_token")
		for range 4 {
			if a = w.refresh(t, token); a.status != http.StatusOK {
				break
			}
			token, access = a.text("refresh_token"), a.text("access_token")
		}
	}
	if a.status != http.StatusOK && (a.status != http.StatusInternalServerError || a.text("error") != "server_error") {
		t.Errorf("commit %d: answer %d %s", at, a.status, a.body)
	}

	// The process starts again on what is durable.
	again := directorytest.On(t, inside)
	again.Env.Seal = d.Env.Seal
	provider, err := oidc.New(again.Env, oidc.Options{Sessions: sessions{again.Env}})
	if err != nil {
		t.Fatal(err)
	}
	after := &world{World: again, provider: provider, user: w.user, web: w.web, secret: w.secret}
	if token == "" {
		// The code was not answered for: it is either good, or used up by who never got the answer.
		if a := after.exchange(t, code); kept != (a.text("error") == "invalid_grant") {
			t.Errorf("commit %d, kept %v: the code after the crash: %d %s", at, kept, a.status, a.body)
		}
		return m.dead
	}
	if a := after.userinfo(t, access); a.status != http.StatusOK {
		t.Errorf("commit %d, kept %v: an access token that was answered: %d %s", at, kept, a.status, a.body)
	}
	if a := after.refresh(t, token); a.status != http.StatusOK {
		t.Errorf("commit %d, kept %v: a refresh token that was answered: %d %s", at, kept, a.status, a.body)
	}
	return m.dead
}
