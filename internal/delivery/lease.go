package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

// ErrNoLease: Extend was called outside a function that runs by an event, or after its
// time was over.
var ErrNoLease = errors.New("perdure: no run whose time could be extended")

// Lease is the time that a run has. It is safe for concurrent use.
type Lease struct {
	clock   clock.Clock
	expired chan struct{}

	mu       sync.Mutex
	timer    clock.Timer // nil: no bound
	began    time.Time
	deadline time.Time
	ended    bool
}

// NewLease begins a lease of a length; one without end unless that is positive.
func NewLease(c clock.Clock, length time.Duration) *Lease {
	l := &Lease{clock: c, expired: make(chan struct{})}
	if length > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.began = c.Now()
		l.deadline = l.began.Add(length)
		l.timer = c.AfterFunc(length, l.expire)
	}
	return l
}

// expire is called by the timer.
func (l *Lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.deadline.After(l.clock.Now()) { // extended while the timer fired
		return
	}
	l.ended = true
	close(l.expired)
}

// Expired is closed when the time is over.
func (l *Lease) Expired() <-chan struct{} { return l.expired }

// Length is the time between the lease's begin and its end as it was last set.
func (l *Lease) Length() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline.Sub(l.began)
}

// End ends the lease before its time.
func (l *Lease) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

type leaseKey struct{}

// WithLease returns a context in which Extend extends l.
func WithLease(ctx context.Context, l *Lease) context.Context {
	return context.WithValue(ctx, leaseKey{}, l)
}

// Extend moves the end of the run that ctx belongs to, so that it is d from now. It
// fails with ErrNoLease.
func Extend(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("perdure: a run cannot be extended by %v: want a positive time", d)
	}
	l, _ := ctx.Value(leaseKey{}).(*Lease)
	if l == nil {
		return ErrNoLease
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return ErrNoLease
	}
	if l.timer != nil {
		l.deadline = l.clock.Now().Add(d)
		l.timer.Reset(d)
	}
	return nil
}
