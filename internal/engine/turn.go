package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// maxEvents bounds the events of one turn.
const maxEvents = 1000

// change is one commit of an instance: what it writes, and what happens once it
// is durable.
type change struct {
	e   *Engine
	in  *instance
	txn store.Txn
	now time.Time

	items []*inbound // what is answered when it is durable
	unit  *unit.Unit // the activity run that commits with it

	// what the instance in memory becomes when it is durable
	rec     *records.Instance
	turned  bool // a turn was recorded under nextTurn
	add     []*task
	remove  []uint32 // tasks that have their answer
	park    map[uint32]*records.Task
	unpark  []uint32
	timers  []records.Timer // set
	untimed []uint32        // timer calls that are closed
	wake    []records.InstanceKey
	dirty   bool       // the instance has messages for itself
	unload  bool       // rebuild from history before the next turn
	touched bool       // the record changed and is not written yet
	adopt   []adoption // new instances for which events may be kept
	created bool
	kept    bool // an event was kept
	marked  bool // the busy mark is settled as busy says
	busy    bool
	ended   bool // nothing of this generation goes on
}

func (e *Engine) newChange(in *instance) *change {
	return &change{e: e, in: in, now: e.now(), rec: in.rec}
}

// edit returns a copy of the record that the change may alter.
func (c *change) edit() *records.Instance {
	if c.rec == c.in.rec {
		rec := *c.in.rec
		c.rec = &rec
	}
	return c.rec
}

// turn runs turns of an instance until one is being committed or there is nothing
// to do. The caller owns the instance.
func (e *Engine) turn(in *instance) {
	for {
		if e.failed.Load() != nil || e.closed.Load() {
			e.abandon(in)
			return
		}
		items, dirty := in.take()
		if len(items) == 0 && !dirty {
			if e.rest(in) {
				return
			}
			continue
		}
		if in.rec == nil && !(len(items) > 0 && items[0].create != nil) {
			if err := e.load(in); err != nil {
				in.putBack(items, dirty)
				if e.troubled(in, err) {
					return
				}
				continue
			}
		}
		release, ok := e.alone(in)
		if !ok {
			in.putBack(items, dirty)
			return // it is run when the other suspect has ended
		}
		c, err := e.plan(in, items, dirty)
		release()
		if err != nil {
			in.putBack(items, dirty)
			if e.troubled(in, err) {
				return
			}
			continue
		}
		if c == nil {
			continue
		}
		e.submit(c)
		return
	}
}

