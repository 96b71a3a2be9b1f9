package engine

import (
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
)

// decide adds to the change what a decision of the instance means.
func (c *change) decide(d *history.Event) error {
	in := c.in
	switch d.Kind {
	case history.ActivityScheduled:
		if in.machine.IsOpen(d.Seq) {
			t, err := c.e.newActivity(in, d, in.machine.Time())
			if err != nil {
				return err
			}
			c.add = append(c.add, t)
		}
	case history.ActivityAbandoned:
		c.abandon(d.Seq)
	case history.TimerCreated:
		if in.machine.IsOpen(d.Seq) {
			c.setTimer(records.Timer{Due: d.Time, Key: in.key, Seq: d.Seq, Kind: records.TimerCall})
		}
	case history.TimerCanceled:
		c.clearTimer(d.Seq)
	case history.ChildStarted:
		return c.startChild(d)
	case history.ChildAbandoned:
		return c.cancelChild(d.Seq)
	case history.EventSent:
		return c.send(d)
	case history.StatusSet:
		c.edit().Status = d.Data
		c.touched = true
	case history.Completed:
		c.end(records.Completed, d.Data, nil)
	case history.Failed:
		c.end(records.Failed, nil, d.Failure)
	case history.Canceled:
		c.end(records.Canceled, nil, &history.Failure{Type: canceledType, Message: "canceled"})
	case history.ContinuedAsNew:
		c.continueAsNew(d.Data)
	case history.EventAwaited, history.WaitAbandoned, history.StepBegan:
	default:
		return fmt.Errorf("engine: decision of unknown kind %s", d.Kind)
	}
	return nil
}

// abandon ends the work for a call whose answer is not wanted.
func (c *change) abandon(seq uint32) {
	for i, t := range c.add {
		if t.seq == seq { // scheduled and given up in one turn
			c.add = append(c.add[:i], c.add[i+1:]...)
			return
		}
	}
	c.endTask(seq)
}

func (c *change) setTimer(t records.Timer) {
	records.PutTimer(&c.txn, t)
	c.timers = append(c.timers, t)
}

// clearTimer removes the timer of a call.
func (c *change) clearTimer(seq uint32) {
	due, set := c.in.timers[seq]
	for i, t := range c.timers {
		if t.Seq == seq && t.Kind == records.TimerCall { // set in this very turn
			due, set = t.Due, true
			c.timers = append(c.timers[:i], c.timers[i+1:]...)
			break
		}
	}
	if set {
		records.DeleteTimer(&c.txn, records.Timer{Due: due, Key: c.in.key, Seq: seq, Kind: records.TimerCall})
		c.untimed = append(c.untimed, seq)
	}
}

// end writes the end of the instance.
func (c *change) end(s records.State, output []byte, failure *history.Failure) {
	from := c.rec.State
	rec := c.edit()
	rec.State, rec.Ended, rec.Output, rec.Failure = s, c.now, output, failure
	records.ChangeState(&c.txn, c.in.key, rec, from)
	c.touched = false
	c.closeGeneration()
	if rec.Parent != 0 {
		answer := history.Event{Kind: history.ChildCompleted, Seq: rec.ParentSeq, Num: uint64(rec.ParentBase), Data: output}
		if failure != nil {
			answer.Kind, answer.Data, answer.Failure = history.ChildFailed, nil, failure
		}
		c.message(rec.Parent, answer)
		c.wake = append(c.wake, rec.Parent)
	}
	if o := c.e.orchestrations[rec.Name]; o != nil && o.Retention > 0 {
		c.setTimer(records.Timer{Due: c.now.Add(o.Retention).UnixNano(), Key: c.in.key, Kind: records.TimerRetention})
	}
}

// closeGeneration ends everything that the current history has under way.
func (c *change) closeGeneration() {
	c.ended = true
	for seq := range c.in.timers {
		c.clearTimer(seq)
	}
	for i := len(c.timers) - 1; i >= 0; i-- {
		if t := c.timers[i]; t.Kind == records.TimerCall {
			c.clearTimer(t.Seq)
		}
	}
	for seq := range c.in.parked {
		records.DeleteTask(&c.txn, c.in.key, seq)
	}
	for seq, t := range c.in.tasks {
		if t.stored {
			records.DeleteTask(&c.txn, c.in.key, seq)
		}
	}
	c.add, c.park = nil, nil
	c.marked, c.busy = true, false
	if c.in.busy {
		records.ClearBusy(&c.txn, c.in.key)
	}
}

