package local

import (
	"fmt"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/store"
)

// Leases is the table of leases of a store that only one process has open. Who
// holds what until when lives in memory; the store makes epochs durable.
type Leases struct {
	now func() time.Time

	mu    sync.Mutex
	names map[string]*lease
}

type lease struct {
	epoch   uint64
	owner   string
	expires time.Time // zero: nobody holds it
}

func (l *lease) held(now time.Time) bool { return now.Before(l.expires) }

// NewLeases returns an empty table that tells the time by now.
func NewLeases(now func() time.Time) *Leases {
	return &Leases{now: now, names: make(map[string]*lease)}
}

// Restore records the last epoch of a name, held by nobody.
func (t *Leases) Restore(name string, epoch uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names[name] = &lease{epoch: epoch}
}

// Next returns the epoch that owner would get, or ErrLeaseHeld.
func (t *Leases) Next(name, owner string, ttl time.Duration) (uint64, error) {
	if err := checkLease(name, owner, ttl); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.names[name]
	if l == nil {
		return 1, nil
	}
	if l.owner != owner && l.held(t.now()) {
		return 0, fmt.Errorf("%w: %q by %q", store.ErrLeaseHeld, name, l.owner)
	}
	return l.epoch + 1, nil
}

// Grant makes owner the holder under an epoch that is durable by now.
func (t *Leases) Grant(name, owner string, epoch uint64, ttl time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names[name] = &lease{epoch: epoch, owner: owner, expires: t.now().Add(ttl)}
}

// Renew extends a lease that is still held.
func (t *Leases) Renew(name string, epoch uint64, ttl time.Duration) error {
	if ttl <= 0 {
		return ttlFault(ttl)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	l := t.names[name]
	if l == nil || l.epoch != epoch || !l.held(now) {
		return lost(name, epoch)
	}
	l.expires = now.Add(ttl)
	return nil
}

// Release gives a lease up if epoch still holds it.
func (t *Leases) Release(name string, epoch uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.names[name]; l != nil && l.epoch == epoch {
		l.expires = time.Time{}
	}
}

// Check is the verdict on a transaction's lease: nil or ErrLeaseLost.
func (t *Leases) Check(want store.Lease) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.names[want.Name]
	if l == nil || l.epoch != want.Epoch || !l.held(t.now()) {
		return lost(want.Name, want.Epoch)
	}
	return nil
}

func lost(name string, epoch uint64) error {
	return fmt.Errorf("%w: %q epoch %d", store.ErrLeaseLost, name, epoch)
}

func ttlFault(ttl time.Duration) error {
	return fmt.Errorf("%w: lease time of %v, want more than 0", store.ErrMalformed, ttl)
}

func checkLease(name, owner string, ttl time.Duration) error {
	for _, s := range []struct{ what, text string }{{"name", name}, {"owner", owner}} {
		if len(s.text) == 0 || len(s.text) > store.MaxNameSize {
			return fmt.Errorf("%w: lease %s of %d bytes, want 1 to %d", store.ErrMalformed, s.what, len(s.text), store.MaxNameSize)
		}
	}
	if ttl <= 0 {
		return ttlFault(ttl)
	}
	return nil
}
