package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// kept knows whether events wait for instances that do not exist yet, so that
// starts look for them only then.
//
// A kept event is committed under the condition that its instance does not exist.
// So once a start is durable no more are added for it, and the ones there are can
// be moved to its inbox. That happens before the instance takes anything else:
// either the first turn after the start sees that events are kept, or whoever keeps
// one sees, once it is durable, that the instance is there.
type kept struct {
	mu      sync.Mutex
	some    bool
	next    time.Time // the earliest expiry
	changes int       // calls of note
}

// maxKept bounds the events moved or expired in one commit.
const maxKept = 1000

func (k *kept) any() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.some
}

func (k *kept) note(expires time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.some || expires.Before(k.next) {
		k.next = expires
	}
	k.some = true
	k.changes++
}

// added is called when an event has been kept.
func (k *kept) added(e *Engine, expires time.Time) {
	k.note(expires)
	e.timers.poke()
}

// sweep looks at all kept events: those whose instance exists are moved to it,
// those that expired by now are given up.
func (k *kept) sweep(e *Engine, now time.Time) error {
	k.mu.Lock()
	changes := k.changes
	k.mu.Unlock()
	snap, err := e.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	var (
		some             bool
		next             time.Time
		started, overdue []string
	)
	err = records.KeptIDs(snap, func(id string, expires time.Time) bool {
		key, findErr := records.FindInstance(snap, id)
		switch {
		case findErr != nil:
			err = findErr
			return false
		case key != 0:
			started = append(started, id)
		case !expires.After(now):
			overdue = append(overdue, id)
		}
		if !some || expires.Before(next) {
			next = expires
		}
		some = true
		return true
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	if k.changes == changes {
		k.some, k.next = some, next
	}
	k.mu.Unlock()
	for _, id := range overdue {
		if err := e.giveUp(id, now); err != nil {
			return err
		}
	}
	for _, id := range started {
		if err := e.adoptStarted(id); err != nil {
			return err
		}
	}
	return nil
}

// expire makes dead letters of the events that waited too long.
func (k *kept) expire(e *Engine, now time.Time) {
	k.mu.Lock()
	due := k.some && !k.next.After(now)
	k.mu.Unlock()
	if !due {
		return
	}
	if err := k.sweep(e, now); err != nil {
		k.postpone(now.Add(recheck))
		if !e.isStopping() {
			e.log.Error("durable kept events could not be given up", "error", err)
		}
	}
}

// postpone keeps an expiry that could not be dealt with from being tried at once.
func (k *kept) postpone(until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.some = true
	if k.next.Before(until) {
		k.next = until
	}
}

// giveUp makes dead letters of the expired events kept for id.
func (e *Engine) giveUp(id string, now time.Time) error {
	snap, err := e.store.Snapshot()
	if err != nil {
		return err
	}
	messages, err := records.ReadKept(snap, id, maxKept)
	snap.Close()
	if err != nil {
		return err
	}
	return unit.Run(e.base, e.opts.Env, e.opts.Committer, maxConflicts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		if found, err := u.Get(records.IDKey(id)); err != nil || found != nil {
			return err // the instance came: its start takes them
		}
		w := &unitWriter{u: u}
		for _, m := range messages {
			if time.Unix(0, m.Event.Time).After(now) {
				continue
			}
			records.DeleteKept(w, id, m.Arrival)
			if err := e.undelivered(u, Undelivered{InstanceID: id, Event: m.Event.Name, Payload: m.Event.Data}); err != nil {
				return err
			}
		}
		return w.err
	})
}

// undelivered hands an event that nobody takes to whoever keeps dead letters.
func (e *Engine) undelivered(u *unit.Unit, d Undelivered) error {
	e.log.Warn("durable event was not delivered: no such instance", "instance", d.InstanceID, "event", d.Event)
	if e.opts.DeadLetter == nil {
		return nil
	}
	return e.opts.DeadLetter(u, d)
}

// keep stores an event for an instance to come. It fails with store.ErrConflict
// when that was started meanwhile.
func (e *Engine) keep(ctx context.Context, r *unit.Raise) error {
	now := e.now()
	expires := now.Add(r.KeepFor)
	txn := &store.Txn{}
	txn.Require(records.IDKey(r.ID), 0)
	records.PutKept(txn, r.ID, &records.Message{Arrival: e.keys.arrival(now), Event: history.Event{
		Kind: history.EventRaised, Name: r.Name, Data: r.Payload, Time: expires.UnixNano(),
	}})
	if err := e.commit(ctx, txn); err != nil {
		return fmt.Errorf("keep event %q: %w", r.Name, err)
	}
	e.kept.added(e, expires)
	e.settle(r.ID)
	return nil
}

// settle moves a kept event, now durable, to its instance if that was started before.
func (e *Engine) settle(id string) {
	if err := e.adoptStarted(id); err != nil {
		e.kept.note(time.Time{}) // the next sweep tries again
	}
}

// adoptStarted moves the events kept for the instance called id to its inbox, if it
// has been started.
func (e *Engine) adoptStarted(id string) error {
	key, err := e.find(id)
	if err != nil || key == 0 {
		return err
	}
	moved, err := e.adopt(key, id)
	if moved {
		e.wake(key)
	}
	return err
}

// adoptFor moves the events kept for an instance that begins to its inbox. The
// caller owns it.
func (e *Engine) adoptFor(in *instance) error {
	moved, err := e.adopt(in.key, in.adopt)
	if err != nil {
		return err
	}
	in.adopt = ""
	if moved {
		in.mu.Lock()
		in.dirty = true
		in.mu.Unlock()
	}
	return nil
}

// adopt moves the events kept for id to the inbox of its instance. It reports
// whether there were any.
func (e *Engine) adopt(key records.InstanceKey, id string) (moved bool, err error) {
	for {
		snap, err := e.store.Snapshot()
		if err != nil {
			return moved, err
		}
		messages, err := records.ReadKept(snap, id, maxKept)
		snap.Close()
		if err != nil || len(messages) == 0 {
			return moved, err
		}
		txn := &store.Txn{}
		for i := range messages {
			messages[i].Event.Time = 0
			records.DeleteKept(txn, id, messages[i].Arrival)
			records.PutMessage(txn, key, &messages[i])
		}
		if err := e.commit(e.base, e.leased(txn)); err != nil {
			return moved, err
		}
		moved = true
	}
}
