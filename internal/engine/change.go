package engine

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// change is one commit of an instance: what it writes, and what happens once it
// is durable.
type change struct {
	e   *Engine
	in  *instance
	txn store.Txn
	now time.Time

	answered func(error)     // what the committer calls
	events   []history.Event // what the machine is given
	recorded []history.Event // what it answers

	items []*inbound // what is answered when it is durable
	ran   *inbound   // the one among them whose unit commits with it

	// what the instance in memory becomes when it is durable
	rec      *records.Instance
	turned   bool // a turn was recorded under nextTurn
	add      []*task
	remove   []uint32 // tasks that have their answer
	park     *task    // a task that is set aside
	unpark   []uint32
	cancel   *task           // a step whose instance is to end
	timers   []records.Timer // set
	untimed  []uint32        // timer calls that are closed
	wake     []records.InstanceKey
	children map[string]records.InstanceKey // started by this change
	kept     string                         // the instance for which it keeps an event
	dirty    bool                           // the instance has messages for itself
	unload   bool                           // rebuild from history before the next turn
	created  bool
	marked   bool // the busy mark is settled as busy says
	busy     bool
	ended    bool       // nothing of this generation goes on
	follows  *unit.Unit // what OnEnd wrote
}

func (e *Engine) newChange(in *instance) *change {
	c, _ := e.changes.Get().(*change)
	if c == nil {
		c = &change{e: e}
		c.answered = func(err error) {
			e.committed(c, err)
			e.work.end()
		}
	}
	c.in, c.now, c.rec = in, e.now(), in.rec
	return c
}

// maxRoom is the length up to which the lists of a change keep their room.
const maxRoom = 64

// free gives up a change that is applied. Changes are used again: they are large, every
// turn needs one, and nothing keeps one after that.
func (c *change) free() {
	*c = change{
		e: c.e, answered: c.answered,
		txn:    store.Txn{Ops: emptied(c.txn.Ops)},
		events: emptied(c.events), recorded: emptied(c.recorded),
		items: emptied(c.items), add: emptied(c.add), remove: emptied(c.remove),
	}
	c.e.changes.Put(c)
}

// emptied returns the room of a list.
func emptied[T any](list []T) []T {
	if cap(list) > maxRoom {
		return nil
	}
	clear(list)
	return list[:0]
}

// edit returns a copy of the record that the change may alter.
func (c *change) edit() *records.Instance {
	if c.rec == c.in.rec {
		rec := *c.in.rec
		c.rec = &rec
	}
	return c.rec
}

// follow makes what OnEnd writes part of the change.
func (c *change) follow() error {
	c.follows = unit.New(c.e.opts.Env)
	err := c.e.opts.OnEnd(c.follows, c.rec)
	if err == nil {
		err = c.follows.Seal(&c.txn)
	}
	if err != nil {
		c.follows.Discarded()
		c.in.unload() // its turn has run, and will run again
		return fmt.Errorf("what follows from the end: %w", err)
	}
	return nil
}

// nothing reports whether the change changes nothing.
func (c *change) nothing() bool {
	return c.txn.Empty() && !c.created && c.rec == c.in.rec && c.staysBusy() == c.in.busy &&
		c.ran == nil && len(c.remove) == 0 && c.cancel == nil && !c.dirty
}

// staysBusy reports whether the instance has the busy mark after the change.
func (c *change) staysBusy() bool {
	if c.marked {
		return c.busy
	}
	return c.in.busy
}

// write adds what became of the record, once the change is complete.
func (c *change) write() {
	in, busy := c.in, c.staysBusy()
	switch from := in.rec.State; {
	case c.created:
		records.CreateInstance(&c.txn, in.key, c.rec, busy)
		return
	case c.rec.State != from:
		records.UnlistInstance(&c.txn, in.key, c.rec, from)
		records.MarkInstance(&c.txn, in.key, c.rec, busy)
	case busy != in.busy:
		records.MarkInstance(&c.txn, in.key, c.rec, busy)
	}
	if c.rec != in.rec {
		records.PutInstance(&c.txn, in.key, c.rec)
	}
}

// create starts the instance of b.
func (c *change) create(b *inbound) {
	c.created = true
	if b.unique {
		c.txn.Require(records.IDKey(c.rec.ID), 0)
	}
}

// admit leaves out the items whose check fails, and what an earlier generation
// asked for. It leaves the slice as it is.
func (c *change) admit(items []*inbound) ([]*inbound, error) {
	var admitted []*inbound
	for i, b := range items {
		if !b.void && b.check != nil {
			if err := b.check(c.in); errors.Is(err, ErrToken) {
				b.answer(err)
				b.void = true
			} else if err != nil {
				return nil, err
			}
		}
		switch stale := b.void || c.stale(b); {
		case stale && admitted == nil:
			admitted = append(make([]*inbound, 0, len(items)), items[:i]...)
			fallthrough
		case stale:
			c.consume(b)
			b.discard()
			c.items = append(c.items, b)
		case admitted != nil:
			admitted = append(admitted, b)
		}
	}
	if admitted == nil {
		return items, nil
	}
	return admitted, nil
}

