package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
)

// The bounds of what one turn takes.
const (
	maxEvents    = 1000
	maxTurnBytes = 8 << 20 // of payload; one event may be more
)

// turn runs turns of an instance until one is being committed or there is nothing
// to do. The caller owns the instance.
func (e *Engine) turn(in *instance) {
	for {
		if e.failed.Load() != nil || e.closed.Load() {
			e.abandon(in)
			return
		}
		if in.adopt != "" {
			if err := e.adoptFor(in); err != nil {
				if e.troubled(in, err) {
					return
				}
				continue
			}
		}
		items, dirty := in.take()
		if len(items) == 0 && !dirty {
			if e.rest(in) {
				return
			}
			continue
		}
		release, ok := e.alone(in)
		if !ok {
			in.putBack(items, dirty)
			return // it is run when the other suspect has ended
		}
		r := in.begin(items, dirty, release)
		c, err := e.prepare(in, items, dirty, r)
		if errors.Is(err, errOverrun) {
			e.work.begin() // the watchdog ended this turn's work
			return
		}
		r.leave()
		release()
		if err != nil {
			in.putBack(items, dirty)
			if e.troubled(in, err) {
				return
			}
			continue
		}
		if c != nil {
			e.submit(c)
			return
		}
	}
}

// prepare loads the instance if need be and plans its next change.
func (e *Engine) prepare(in *instance, items []*inbound, dirty bool, r *running) (*change, error) {
	if in.rec == nil && (dirty || items[0].create == nil) {
		if err := e.load(in, r); err != nil {
			return nil, err
		}
		if in.adopt != "" { // what was raised before it was started comes first
			in.putBack(items, dirty)
			return nil, nil
		}
	}
	return e.plan(in, items, dirty, r)
}

// leads reports whether b must be the first that a turn takes.
func (b *inbound) leads() bool { return b.control != nil || b.unit != nil || b.check != nil }

// take removes what the next turn is to look at: a control alone, or events up to
// the next that must be the first of its turn.
func (in *instance) take() (items []*inbound, dirty bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	dirty, in.dirty = in.dirty, false
	if dirty {
		return nil, true // what is stored came first
	}
	n, size := 0, 0
	for n < len(in.queue) && n < maxEvents {
		b := in.queue[n]
		size += len(b.event.Data)
		if n > 0 && (b.leads() || size > maxTurnBytes) {
			break
		}
		n++
		if b.control != nil {
			break
		}
	}
	items = in.queue[:n:n]
	if in.queue = in.queue[n:]; len(in.queue) == 0 {
		in.queue = nil
	}
	return items, false
}

// putBack undoes take. Events from the inbox are read again.
func (in *instance) putBack(items []*inbound, dirty bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	var keep []*inbound
	for _, b := range items {
		if b.stored != nil {
			in.dirty = true
			continue
		}
		keep = append(keep, b)
	}
	in.queue = append(keep, in.queue...)
	in.dirty = in.dirty || dirty
}

// plan works out the next change of a loaded instance; nil when there is none.
func (e *Engine) plan(in *instance, items []*inbound, dirty bool, r *running) (*change, error) {
	more := false
	if dirty {
		var err error
		if items, more, err = e.inbox(in.key); err != nil || len(items) == 0 {
			return nil, err
		}
	}
	c := e.newChange(in)
	if b := items[0]; b.create != nil {
		c.rec, in.rec, in.machine = b.create, b.create, e.machine(b.create)
		c.create(b)
	}
	if control := items[0].control; control != nil {
		c.items = items
		if err := control(in, c); err != nil {
			if items[0].done == nil {
				return nil, err // nobody else would ask again
			}
			items[0].answer(err)
			return nil, nil
		}
	} else if err := c.receive(items, r); err != nil {
		return nil, err
	}
	if c.nothing() {
		for _, b := range c.items {
			b.answer(nil)
		}
		return nil, nil
	}
	c.dirty = c.dirty || more
	if c.ended && c.rec.State.Ended() && e.opts.OnEnd != nil {
		return c, c.follow()
	}
	return c, nil
}

// receive adds to the change what the instance does with the items.
func (c *change) receive(items []*inbound, r *running) error {
	items, err := c.admit(items)
	switch {
	case err != nil || len(items) == 0:
		return err
	case c.rec.State.Ended():
		c.refuse(items)
		return nil
	case c.rec.State == records.Running && !c.rec.StartAt.After(c.now):
		return c.run(items, r)
	default:
		return c.keep(items)
	}
}

// run lets the machine take the items and adds what it decides to the change.
func (c *change) run(items []*inbound, r *running) error {
	in := c.in
	c.join(items[0])
	for _, b := range items {
		c.events = append(c.events, b.event)
	}
	taken, err := c.advance(r)
	if err != nil {
		return err
	}
	if in.deaths > 0 { // it survived
		records.DeleteTask(&c.txn, in.key, 0)
	}
	c.items = append(c.items, items[:taken]...)
	for _, b := range items[:taken] {
		c.consume(b)
		c.closeTask(&b.event)
	}
	if len(c.recorded) > 0 {
		if err := c.record(); err != nil {
			return err
		}
	}
	if !in.machine.Ended() {
		c.step()
		c.mark()
	}
	if rest := items[taken:]; len(rest) > 0 {
		in.putBack(rest, false)
	}
	return nil
}