// take removes what the next turn is to look at: a control or an activity's unit
// alone at the front, else the events up to the next of those.
func (in *instance) take() (items []*inbound, dirty bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	dirty, in.dirty = in.dirty, false
	if dirty {
		return nil, true // what is stored came first
	}
	n := 0
	for n < len(in.queue) && n < maxEvents {
		b := in.queue[n]
		if n > 0 && (b.control != nil || b.unit != nil) {
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

// abandon gives up what an instance had to do, because the engine stops. What
// was acknowledged is stored.
func (e *Engine) abandon(in *instance) {
	err := e.stopError()
	in.mu.Lock()
	items := in.queue
	in.queue, in.dirty, in.active, in.gone = nil, false, true, true
	in.mu.Unlock()
	e.instances.remove(in)
	in.unload()
	for _, b := range items {
		if b.unit != nil {
			b.unit.Discarded()
		}
		b.answer(err)
	}
}

func (e *Engine) stopError() error {
	if err := e.failed.Load(); err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, *err)
	}
	return ErrStopped
}

// plan works out the next change of a loaded instance; nil when there is none.
func (e *Engine) plan(in *instance, items []*inbound, dirty bool) (*change, error) {
	if dirty {
		stored, err := e.inbox(in.key)
		if err != nil || len(stored) == 0 {
			return nil, err
		}
		if len(stored) == maxEvents {
			in.mu.Lock()
			in.dirty = true
			in.mu.Unlock()
		}
		items = stored
	}
	c := e.newChange(in)
	if b := items[0]; b.create != nil {
		c.rec, c.created = b.create, true
		in.rec, in.machine = b.create, e.machine(b.create)
		records.CreateInstance(&c.txn, in.key, c.rec)
		if b.unique {
			c.txn.Require(records.IDKey(c.rec.ID), 0)
		}
	}
	if control := items[0].control; control != nil {
		c.items = items
		if err := control(in, c); err != nil {
			items[0].answer(err)
			return nil, nil
		}
		if c.txn.Empty() {
			items[0].answer(nil)
			return nil, nil
		}
		return c, nil
	}
	items = c.admit(items)
	if len(items) == 0 && c.txn.Empty() {
		return nil, nil
	}
	switch {
	case len(items) == 0:
	case c.rec.State.Ended():
		c.refuse(items)
	case c.rec.State == records.Running && !c.rec.StartAt.After(c.now):
		if err := c.run(items); err != nil {
			return nil, err
		}
	default:
		c.keep(items)
	}
	if c.txn.Empty() && c.unit == nil {
		for _, b := range c.items {
			b.answer(nil)
		}
		return nil, nil
	}
	return c, nil
}

// admit drops the items whose check fails, and answers to calls of an earlier
// generation.
func (c *change) admit(items []*inbound) []*inbound {
	n := 0
	for _, b := range items {
		if b.check != nil {
			if err := b.check(c.in); err != nil {
				b.answer(err)
				continue
			}
		}
		if b.task != nil && c.in.tasks[b.task.seq] != b.task || c.foreign(&b.event) {
			c.drop(b)
			continue
		}
		items[n] = b
		n++
	}
	return items[:n]
}

// foreign reports whether a child's answer is for a call that an earlier
// generation made under the same number.
func (c *change) foreign(ev *history.Event) bool {
	return (ev.Kind == history.ChildCompleted || ev.Kind == history.ChildFailed) && ev.Num != uint64(c.rec.Base)
}

// drop takes an item without effect.
func (c *change) drop(b *inbound) {
	c.consume(b)
	if b.unit != nil {
		b.unit.Discarded()
	}
	c.items = append(c.items, &inbound{done: b.done})
}

// refuse answers the items of an instance that has ended and drops what is
// stored for it.
func (c *change) refuse(items []*inbound) {
	for _, b := range items {
		c.consume(b)
		if b.unit != nil {
			b.unit.Discarded()
		}
		b.answer(ErrEnded)
	}
	if c.in.busy {
		records.ClearBusy(&c.txn, c.in.key)
	}
}

// keep stores the items of an instance that must not run now.
func (c *change) keep(items []*inbound) {
	for _, b := range items {
		if b.stored != nil {
			continue // it is kept already
		}
		if b.unit != nil && !c.join(b.unit) {
			continue
		}
		if b.timer != nil {
			records.DeleteTimer(&c.txn, *b.timer)
		}
		c.message(c.in.key, b.event)
		c.closeTask(&b.event)
		c.items = append(c.items, b)
	}
	c.mark()
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

// join makes an activity's unit part of the change. It reports false when the
// unit has ended.
func (c *change) join(u *unit.Unit) bool {
	if err := u.Seal(&c.txn); err != nil {
		return false
	}
	c.unit = u
	return true
}

// message puts an event into the inbox of an instance.
func (c *change) message(k records.InstanceKey, ev history.Event) {
	records.PutMessage(&c.txn, k, &records.Message{Arrival: c.e.keys.arrival(c.now), Event: ev})
}

// run lets the machine take the items and adds what it decides to the change.
func (c *change) run(items []*inbound) error {
	in := c.in
	if u := items[0].unit; u != nil && !c.join(u) {
		return nil // it timed out: whoever ended it has answered for it
	}
	events := make([]history.Event, len(items))
	for i, b := range items {
		events[i] = b.event
	}
	recorded, taken, err := c.e.guarded(in, c.now, events)
	if err != nil {
		return err
	}
	if in.deaths > 0 { // it survived
		records.DeleteTask(&c.txn, in.key, 0)
	}
	c.items = append(c.items, items[:taken]...)
	for _, b := range c.items {
		c.consume(b)
		c.closeTask(&b.event)
	}
	if rest := items[taken:]; len(rest) > 0 {
		in.putBack(rest, false)
	}
	if len(recorded) == 0 {
		return nil
	}
	c.turned = true
	records.PutTurn(&c.txn, in.key, in.nextTurn, history.Turn{Time: in.machine.Time().UnixNano(), Events: recorded})
	for i := range recorded {
		if recorded[i].Kind.Decision() {
			if err := c.decide(&recorded[i]); err != nil {
				return err
			}
		} else if recorded[i].Kind == history.TimerFired {
			c.untimed = append(c.untimed, recorded[i].Seq)
		}
	}
	if step := in.machine.Step(); step != nil && in.tasks[step.Seq] == nil {
		c.add = append(c.add, c.e.newStep(in, step, in.machine.Time()))
	}
	if c.touched {
		records.PutInstance(&c.txn, in.key, c.rec)
	}
	if !in.machine.Ended() {
		c.mark()
	}
	return nil
}

// guarded runs a turn of the machine under the poison journal.
func (e *Engine) guarded(in *instance, now time.Time, events []history.Event) ([]history.Event, int, error) {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(in.key))
	slot := e.journal.Enter(poison.Turn, id[:])
	defer e.journal.Leave(slot)
	return in.machine.Turn(now, events)
}

// alone makes sure that an instance whose turns may have killed the process runs
// beside no other suspect.
func (e *Engine) alone(in *instance) (release func(), ok bool) {
	if in.deaths == 0 {
		return func() {}, true
	}
	return e.journal.Alone(func() { e.pool.run(job{in: in}) })
}

// mark keeps the busy mark in step with whether a restart has work to resume.
func (c *change) mark() {
	n := len(c.in.tasks) + len(c.add)
	for _, seq := range c.remove {
		if c.in.tasks[seq] != nil {
			n--
		}
	}
	c.marked, c.busy = true, n > 0
	switch {
	case c.busy && !c.in.busy:
		records.SetBusy(&c.txn, c.in.key)
	case !c.busy && c.in.busy:
		records.ClearBusy(&c.txn, c.in.key)
	}
}

// closeTask ends the work for the call that ev answers.
func (c *change) closeTask(ev *history.Event) {
	switch ev.Kind {
	case history.ActivityCompleted, history.ActivityFailed, history.StepCompleted, history.StepFailed:
		c.endTask(ev.Seq)
	}
}

// endTask ends the work for call seq.
func (c *change) endTask(seq uint32) {
	t := c.in.tasks[seq]
	if t != nil {
		c.remove = append(c.remove, seq)
	}
	if _, waits := c.in.parked[seq]; waits || t != nil && t.stored {
		records.DeleteTask(&c.txn, c.in.key, seq)
		c.unpark = append(c.unpark, seq)
	}
}

// submit gives the change to the committer.
func (e *Engine) submit(c *change) {
	failpoint.Hit(failpoint.TurnRan)
	e.work.begin()
	e.opts.Committer.Submit(e.leased(&c.txn), func(err error) {
		e.committed(c, err)
		e.work.end()
	})
}

// committed applies a change whose outcome is known. It runs on the committer's
// goroutine and must not wait.
func (e *Engine) committed(c *change, err error) {
	failpoint.Hit(failpoint.EngineCommitted)
	in := c.in
	switch {
	case err == nil:
		e.apply(c)
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrLeaseLost):
		e.rejected(c, err)
	case errors.Is(err, store.ErrOutcomeUnknown), errors.Is(err, store.ErrClosed):
		e.fail(err)
		in.putBack(c.items, false)
		e.abandon(in)
		return
	default: // it can never be committed: a record too large, say
		in.unload()
		e.pool.run(job{f: func() { e.stall(in, c.items, fmt.Errorf("commit: %w", err)) }})
		return
	}
	e.again(in)
}

