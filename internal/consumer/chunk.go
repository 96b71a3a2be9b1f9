package consumer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// chunk handles events one after another in one unit: as many as there are, within
// bounds. What an event does shows to the later ones. If one fails, nothing has
// happened: those before it are handled again without it, then it alone.
func (r *runner) chunk() verdict {
	allowed, wait := r.g.pace.begin(r.f.Clock.Now(), r.limit)
	if wait > 0 {
		return verdict{state: paced, wait: wait}
	}
	runs := 0
	defer func() { r.g.pace.giveBack(allowed - runs) }()
	u := unit.New(r.f.Env)
	if ok, err := r.there(u); !ok || err != nil {
		return r.discard(u, err)
	}
	events := r.take(allowed)
	// Before the function's own writes, so that these cannot leave it no room.
	if err := r.move(u, events); err != nil {
		return r.discard(u, err)
	}
	held, err := r.heldKeys(u, events)
	if err != nil {
		return r.discard(u, err)
	}
	rep := r.run(u, events, func(ctx context.Context, e *Event) error {
		if held[e.Key] {
			return r.spill(u, e, nil)
		}
		err := r.handle(ctx, e)
		if err == nil {
			r.g.pace.succeeded()
		}
		return err
	})
	runs = min(rep.handled+1, len(events))
	if rep.err == nil && rep.handled < len(events) {
		events = events[:rep.handled]
		rep.err = r.move(u, events)
	}
	return r.settle(u, events, rep)
}

// settle ends a unit in which events were handled, or one of them failed.
func (r *runner) settle(u *unit.Unit, events []*Event, rep report) verdict {
	if rep.err == nil {
		return r.commit(u, events)
	}
	u.Discarded()
	switch {
	case r.f.base.Err() != nil:
		r.f.mu.Lock()
		defer r.f.mu.Unlock()
		r.f.cutShort++
		return goOn
	case storeFailed(rep.err):
		return r.pause(rep.err)
	case r.g.HandleBatch != nil:
		return r.giveAway(events, rep.err)
	case rep.handled == 0: // nothing else was done in this unit: it failed by itself
		return r.giveAway(events[:1], rep.err)
	}
	r.solo = events[rep.handled].Position
	r.limit = rep.handled
	return goOn
}

// commit commits u, which handles events.
func (r *runner) commit(u *unit.Unit, events []*Event) verdict {
	var txn store.Txn
	if err := u.Seal(&txn); err != nil {
		return r.unfit(u, events, err)
	}
	switch err := r.f.Committer.Commit(context.WithoutCancel(r.f.base), &txn); {
	case err == nil:
		u.Committed()
		r.moved(len(events))
		r.limit = min(2*r.limit, maxChunk)
		return goOn
	case errors.Is(err, store.ErrConflict):
		u.Discarded()
		return r.conflict(events, err)
	case errors.Is(err, store.ErrMalformed):
		return r.unfit(u, events, err)
	default:
		// The outcome may be unknown: what was staged is left to the collector. The
		// cursor tells whether it committed.
		return r.pause(err)
	}
}

// unfit goes on after the writes of events were refused, for their size say: with fewer,
// until the one at fault is alone.
func (r *runner) unfit(u *unit.Unit, events []*Event, err error) verdict {
	u.Discarded()
	if len(events) > 1 && r.g.HandleBatch == nil {
		r.limit = len(events) / 2
		return goOn
	}
	return r.giveAway(events, err)
}

// conflict runs events again after others changed what they read: fewer at a time, so
// that less can be in the way.
func (r *runner) conflict(events []*Event, err error) verdict {
	r.retries++
	r.limit = max(len(events)/2, 1)
	if ok := r.isThere(); !ok {
		return goOn // somebody moved the cursor
	}
	if r.retries > maxConflicts && (len(events) == 1 || r.g.HandleBatch != nil) {
		return r.giveAway(events, fmt.Errorf("%w: %d runs: %w", unit.ErrConflict, r.retries, err))
	}
	t := r.f.Clock.NewTimer(jitter(time.Millisecond << min(r.retries, 7)))
	defer t.Stop()
	select {
	case <-t.C():
	case <-r.f.stopping:
	}
	return goOn
}