// stale reports whether b answers a call that nobody waits for, say one that an
// earlier generation made under the same number.
func (c *change) stale(b *inbound) bool {
	switch {
	case b.task != nil:
		return c.in.tasks[b.task.seq] != b.task
	case b.timer != nil && c.in.machine != nil:
		return c.in.timers[b.timer.Seq] != b.timer.Due
	case b.stored != nil && b.event.Kind.Answer():
		return b.event.Num != uint64(c.rec.Base)
	}
	return false
}

// refuse answers the items of an instance that has ended and drops what is
// stored for it.
func (c *change) refuse(items []*inbound) {
	for _, b := range items {
		c.consume(b)
		b.discard()
		b.answer(fmt.Errorf("%w: %q is %s", ErrEnded, c.rec.ID, c.rec.State))
		if b.stored != nil && b.event.Kind == history.EventRaised {
			c.e.log.Warn("durable event came after the end of its instance", "instance", c.rec.ID, "event", b.event.Name)
		}
	}
	c.setBusy(false)
}

// keep stores the items of an instance that must not run now.
func (c *change) keep(items []*inbound) error {
	for _, b := range items {
		if b.stored != nil {
			continue // it is kept already
		}
		c.items = append(c.items, b)
		if b.timer != nil {
			set, err := c.e.hasTimer(*b.timer)
			if err != nil {
				return err
			}
			if !set {
				continue // canceled meanwhile
			}
		}
		c.join(b)
		c.consume(b)
		ev := b.event
		if ev.Kind.Answer() {
			ev.Num = uint64(c.rec.Base)
		}
		c.message(c.in.key, ev)
		c.closeTask(&ev)
	}
	c.mark()
	return nil
}

// consume removes what is stored of an item.
func (c *change) consume(b *inbound) {
	if b.stored != nil {
		records.DeleteMessage(&c.txn, c.in.key, *b.stored)
	}
	if b.timer != nil {
		records.DeleteTimer(&c.txn, *b.timer)
	}
}

// join makes the unit of b, if it has one, part of the change.
func (c *change) join(b *inbound) {
	if b.unit == nil {
		return
	}
	c.ran = b
	c.txn.Conditions = append(c.txn.Conditions, b.writes.Conditions...)
	c.txn.Ops = append(c.txn.Ops, b.writes.Ops...)
}

// message puts an event into the inbox of an instance.
func (c *change) message(k records.InstanceKey, ev history.Event) {
	records.PutMessage(&c.txn, k, &records.Message{Arrival: c.e.keys.arrival(c.now), Event: ev})
}

// mark keeps the busy mark in step with whether a restart has work to resume.
func (c *change) mark() {
	n := len(c.in.tasks) + len(c.add)
	for _, seq := range c.remove {
		if c.in.tasks[seq] != nil {
			n--
		}
	}
	if c.park != nil {
		n--
	}
	c.setBusy(n > 0)
}

func (c *change) setBusy(busy bool) { c.marked, c.busy = true, busy }

// closeTask ends the work for the call that ev answers.
func (c *change) closeTask(ev *history.Event) {
	switch ev.Kind {
	case history.ActivityCompleted, history.ActivityFailed, history.StepCompleted, history.StepFailed:
		c.endTask(ev.Seq)
	}
}

// endTask ends the work for call seq.
func (c *change) endTask(seq uint32) {
	t, parked := c.in.tasks[seq], c.in.parked[seq]
	if t != nil {
		c.remove = append(c.remove, seq)
	}
	if parked != nil {
		c.unpark = append(c.unpark, seq)
	}
	// What an instance that does not run has set aside is known to the store alone.
	if parked != nil || t != nil && t.stored || t == nil && c.in.machine == nil {
		records.DeleteTask(&c.txn, c.in.key, seq)
	}
}

// now returns the time of what the change decides: that of the instance, which may
// be ahead of a clock that was set back.
func (c *change) time() time.Time {
	if m := c.in.machine; m != nil && m.Time().After(c.now) {
		return m.Time()
	}
	return c.now
}

// conflictsIn reports whether err is the refusal of a condition that the unit of b
// set.
func conflictsIn(b *inbound, err error) bool {
	var conflict *store.ConflictError
	if b == nil || !errors.As(err, &conflict) {
		return b != nil
	}
	for i := range b.writes.Conditions {
		if bytes.Equal(b.writes.Conditions[i].Key, conflict.Key) {
			return true
		}
	}
	return false
}

// seal ends the unit of an activity's run that went well. Without writes there is
// nothing to validate: one snapshot is one moment.
func seal(u *unit.Unit) (*store.Txn, error) {
	if err := u.Err(); err != nil {
		return nil, err
	}
	if u.ReadOnly() {
		u.Discarded()
		return nil, nil
	}
	txn := &store.Txn{}
	return txn, u.Seal(txn)
}