// continueAsNew replaces the history by that of a new generation, which takes
// over the events that nobody has waited for.
func (c *change) continueAsNew(input []byte) {
	in := c.in
	rec := c.edit()
	records.DropTurns(&c.txn, in.key, rec.Base, in.nextTurn+1)
	rec.Base = in.nextTurn + 1
	records.PutInstance(&c.txn, in.key, rec)
	c.touched = false
	c.closeGeneration()
	unread := in.machine.Unread()
	// The first arrivals, before any real one.
	put := func(i int, ev history.Event) {
		records.PutMessage(&c.txn, in.key, &records.Message{Arrival: records.Arrival{Nanos: uint64(i)}, Event: ev})
	}
	put(0, c.e.startedEvent(rec, input, c.now))
	for i, ev := range unread {
		put(i+1, ev)
	}
	c.dirty, c.unload = true, true
}

// startChild creates the instance that a decision starts. A generated id is
// unique by construction; a given one may be taken, which fails the call.
func (c *change) startChild(d *history.Event) error {
	e, in := c.e, c.in
	opts, err := history.DecodeCallOptions(d.Options)
	if err != nil {
		return fmt.Errorf("engine: options of child %q: %w", d.ID, err)
	}
	refuse := func(kind, message string) {
		c.message(in.key, history.Event{
			Kind: history.ChildFailed, Seq: d.Seq, Num: uint64(c.rec.Base),
			Failure: &history.Failure{Type: kind, Message: message, NonRetryable: true},
		})
		c.dirty = true
	}
	if e.orchestrations[d.Name] == nil {
		refuse(NotRegisteredType, fmt.Sprintf("orchestration %q is not registered", d.Name))
		return nil
	}
	if generated := d.Num != 0; !generated {
		found, err := e.find(d.ID)
		if err != nil {
			return err
		}
		if found != 0 {
			refuse(ExistsType, fmt.Sprintf("instance %q exists already", d.ID))
			return nil
		}
		c.txn.Require(records.IDKey(d.ID), 0)
	}
	key, err := e.keys.next(e)
	if err != nil {
		return err
	}
	rec := &records.Instance{
		ID: d.ID, Name: d.Name, State: records.Running, Created: c.now, Tags: opts.Tags,
		Parent: in.key, ParentSeq: d.Seq, ParentBase: c.rec.Base,
	}
	records.CreateInstance(&c.txn, key, rec)
	records.PutMessage(&c.txn, key, &records.Message{Event: e.startedEvent(rec, d.Data, c.now)})
	c.wake = append(c.wake, key)
	c.adopt = append(c.adopt, adoption{key: key, id: rec.ID, seq: d.Seq})
	return nil
}

// cancelChild asks the child of call seq to end.
func (c *change) cancelChild(seq uint32) error {
	key, err := c.childOf(seq)
	if err != nil || key == 0 {
		return err
	}
	c.message(key, history.Event{Kind: history.CancelRequested, Name: "parent gave it up"})
	c.wake = append(c.wake, key)
	return nil
}

// childOf returns the key of the child that call seq started, or 0.
func (c *change) childOf(seq uint32) (records.InstanceKey, error) {
	for _, child := range c.adopt { // started in this very turn
		if child.seq == seq {
			return child.key, nil
		}
	}
	snap, err := c.e.store.Snapshot()
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	var id string
	err = records.ReadHistory(snap, c.in.key, c.rec.Base, func(_ uint32, t history.Turn) error {
		for i := range t.Events {
			if ev := &t.Events[i]; ev.Kind == history.ChildStarted && ev.Seq == seq {
				id = ev.ID
			}
		}
		return nil
	})
	if err != nil || id == "" {
		return 0, err
	}
	return records.FindInstance(snap, id)
}

// send puts an event into another instance's inbox. An event that nobody can
// take is a dead letter.
func (c *change) send(d *history.Event) error {
	key, err := c.e.find(d.ID)
	if err != nil {
		return err
	}
	if key == 0 {
		// Kept until now: the next sweep delivers it, if the instance came at
		// this very moment, or makes a dead letter of it.
		c.txn.Require(records.IDKey(d.ID), 0)
		records.PutKept(&c.txn, d.ID, &records.Message{Arrival: c.e.keys.arrival(c.now), Event: history.Event{
			Kind: history.EventRaised, Name: d.Name, Data: d.Data, Time: c.now.UnixNano(),
		}})
		c.kept = true
		return nil
	}
	c.message(key, history.Event{Kind: history.EventRaised, Name: d.Name, Data: d.Data})
	if key == c.in.key {
		c.dirty = true
	} else {
		c.wake = append(c.wake, key)
	}
	return nil
}

// startedEvent is the first event of a generation.
func (e *Engine) startedEvent(rec *records.Instance, input []byte, now time.Time) history.Event {
	return history.Event{
		Kind: history.Started, Name: rec.Name, ID: rec.ID, Data: input,
		Time: now.UnixNano(), Num: e.keys.seed(),
	}
}
