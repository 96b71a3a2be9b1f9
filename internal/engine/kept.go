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
// be moved to its inbox.
type kept struct {
	mu   sync.Mutex
	some bool
	next time.Time // the earliest expiry
}

// adoption is a new instance for which events may be kept.
type adoption struct {
	key records.InstanceKey
	id  string
	seq uint32 // the parent's call, for a child
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
}

// added is called when an event has been kept.
func (k *kept) added(e *Engine, expires time.Time) {
	k.note(expires)
	e.timers.poke()
}

// load finds the kept events after a start, and moves those whose instance was
// started just before the process ended.
func (k *kept) load(e *Engine) error {
	_, err := k.sweep(e, time.Time{})
	return err
}

// sweep looks at all kept events: those whose instance exists are moved to it,
// those that expired by now are given up.
func (k *kept) sweep(e *Engine, now time.Time) (expired []string, err error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var orphans []adoption
	err = records.KeptIDs(snap, func(id string, expires time.Time) bool {
		key, findErr := records.FindInstance(snap, id)
		switch {
		case findErr != nil:
			err = findErr
			return false
		case key != 0:
			orphans = append(orphans, adoption{key: key, id: id})
		case !expires.After(now):
			expired = append(expired, id)
		default:
			k.note(expires)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if len(orphans) > 0 {
		k.note(now)
		e.pool.run(job{f: func() { e.adopt(orphans) }})
	}
	return expired, nil
}

// expire makes dead letters of the events that waited too long.
func (k *kept) expire(e *Engine, now time.Time) {
	k.mu.Lock()
	due := k.some && !k.next.After(now)
	if due {
		k.some = false // sweep finds what is left
	}
	k.mu.Unlock()
	if !due {
		return
	}
	ids, err := k.sweep(e, now)
	if err != nil {
		k.note(now.Add(recheck))
		e.log.Error("durable kept events could not be read", "error", err)
		return
	}
	for _, id := range ids {
		if err := e.giveUp(id, now); err != nil {
			k.note(now.Add(recheck))
			e.log.Error("durable kept events could not be given up", "error", err)
		}
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
			expires := time.Unix(0, m.Event.Time)
			if expires.After(now) {
				e.kept.note(expires)
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
	if err := e.opts.Committer.Commit(ctx, txn); err != nil {
		return fmt.Errorf("keep event %q: %w", r.Name, err)
	}
	e.kept.added(e, expires)
	return nil
}

// adopt moves the events kept for new instances to their inboxes.
func (e *Engine) adopt(all []adoption) {
	for _, a := range all {
		if err := e.adoptOne(a); err != nil && !e.isStopping() {
			// The next sweep tries again.
			e.kept.note(e.now().Add(recheck))
			e.log.Error("durable kept events could not be delivered", "instance", a.id, "error", err)
		}
	}
}

func (e *Engine) adoptOne(a adoption) error {
	for {
		snap, err := e.store.Snapshot()
		if err != nil {
			return err
		}
		messages, err := records.ReadKept(snap, a.id, maxKept)
		snap.Close()
		if err != nil || len(messages) == 0 {
			return err
		}
		txn := &store.Txn{}
		for i := range messages {
			messages[i].Event.Time = 0
			records.DeleteKept(txn, a.id, messages[i].Arrival)
			records.PutMessage(txn, a.key, &messages[i])
		}
		if err := e.opts.Committer.Commit(e.base, e.leased(txn)); err != nil {
			return err
		}
		e.wake(a.key)
		if len(messages) < maxKept {
			return nil
		}
	}
}
