package engine

import (
	"bytes"
	"errors"
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
		return c.cancelChild(d)
	case history.EventSent:
		return c.send(d)
	case history.StatusSet:
		c.edit().Status = d.Data
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
		return &stallError{fmt.Sprintf("decision of unknown kind %s", d.Kind)}
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
	rec := c.edit()
	rec.State, rec.Ended, rec.Output, rec.Failure = s, c.time(), output, failure
	c.closeGeneration()
	if !rec.CleanUpBy.IsZero() {
		records.DeleteTimer(&c.txn, records.Timer{Due: rec.CleanUpBy.UnixNano(), Key: c.in.key, Kind: records.TimerCleanUp})
	}
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
	c.add = nil
	c.setBusy(false)
}

// continueAsNew replaces the history by that of a new generation, which takes
// over the events that nobody has waited for and the wish that it end.
func (c *change) continueAsNew(input []byte) {
	in := c.in
	rec := c.edit()
	records.DropTurns(&c.txn, in.key, rec.Base, in.nextTurn+1)
	rec.Base = in.nextTurn + 1
	c.closeGeneration()
	unread := in.machine.Unread()
	// The first arrivals, before any real one.
	put := func(i int, ev history.Event) {
		records.PutMessage(&c.txn, in.key, &records.Message{Arrival: records.Arrival{Nanos: uint64(i)}, Event: ev})
	}
	first := []history.Event{c.e.startedEvent(rec, input, c.time())}
	if in.machine.Ending() {
		first = append(first, history.Event{Kind: history.CancelRequested, Name: rec.Reason})
	}
	for i, ev := range append(first, unread...) {
		put(i, ev)
	}
	c.dirty, c.unload = true, true
}

// startChild creates the instance that a decision starts. A generated id is
// unique by construction; a given one may be taken, which fails the call.
func (c *change) startChild(d *history.Event) error {
	e, in := c.e, c.in
	opts, err := history.DecodeCallOptions(d.Options)
	if err != nil {
		return &stallError{fmt.Sprintf("options of child %q: %v", d.ID, err)}
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
		if len(d.ID) > records.MaxID {
			refuse(InvalidType, fmt.Sprintf("instance id of %d bytes, want at most %d", len(d.ID), records.MaxID))
			return nil
		}
		found, err := c.taken(d.ID)
		if err != nil {
			return err
		}
		if found {
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
		ID: d.ID, Name: d.Name, State: records.Running, Created: c.time(), Tags: opts.Tags,
		Parent: in.key, ParentSeq: d.Seq, ParentBase: c.rec.Base, Trace: c.rec.Trace,
	}
	records.CreateInstance(&c.txn, key, rec, false)
	records.PutMessage(&c.txn, key, &records.Message{Event: e.startedEvent(rec, d.Data, c.time())})
	c.wake = append(c.wake, key)
	if c.children == nil {
		c.children = map[string]records.InstanceKey{}
	}
	c.children[d.ID] = key
	return nil
}

// taken reports whether there is an instance called id, also by this very change.
func (c *change) taken(id string) (bool, error) {
	if c.children[id] != 0 {
		return true, nil
	}
	if c.ran != nil {
		for i := range c.ran.writes.Ops {
			if bytes.Equal(c.ran.writes.Ops[i].Key, records.IDKey(id)) {
				return true, nil
			}
		}
	}
	found, err := c.e.find(id)
	return found != 0, err
}

// cancelChild asks the child of a call to end.
func (c *change) cancelChild(d *history.Event) error {
	key := c.children[d.ID] // started in this very turn
	if key == 0 {
		var err error
		if key, err = c.childOf(d); err != nil || key == 0 {
			return err
		}
	}
	c.message(key, history.Event{Kind: history.CancelRequested, Name: "parent gave it up"})
	c.wake = append(c.wake, key)
	return nil
}

// childOf returns the key of the child that a call started, or 0: its id may have
// become another one's.
func (c *change) childOf(d *history.Event) (records.InstanceKey, error) {
	_, rec, err := c.e.lookup(d.ID)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil || rec.State.Ended() || rec.Parent != c.in.key || rec.ParentSeq != d.Seq || rec.ParentBase != c.rec.Base {
		return 0, err
	}
	return c.e.find(d.ID)
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
		c.kept = d.ID
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
