package audit_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/vault/internal/audit"
	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/vaulttest"
)

const issuer = "https://id.example.com/"

// world is a log on a store.
type world struct {
	*vaulttest.World
	*audit.Log
	options audit.Options
}

func newWorld(t testing.TB, options ...func(*audit.Options)) *world {
	t.Helper()
	w := &world{World: vaulttest.New(t)}
	w.options = audit.Options{Issuer: issuer, Clock: w.Clock}
	for _, o := range options {
		o(&w.options)
	}
	w.reopen(t)
	return w
}

// reopen makes the log anew, as after the end of the process.
func (w *world) reopen(t testing.TB) {
	t.Helper()
	w.Log = audit.New(w.Env, w.options)
	if err := w.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func user(subject string) model.Caller {
	return model.Caller{Principal: &auth.Principal{Issuer: issuer, Subject: subject, Name: "Name of " + subject}, IP: "192.0.2.1", Agent: "test", Request: "r1"}
}

func operation(op model.Op, name string) *model.Operation {
	return &model.Operation{ID: model.ID{Vault: "default", Kind: model.Secrets, Name: name, Version: "v1"}, Op: op}
}

// note appends an entry.
func (w *world) note(t testing.TB, by model.Caller, op *model.Operation) {
	t.Helper()
	w.Do(t, func(ctx context.Context) error { return w.Append(ctx, w.Entry(&by, op)) })
}

// noteMany appends n entries of items n1, n2 and so on, a second apart.
func (w *world) noteMany(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		w.note(t, user("ada"), operation(model.OpGet, fmt.Sprintf("n%d", i+1)))
		w.Clock.Advance(time.Second)
	}
}

func (w *world) sync(t testing.TB) {
	t.Helper()
	if err := w.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w *world) head(t testing.TB) *audit.Checkpoint {
	t.Helper()
	c, err := w.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// all returns all entries, the oldest first.
func (w *world) all(t testing.TB, f audit.Filter) (all []audit.Entry) {
	t.Helper()
	for f.Oldest = true; ; {
		list, err := w.Entries(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.Items {
			all = append(all, r.Entry)
		}
		if f.Cursor = list.Next; f.Cursor == "" {
			return all
		}
	}
}

// memorySink keeps checkpoints, and fails when told so.
type memorySink struct {
	mu   sync.Mutex
	fail error
	got  []audit.Checkpoint
	sent chan struct{}
}

func newSink() *memorySink { return &memorySink{sent: make(chan struct{}, 1000)} }

func (s *memorySink) Name() string { return "memory" }

func (s *memorySink) Send(_ context.Context, c *audit.Checkpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.sent <- struct{}{} }()
	if s.fail == nil {
		s.got = append(s.got, *c)
	}
	return s.fail
}

func (s *memorySink) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *memorySink) positions() (all []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.got {
		all = append(all, c.Position)
	}
	return all
}

func sum(h audit.Hash, entry []byte) audit.Hash { return sha256.Sum256(append(h[:], entry...)) }