// record adds a turn to the history, and what its decisions mean to the change.
func (c *change) record() error {
	c.turned = true
	recorded := c.recorded
	records.PutTurn(&c.txn, c.in.key, c.in.nextTurn, history.Turn{Time: c.in.machine.Time().UnixNano(), Events: recorded})
	for i := range recorded {
		if recorded[i].Kind.Decision() {
			if err := c.decide(&recorded[i]); err != nil {
				return err
			}
		} else if recorded[i].Kind == history.TimerFired {
			c.untimed = append(c.untimed, recorded[i].Seq)
		}
	}
	return nil
}

// step sees to the inline step that the code waits for: one that is new is run, one
// of an instance that is to end has its context canceled.
func (c *change) step() {
	step := c.in.machine.Step()
	if step == nil {
		return
	}
	running, parked := c.in.tasks[step.Seq], c.in.parked[step.Seq]
	switch {
	case running == nil && parked == nil:
		c.add = append(c.add, c.e.newStep(c.in, step, c.in.machine.Time()))
	case !c.in.machine.Ending():
	case running != nil:
		c.cancel = running
	default:
		c.cancel = parked
		c.unpark = append(c.unpark, step.Seq)
		c.add = append(c.add, parked) // it fails at once
	}
}

// advance runs a turn of the machine under the poison journal and the watchdog. It
// answers how many of the change's events were taken.
func (c *change) advance(r *running) (taken int, err error) {
	defer c.e.journal.Leave(c.e.enter(c.in))
	m := c.in.machine
	r.begin(m)
	c.recorded, taken, err = m.Turn(c.now, c.events, c.recorded)
	if !r.end() {
		m.Close()
		return 0, errOverrun
	}
	return taken, err
}

// enter notes in the poison journal that code of an instance runs.
func (e *Engine) enter(in *instance) poison.Slot {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(in.key))
	return e.journal.Enter(poison.Turn, id[:])
}

// alone makes sure that an instance whose turns may have killed the process runs
// beside no other suspect.
func (e *Engine) alone(in *instance) (release func(), ok bool) {
	if in.deaths == 0 {
		return func() {}, true
	}
	return e.journal.Alone(func() { e.pool.turn(in) })
}

// troubled deals with an instance that could not be loaded or run. It reports
// whether the caller has lost the ownership.
func (e *Engine) troubled(in *instance, err error) bool {
	switch {
	case errors.Is(err, ErrNotFound):
		e.vanish(in)
		return true
	case stalls(err):
		e.stall(in, err)
		return true
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrOutcomeUnknown):
		e.fail(err)
		return false // the next look finds the engine stopped
	}
	e.log.Error("durable instance could not be run, trying again", "instance", in.key, "error", err)
	in.troubles++
	e.retryLater(in, retryAfter(in.troubles))
	return true
}

// retryAfter returns how long to wait after so many failures of the store in a row.
func retryAfter(failures int) time.Duration {
	return min(5*time.Millisecond<<min(failures, 14), time.Minute)
}

// vanish answers everything meant for an instance that does not exist, and removes
// what is stored for it: a message of one that did not know of its purge, or a timer.
func (e *Engine) vanish(in *instance) {
	txn := &store.Txn{}
	in.mu.Lock()
	for _, b := range in.queue {
		if b.timer != nil {
			records.DeleteTimer(txn, *b.timer)
		}
	}
	in.mu.Unlock()
	if stored, _, err := e.inbox(in.key); err == nil {
		for _, b := range stored {
			records.DeleteMessage(txn, in.key, *b.stored)
		}
	}
	in.unload()
	e.dismiss(in, ErrNotFound)
	if txn.Empty() {
		return
	}
	e.work.begin()
	e.opts.Committer.Submit(e.leased(txn), func(err error) {
		if err != nil {
			e.log.Warn("durable records of a purged instance stay for now", "instance", in.key, "error", err)
		}
		e.work.end()
	})
}

// inbox returns the oldest messages stored for an instance, as items, and whether
// there are more.
func (e *Engine) inbox(k records.InstanceKey) ([]*inbound, bool, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return nil, false, err
	}
	defer snap.Close()
	messages, more, err := records.ReadInbox(snap, k, maxEvents, maxTurnBytes)
	if err != nil {
		return nil, false, fmt.Errorf("inbox: %w", err)
	}
	items := make([]*inbound, len(messages))
	for i := range messages {
		items[i] = &inbound{event: messages[i].Event, stored: &messages[i].Arrival}
	}
	return items, more, nil
}
