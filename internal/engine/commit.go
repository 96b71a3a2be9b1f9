package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
)

// submit gives the change to the committer.
func (e *Engine) submit(c *change) {
	c.write()
	failpoint.Hit(failpoint.TurnRan)
	e.work.begin()
	e.opts.Committer.Submit(e.leased(&c.txn), c.answered)
}

// leased makes txn depend on the engine's ownership.
func (e *Engine) leased(txn *store.Txn) *store.Txn {
	txn.Lease = e.lease()
	return txn
}

// commit commits txn and waits. An unknown outcome ends the engine.
func (e *Engine) commit(ctx context.Context, txn *store.Txn) error {
	err := e.opts.Committer.Commit(ctx, txn)
	if errors.Is(err, store.ErrOutcomeUnknown) {
		e.fail(err)
	}
	return err
}

// committed applies a change whose outcome is known. It runs on the committer's
// goroutine and must not wait.
func (e *Engine) committed(c *change, err error) {
	failpoint.Hit(failpoint.EngineCommitted)
	in := c.in
	switch {
	case err == nil:
		e.apply(c)
		c.free()
		e.again(in)
	case errors.Is(err, store.ErrConflict):
		e.conflict(c, err)
	case errors.Is(err, store.ErrMalformed):
		e.malformed(c, err)
	case errors.Is(err, store.ErrOutcomeUnknown), errors.Is(err, store.ErrClosed):
		e.fail(err)
		for _, b := range c.items {
			b.answer(e.stopError()) // and nothing is discarded: it may be durable
		}
		e.abandon(in)
	case errors.Is(err, store.ErrLeaseLost):
		e.doubtLease()
		fallthrough
	default: // nothing was written
		e.log.Warn("durable turn was not committed, trying again", "instance", in.key, "error", err)
		in.putBack(c.items, !c.created)
		in.troubles++
		e.retryLater(in, retryAfter(in.troubles))
	}
}

// again goes on with an instance whose change was decided.
func (e *Engine) again(in *instance) {
	if !e.rest(in) {
		e.pool.turn(in)
	}
}

// apply makes the instance in memory what the durable change says, and releases
// everything that waited for it.
func (e *Engine) apply(c *change) {
	in := c.in
	in.rec, in.troubles = c.rec, 0
	if c.turned {
		in.nextTurn++
		in.deaths = 0
	}
	c.applyTasks()
	c.applyTimers()
	if c.marked {
		in.busy = c.busy
	}
	if c.ran != nil {
		c.ran.unit.Committed()
	}
	if c.follows != nil {
		c.follows.Committed()
	}
	if c.dirty {
		in.mu.Lock()
		in.dirty = true
		in.mu.Unlock()
	}
	if c.created && e.kept.any() {
		in.adopt = c.rec.ID
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
	if c.ended && c.rec.State.Ended() {
		e.opts.Telemetry.Ended(c.rec.Name, c.rec.State.String())
	}
	if c.rec.State.Ended() {
		e.waits.notify(in.key, c.rec)
	}
	if c.kept != "" {
		e.kept.added(e, c.now)
	}
}

func (c *change) applyTasks() {
	in := c.in
	for _, seq := range c.remove {
		if t := in.tasks[seq]; t != nil {
			delete(in.tasks, seq)
			t.release()
		}
	}
	for _, seq := range c.unpark {
		delete(in.parked, seq)
	}
	if t := c.park; t != nil {
		delete(in.tasks, t.seq)
		if in.machine != nil {
			in.park(t)
		}
	}
	if c.cancel != nil {
		c.cancel.cancelRun(ErrCanceled)
	}
	for _, t := range c.add {
		in.addTask(t)
	}
}

func (c *change) applyTimers() {
	for _, t := range c.timers {
		if t.Kind == records.TimerCall {
			c.in.setTimer(t.Seq, t.Due)
		}
		c.e.timers.add(t)
	}
	for _, seq := range c.untimed {
		delete(c.in.timers, seq)
	}
}

func (in *instance) addTask(t *task) {
	if in.tasks == nil {
		in.tasks = map[uint32]*task{}
	}
	in.tasks[t.seq] = t
}

func (in *instance) park(t *task) {
	if in.parked == nil {
		in.parked = map[uint32]*task{}
	}
	in.parked[t.seq] = t
}

func (in *instance) setTimer(seq uint32, due int64) {
	if in.timers == nil {
		in.timers = map[uint32]int64{}
	}
	in.timers[seq] = due
}

// conflict puts back what a refused change was to take, and rebuilds the instance:
// its coroutine has run on what did not happen.
func (e *Engine) conflict(c *change, err error) {
	in, items := c.in, c.items
	var refused *store.ConflictError
	if c.created && errors.As(err, &refused) && bytes.Equal(refused.Key, records.IDKey(c.rec.ID)) {
		// The id is taken: there is no such instance as this.
		for _, b := range items {
			b.answer(err)
		}
		in.unload()
		e.dismiss(in, ErrNotFound)
		return
	}
	if conflictsIn(c.ran, err) {
		t := c.ran.task
		c.ran.discard()
		items = without(items, c.ran)
		e.pool.run(func() { e.conflicted(t) })
	}
	in.unload()
	in.putBack(items, !c.created)
	e.again(in)
}

// malformed deals with a change that no store can take, such as one that is too
// large. What an activity wrote is its fault; else the instance stalls.
func (e *Engine) malformed(c *change, err error) {
	in, items := c.in, c.items
	in.unload()
	switch {
	case c.ran != nil:
		t := c.ran.task
		c.ran.discard()
		in.putBack(without(items, c.ran), !c.created)
		e.pool.run(func() {
			e.complete(t, nil, nil, nil, &history.Failure{Message: fmt.Sprintf("what it wrote cannot be committed: %v", err), NonRetryable: true})
		})
	case c.turned:
		in.putBack(items, !c.created)
		e.pool.run(func() { e.stall(in, fmt.Errorf("turn cannot be committed: %w", err)) })
		return
	default: // asked for by a caller
		for _, b := range items {
			b.discard()
			b.answer(err)
		}
	}
	e.again(in)
}

func without(items []*inbound, one *inbound) []*inbound {
	rest := make([]*inbound, 0, len(items))
	for _, b := range items {
		if b != one {
			rest = append(rest, b)
		}
	}
	return rest
}
