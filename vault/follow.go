package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

// Follower is where the values of Follow come from: a Client.
type Follower interface {
	// Value returns the value of a secret.
	Value(ctx context.Context, ref Ref) (string, error)
	// Changes returns a channel that gets something after each change of a secret, until stop is called.
	Changes(ref Ref) (changes <-chan struct{}, stop func())
}

// Following says what becomes of a secret that is followed.
type Following[T any] struct {
	// Make makes a value of the secret, such as a client that signs in with it. The text of its error is logged, as is that of
	// Probe: they must not have the secret in them.
	Make func(ctx context.Context, secret string) (T, error)
	// Probe, unless nil, tries a value out before it is used. When it fails the value before stays in use, and the
	// new one is tried again later: the other side may not know the new secret yet.
	Probe func(ctx context.Context, value T) error
	// Close, unless nil, is called for a value that nobody uses any more.
	Close func(value T)
	// Log gets what an operator should know. Default slog.Default().
	Log *slog.Logger
	// Clock is for tests. Default: the system's.
	Clock clock.Clock
}

// Followed is a value that is made of a secret, and made anew when the secret changes. It is safe for
// concurrent use.
type Followed[T any] struct {
	ref  Ref
	from Follower
	how  Following[T]
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	current *held[T]
	text    string // of the secret that current is made of
	closed  bool
}

// held is a value with those who use it.
type held[T any] struct {
	value T
	users int
	old   bool // another one is in its place
}

// The time between two attempts to put a new value in the place of one in use.
const (
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
)

// Follow makes a value of a secret and keeps it up to date until Close: within moments after a change the new value is made,
// probed and used, while who has begun with the old one ends with it. When the secret cannot be read any more, the value that there is
// stays in use, which is logged. It fails when the first value cannot be made, or its probe fails.
func Follow[T any](ctx context.Context, from Follower, ref Ref, how Following[T]) (*Followed[T], error) {
	if how.Make == nil {
		return nil, errors.New("vault: Follow: Make is nil")
	}
	if how.Log == nil {
		how.Log = slog.Default()
	}
	if how.Clock == nil {
		how.Clock = clock.System()
	}
	f := &Followed[T]{ref: ref, from: from, how: how}
	changes, stop := from.Changes(ref) // before the first reading, so that no change is missed
	if err := f.renew(ctx); err != nil {
		stop()
		return nil, fmt.Errorf("vault: %s: %w", ref, err)
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.done.Go(func() {
		defer stop()
		f.follow(ctx, changes)
	})
	return f, nil
}

// Use calls fn with the present value, which is not closed before fn returns.
func (f *Followed[T]) Use(fn func(value T) error) error {
	value, release := f.Acquire()
	defer release()
	return fn(value)
}

// Acquire returns the present value, which is not closed before release is called.
func (f *Followed[T]) Acquire() (value T, release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.current
	h.users++
	return h.value, sync.OnceFunc(func() { f.release(h) })
}

// Close ends the following; the value is closed when nobody uses it any more.
func (f *Followed[T]) Close() {
	f.stop()
	f.done.Wait()
	f.mu.Lock()
	h, first := f.current, !f.closed
	f.closed = true
	if first {
		h.users++ // as if it were in use until here
		h.old = true
	}
	f.mu.Unlock()
	if first {
		f.release(h)
	}
}

func (f *Followed[T]) release(h *held[T]) {
	f.mu.Lock()
	h.users--
	last := h.old && h.users == 0
	f.mu.Unlock()
	if last {
		f.discard(h.value)
	}
}

func (f *Followed[T]) discard(value T) {
	if f.how.Close != nil {
		f.how.Close(value)
	}
}

// follow renews the value after each change, and tries again what failed.
func (f *Followed[T]) follow(ctx context.Context, changes <-chan struct{}) {
	wait := firstRetry
	for {
		// Also without a change that was heard of, since the value may have been read anew elsewhere.
		t := f.how.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-changes:
			wait = firstRetry
		case <-t.C():
			wait = min(2*wait, lastRetry)
		}
		t.Stop()
		if err := f.renew(ctx); err != nil && ctx.Err() == nil {
			f.how.Log.WarnContext(ctx, "a secret has changed, but the value made of it cannot be used; the one before stays in use",
				"secret", f.ref.String(), "error", err)
		} else {
			wait = lastRetry
		}
	}
}

// renew makes the value anew if the secret has changed.
func (f *Followed[T]) renew(ctx context.Context) error {
	text, err := f.from.Value(ctx, f.ref)
	if err != nil {
		return err
	}
	f.mu.Lock()
	same := f.current != nil && f.text == text
	f.mu.Unlock()
	if same {
		return nil
	}
	value, err := f.how.Make(ctx, text)
	if err != nil {
		return err
	}
	if f.how.Probe != nil {
		if err := f.how.Probe(ctx, value); err != nil {
			f.discard(value)
			return fmt.Errorf("its probe failed: %w", err)
		}
	}
	f.mu.Lock()
	before := f.current
	f.current, f.text = &held[T]{value: value}, text
	if before != nil {
		before.users++
		before.old = true
	}
	f.mu.Unlock()
	if before != nil {
		f.release(before)
	}
	return nil
}
