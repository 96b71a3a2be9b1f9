package vault_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/vault"
)

// oneSecret is a secret that the test changes.
type oneSecret struct {
	mu      sync.Mutex
	text    string
	err     error
	changes chan struct{}
}

func newSecret(text string) *oneSecret {
	return &oneSecret{text: text, changes: make(chan struct{}, 1)}
}

func (s *oneSecret) set(text string) {
	s.mu.Lock()
	s.text = text
	s.mu.Unlock()
	s.changes <- struct{}{}
}

func (s *oneSecret) Value(context.Context, vault.Ref) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text, s.err
}

func (s *oneSecret) Changes(vault.Ref) (<-chan struct{}, func()) { return s.changes, func() {} }

// client is what is made of a secret.
type client struct {
	secret string
	closed chan struct{}
}

func follow(t *testing.T, s *oneSecret, c clock.Clock, probe func(*client) error) (*vault.Followed[*client], <-chan *client) {
	t.Helper()
	made := make(chan *client, 10)
	f, err := vault.Follow(t.Context(), s, vault.Secret("key"), vault.Following[*client]{
		Make: func(_ context.Context, secret string) (*client, error) {
			return &client{secret, make(chan struct{})}, nil
		},
		Probe: func(_ context.Context, c *client) error {
			made <- c
			return probe(c)
		},
		Close: func(c *client) { close(c.closed) },
		Log:   slog.New(slog.DiscardHandler), Clock: c,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f, made
}

func isClosed(c *client) bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func good(*client) error { return nil }

// present waits until the value is made of a secret.
func present(t *testing.T, f *vault.Followed[*client], secret string) *client {
	t.Helper()
	for {
		value, release := f.Acquire()
		release()
		if value.secret == secret {
			return value
		}
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	s := newSecret("one")
	f, _ := follow(t, s, nil, good)
	old, release := f.Acquire()
	if old.secret != "one" {
		t.Fatalf("made of %q", old.secret)
	}
	s.set("two")
	next := present(t, f, "two")
	if isClosed(old) {
		t.Error("closed while it is in use")
	}
	release()
	release() // once is enough
	<-old.closed
	if isClosed(next) {
		t.Error("the new one is closed as well")
	}
	err := f.Use(func(c *client) error {
		if isClosed(c) {
			t.Error("used when it was closed")
		}
		return errors.New("passed on")
	})
	if err == nil || err.Error() != "passed on" {
		t.Error(err)
	}
	f.Close()
	<-next.closed
	f.Close()
}

// A value whose probe fails is not used, and tried again: the other side may be told of the secret later.
func TestFollowRollsBack(t *testing.T) {
	t.Parallel()
	c := clock.NewManual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	s, known := newSecret("one"), make(chan struct{})
	f, made := follow(t, s, c, func(c *client) error {
		select {
		case <-known:
			return nil
		default:
			if c.secret == "two" {
				return errors.New("no such password")
			}
			return nil
		}
	})
	defer f.Close()
	first := <-made
	if err := c.WaitTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	s.set("two")
	<-(<-made).closed
	if value, release := f.Acquire(); value != first || isClosed(value) {
		t.Error("the old value is not used any more")
	} else {
		release()
	}
	if err := c.WaitTimers(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	close(known)
	c.Advance(5 * time.Second)
	present(t, f, "two")
	<-first.closed
}

func TestFollowFails(t *testing.T) {
	t.Parallel()
	s := newSecret("one")
	failing := errors.New("failing")
	closed := false
	_, err := vault.Follow(t.Context(), s, vault.Secret("key"), vault.Following[int]{
		Make:  func(context.Context, string) (int, error) { return 1, nil },
		Probe: func(context.Context, int) error { return failing },
		Close: func(int) { closed = true },
	})
	if !errors.Is(err, failing) || !closed {
		t.Errorf("closed %v, %v", closed, err)
	}
	if _, err := vault.Follow(t.Context(), s, vault.Secret("key"), vault.Following[int]{}); err == nil {
		t.Error("followed without Make")
	}
	s.err = vault.ErrForbidden
	_, err = vault.Follow(t.Context(), s, vault.Secret("key"), vault.Following[int]{
		Make: func(context.Context, string) (int, error) { return 1, nil },
	})
	if !errors.Is(err, vault.ErrForbidden) {
		t.Error(err)
	}
}

func TestRef(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"vault:key": "vault:key", "vault:default/key": "vault:key", "vault:team/key": "vault:team/key",
		"vault:": "", "vault:a b": "", "vault:Team/key": "", "vault:a/b/c": "",
	} {
		ref, ok, err := vault.ParseRef(text)
		switch {
		case !ok:
			t.Errorf("%q is no reference", text)
		case want == "" && !errors.Is(err, vault.ErrInvalid):
			t.Errorf("%q: %v, want ErrInvalid", text, err)
		case want != "" && (err != nil || ref.String() != want):
			t.Errorf("%q: %q, %v", text, ref, err)
		}
	}
	if _, ok, err := vault.ParseRef("a password"); ok || err != nil {
		t.Errorf("a text: %v, %v", ok, err)
	}
}
