// Package directorytest is a directory for tests: real units of work on a store in memory, time
// that the test moves, and a mailbox.
package directorytest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/identity/internal/directory"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/mail"
)

// Issuer is the issuer of a World.
const Issuer = "http://localhost:8080/"

// Epoch is when a World begins.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// World is a directory with the defaults in it.
type World struct {
	*directory.Env
	Clock *clock.Manual // the same as Env.Clock
	Inbox *Inbox        // the same as Env.Mail
}

// New returns a world on a store in memory. It ends with the test.
func New(t testing.TB) *World {
	t.Helper()
	s := memory.New(nil)
	t.Cleanup(func() { _ = s.Close() })
	w := On(t, s)
	w.Do(t, w.EnsureDefaults)
	return w
}

// On returns a world on a store, without defaults. The test closes the store after it has ended.
func On(t testing.TB, s store.Store) *World {
	t.Helper()
	committer := store.NewCommitter(s, store.CommitterOptions{})
	t.Cleanup(committer.Close)
	w := &World{Clock: clock.NewManual(Epoch), Inbox: &Inbox{}}
	env := &unit.Env{Snapshot: s.Snapshot, Now: w.Clock.Now}
	w.Env = &directory.Env{
		Unit: func(ctx context.Context, fn func(ctx context.Context) error) error {
			return unit.Run(ctx, env, committer, 100, fn)
		},
		Clock: w.Clock, Seal: NewSealer(), Issuer: Issuer, Mail: w.Inbox, Log: slog.New(slog.DiscardHandler),
	}
	return w
}

// Do runs fn in a unit of work that must commit.
func (w *World) Do(t testing.TB, fn func(ctx context.Context) error) {
	t.Helper()
	if err := w.Unit(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// NewUser makes a user of the default connection with a verified address.
func (w *World) NewUser(t testing.TB, email string) (u *directory.User) {
	t.Helper()
	w.Do(t, func(ctx context.Context) (err error) {
		u, err = w.CreateUser(ctx, directory.Command, &directory.User{
			Connection: directory.DefaultConnection, Email: email, EmailVerified: true,
		})
		return err
	})
	return u
}

// NewApplication makes an application, and returns its secret if it has one.
func (w *World) NewApplication(t testing.TB, a *directory.Application) (row *directory.Application, secret string) {
	t.Helper()
	w.Do(t, func(ctx context.Context) (err error) {
		row, secret, err = w.CreateApplication(ctx, directory.Command, a)
		return err
	})
	return row, secret
}

// NewAPI makes an API with permissions that enforces them.
func (w *World) NewAPI(t testing.TB, identifier string, permissions ...string) (row *directory.API) {
	t.Helper()
	a := &directory.API{Identifier: identifier, EnforcePolicies: true, AllowOfflineAccess: true}
	for _, p := range permissions {
		a.Permissions = append(a.Permissions, directory.Permission{Value: p})
	}
	w.Do(t, func(ctx context.Context) (err error) {
		row, err = w.CreateAPI(ctx, directory.Command, a)
		return err
	})
	return row
}

// NewRole makes a role with permissions of one API.
func (w *World) NewRole(t testing.TB, name, api string, permissions ...string) (row *directory.Role) {
	t.Helper()
	r := &directory.Role{Name: name}
	for _, p := range permissions {
		r.Permissions = append(r.Permissions, directory.APIPermission{API: api, Name: p})
	}
	w.Do(t, func(ctx context.Context) (err error) {
		row, err = w.CreateRole(ctx, directory.Command, r)
		return err
	})
	return row
}

// Inbox is a mail.Sender that keeps what was sent.
type Inbox struct {
	mu   sync.Mutex
	sent []*mail.Message
}

// Send implements mail.Sender.
func (i *Inbox) Send(_ context.Context, m *mail.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	copied := *m
	i.sent = append(i.sent, &copied)
	return nil
}

// Sent returns the messages, the oldest first.
func (i *Inbox) Sent() []*mail.Message {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]*mail.Message(nil), i.sent...)
}

// Last returns the newest message to an address; nil when there is none.
func (i *Inbox) Last(to string) *mail.Message {
	sent := i.Sent()
	for n := len(sent) - 1; n >= 0; n-- {
		if sent[n].To == to {
			return sent[n]
		}
	}
	return nil
}

// sealer seals with a random key, as the key store does with the master key.
type sealer struct{ aead cipher.AEAD }

// NewSealer returns a directory.Sealer with a random key.
func NewSealer() directory.Sealer {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has a good length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return sealer{aead}
}

// Seal implements directory.Sealer.
func (s sealer) Seal(purpose string, plain []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, plain, []byte(purpose)), nil
}

// Open implements directory.Sealer.
func (s sealer) Open(purpose string, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return nil, errors.New("it was not sealed for this purpose, or by another key")
	}
	return plain, nil
}