// isThere reports whether the cursor is where the runner thinks.
func (r *runner) isThere() bool {
	u := unit.New(r.f.Env)
	defer u.Discarded()
	ok, err := r.there(u)
	return ok && err == nil
}

// discard ends a unit in which nothing was run. Without an error the cursor was moved
// by another.
func (r *runner) discard(u *unit.Unit, err error) verdict {
	u.Discarded()
	if err != nil {
		return r.pause(err)
	}
	return goOn
}

// storeFailed reports whether an error is not the function's fault.
func storeFailed(err error) bool {
	return errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrOutcomeUnknown)
}

// report is how a run ended.
type report struct {
	handled int   // how many events were handled, before the end or the one that failed
	err     error // why that one failed
}

// errGoexit: the handler's goroutine ended without returning.
var errGoexit = errors.New("perdure: function called runtime.Goexit")

// run lets handle handle events on a goroutine of its own, until one fails or the time
// for one unit is over, and waits for each as long as it may take.
func (r *runner) run(u *unit.Unit, events []*Event, handle func(ctx context.Context, e *Event) error) report {
	timeout := r.g.Policy.Timeout
	lease := delivery.NewLease(r.f.Clock, timeout)
	defer lease.End()
	ctx, cancel := context.WithCancelCause(delivery.WithLease(unit.With(r.f.base, u), lease))
	var handled atomic.Int64
	ended := make(chan report, 1)
	go func() {
		rep := report{err: errGoexit}
		defer func() {
			if v := recover(); v != nil {
				rep.err = &delivery.PanicError{Value: v, Stack: debug.Stack()}
			}
			ended <- rep
		}()
		start := r.f.Clock.Now()
		for i, e := range events {
			if i > 0 && timeout > 0 {
				if rep.err = delivery.Extend(ctx, timeout); rep.err != nil {
					return // its time was over while it ended
				}
			}
			rep.err = errGoexit
			if rep.err = r.journaled(ctx, e, handle); rep.err != nil {
				return
			}
			rep.handled++
			handled.Store(int64(rep.handled))
			if r.f.isStopping() || r.f.Clock.Now().Sub(start) > maxChunkTime {
				return
			}
		}
	}()

	var cut error
	select {
	case rep := <-ended:
		cancel(nil)
		return rep
	case <-lease.Expired():
		cut = fmt.Errorf("%w after %v", delivery.ErrTimeout, timeout)
	case <-r.f.base.Done():
		cut = delivery.ErrStopping
	}
	// The unit is closed before anyone can see that the run is over: whatever the
	// function still does, it cannot commit.
	u.Discarded()
	cancel(cut)
	r.g.abandon(ended)
	// If all have just been handled, the last one took too long.
	return report{handled: min(int(handled.Load()), len(events)-1), err: cut}
}

// journaled lets handle handle one event, and notes meanwhile that it does.
func (r *runner) journaled(ctx context.Context, e *Event, handle func(ctx context.Context, e *Event) error) error {
	slot := r.f.Journal.Enter(poison.Stream, journalID(r.g, e))
	defer r.f.Journal.Leave(slot)
	return handle(ctx, e)
}

// journalID says in the journal which event is being handled: of which function, and
// where.
func journalID(g *group, e *Event) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, poison.MaxID), g.hash)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Partition))
	return binary.BigEndian.AppendUint64(b, e.Position)
}

func nameHash(function string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(function)) // never fails
	return h.Sum64()
}

// heldKeys returns which of the events' keys are held: something of theirs is still in
// the lane.
func (r *runner) heldKeys(u *unit.Unit, events []*Event) (map[string]bool, error) {
	some, err := r.anyHeld(u)
	if err != nil || !some {
		return nil, err
	}
	held := map[string]bool{}
	for _, e := range events {
		if _, known := held[e.Key]; known || e.Key == "" {
			continue
		}
		empty, err := records.LaneEmpty(u, r.g.Function, e.Key)
		if err != nil {
			return nil, err
		}
		held[e.Key] = !empty
	}
	return held, nil
}

// anyHeld reports whether any lane of the function may not be empty.
func (r *runner) anyHeld(u *unit.Unit) (bool, error) {
	depth, err := records.Depth(u, r.g.Function)
	if err != nil || depth > 0 {
		return true, err
	}
	lanes, err := records.HeldLanes(u, r.g.Function)
	return lanes > 0, err
}