// again goes on with an instance whose change was decided.
func (e *Engine) again(in *instance) {
	if !e.rest(in) {
		e.pool.run(job{in: in})
	}
}

// apply makes the instance in memory what the durable change says, and releases
// everything that waited for it.
func (e *Engine) apply(c *change) {
	in := c.in
	in.rec = c.rec
	if c.turned {
		in.nextTurn++
		in.deaths = 0
	}
	for _, seq := range c.remove {
		if t := in.tasks[seq]; t != nil {
			delete(in.tasks, seq)
			t.release()
		}
	}
	for _, seq := range c.unpark {
		delete(in.parked, seq)
	}
	for seq, task := range c.park {
		if in.parked == nil {
			in.parked = map[uint32]*records.Task{}
		}
		in.parked[seq] = task
	}
	for _, t := range c.timers {
		if t.Kind == records.TimerCall {
			if in.timers == nil {
				in.timers = map[uint32]int64{}
			}
			in.timers[t.Seq] = t.Due
		}
		e.timers.add(t)
	}
	for _, seq := range c.untimed {
		delete(in.timers, seq)
	}
	for _, t := range c.add {
		if in.tasks == nil {
			in.tasks = map[uint32]*task{}
		}
		in.tasks[t.seq] = t
	}
	if c.marked {
		in.busy = c.busy
	}
	if c.unit != nil {
		c.unit.Committed()
	}
	if c.dirty {
		in.mu.Lock()
		in.dirty = true
		in.mu.Unlock()
	}
	if c.ended {
		for seq, t := range in.tasks {
			t.cancelRun(ErrEnded)
			delete(in.tasks, seq)
		}
		in.unload()
		in.rec = c.rec
	}
	if c.unload || !c.ended && c.turned && (e.opts.ReplayAlways || e.turns.Add(1)%e.opts.ReplayOneIn == 0) {
		in.unload()
	}
	failpoint.Hit(failpoint.EngineApplied)
	for _, t := range c.add {
		e.pool.dispatch(t)
	}
	for _, k := range c.wake {
		e.wake(k)
	}
	for _, b := range c.items {
		b.answer(nil)
	}
	if c.rec.State.Ended() {
		e.waits.notify(in.key, c.rec)
	}
	if c.kept {
		e.kept.added(e, c.now)
	}
	if c.created {
		c.adopt = append(c.adopt, adoption{key: in.key, id: c.rec.ID})
	}
	if len(c.adopt) > 0 && e.kept.any() {
		e.pool.run(job{f: func() { e.adopt(c.adopt) }})
	}
}

// rejected puts back what a refused change was to take, and rebuilds the instance:
// its coroutine has run on what did not happen.
func (e *Engine) rejected(c *change, err error) {
	in := c.in
	in.unload()
	items := c.items
	if c.created {
		// The id is taken: there is no such instance as this.
		for _, b := range items {
			b.answer(err)
		}
		in.mu.Lock()
		queue := in.queue
		in.queue, in.dirty, in.gone = nil, false, true
		in.mu.Unlock()
		e.instances.remove(in)
		for _, b := range queue {
			b.answer(ErrNotFound)
		}
		return
	}
	if c.unit != nil {
		c.unit.Discarded()
		t := items[0].task
		items = items[1:]
		if errors.Is(err, store.ErrConflict) {
			e.pool.run(job{f: func() { e.conflicted(t) }})
		} else {
			e.pool.dispatch(t)
		}
	}
	in.putBack(items, false)
}
