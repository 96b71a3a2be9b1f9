package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/store"
)

// leaseName is the lease that the owner of all instances holds.
const leaseName = "instances"

const leaseTTL = 15 * time.Second

// keepLease renews the lease until the engine stops.
func (e *Engine) keepLease() {
	t := time.NewTicker(leaseTTL / 3) // the store's time, which is the machine's
	defer t.Stop()
	for {
		select {
		case <-e.stopping:
			return
		case <-t.C:
		case <-e.doubted:
		}
		err := e.renewLease()
		switch {
		case err == nil || e.isStopping():
		case errors.Is(err, store.ErrLeaseHeld), errors.Is(err, store.ErrLeaseLost),
			errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrOutcomeUnknown):
			e.fail(fmt.Errorf("engine: lease: %w", err))
			return
		default:
			e.log.Warn("durable engine could not renew its lease", "error", err)
		}
	}
}

// renewLease renews the lease. One that ran out, say because the machine slept, is
// taken again if nobody had it meanwhile: what is in memory would be out of date.
// Turns under the old epoch are refused and rebuilt.
func (e *Engine) renewLease() error {
	ctx, cancel := context.WithTimeout(e.base, leaseTTL/3)
	defer cancel()
	old := e.epoch.Load()
	err := e.store.RenewLease(ctx, leaseName, old, leaseTTL)
	if !errors.Is(err, store.ErrLeaseLost) {
		return err
	}
	epoch, err := e.store.AcquireLease(ctx, leaseName, e.owner, leaseTTL)
	if err != nil {
		return err
	}
	e.epoch.Store(epoch)
	if epoch != old+1 {
		return fmt.Errorf("%w: another process had it meanwhile", store.ErrLeaseLost)
	}
	return nil
}

// doubtLease has the lease renewed now, because a commit was refused for it.
func (e *Engine) doubtLease() {
	select {
	case e.doubted <- struct{}{}:
	default:
	}
}

// lease is the condition of every commit of the engine.
func (e *Engine) lease() store.Lease { return store.Lease{Name: leaseName, Epoch: e.epoch.Load()} }
