package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/replay"
	"github.com/perdure/perdure/internal/store"
)

// find returns the key of the instance called id, or 0.
func (e *Engine) find(id string) (records.InstanceKey, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	return records.FindInstance(snap, id)
}

// inbox returns what is stored for an instance, as items.
func (e *Engine) inbox(k records.InstanceKey) ([]*inbound, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	messages, err := records.ReadInbox(snap, k, maxEvents)
	if err != nil {
		return nil, err
	}
	items := make([]*inbound, len(messages))
	for i := range messages {
		items[i] = &inbound{event: messages[i].Event, stored: &messages[i].Arrival}
	}
	return items, nil
}

// machine returns a new machine for an instance, or nil when its orchestration
// is not registered.
func (e *Engine) machine(rec *records.Instance) *replay.Machine {
	o := e.orchestrations[rec.Name]
	if o == nil {
		return nil
	}
	return replay.New(rec.Name, rec.ID, o.Code)
}

// load reads an instance and, if it may run, rebuilds its coroutine. Activities
// that have no answer and do not run are dispatched.
func (e *Engine) load(in *instance) error {
	snap, err := e.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	rec, err := records.GetInstance(snap, in.key)
	if err != nil {
		return err
	}
	if rec == nil {
		return ErrNotFound
	}
	in.busy, err = records.IsBusy(snap, in.key)
	if err != nil {
		return err
	}
	if rec.State != records.Running {
		in.rec = rec
		return nil
	}
	if in.parked, err = records.ReadTasks(snap, in.key); err != nil {
		return err
	}
	if own := in.parked[0]; own != nil {
		in.deaths = own.Deaths
		delete(in.parked, 0)
		if own.Deaths >= e.opts.MaxDeaths {
			return &stallError{fmt.Sprintf("the process died %d times while a turn of it ran", own.Deaths)}
		}
	}
	m := e.machine(rec)
	if m == nil {
		return &stallError{fmt.Sprintf("orchestration %q is not registered in this program", rec.Name)}
	}
	pending, err := e.rebuild(snap, in, rec, m)
	if err != nil {
		m.Close()
		return err
	}
	in.rec, in.machine, in.loads = rec, m, 0
	for _, t := range pending {
		if in.tasks == nil {
			in.tasks = map[uint32]*task{}
		}
		in.tasks[t.seq] = t
		e.pool.dispatch(t)
	}
	return nil
}

// rebuild replays the history and returns the work that nobody does yet.
func (e *Engine) rebuild(snap store.Snapshot, in *instance, rec *records.Instance, m *replay.Machine) ([]*task, error) {
	in.nextTurn, in.timers = rec.Base, nil
	scheduled := map[uint32]*history.Event{}
	scheduledAt := map[uint32]int64{}
	err := records.ReadHistory(snap, in.key, rec.Base, func(turn uint32, t history.Turn) error {
		in.nextTurn = turn + 1
		for i := range t.Events {
			if ev := &t.Events[i]; ev.Kind == history.ActivityScheduled {
				scheduled[ev.Seq], scheduledAt[ev.Seq] = ev, t.Time
			} else if ev.Kind == history.ActivityCompleted || ev.Kind == history.ActivityFailed {
				delete(scheduled, ev.Seq)
			}
		}
		return m.Replay(t)
	})
	if err != nil {
		return nil, err
	}
	// An answer may be in the inbox already: it came while the instance was
	// suspended.
	answered := map[uint32]bool{}
	messages, err := records.ReadInbox(snap, in.key, maxInbox)
	if err != nil {
		return nil, err
	}
	for _, msg := range messages {
		answered[msg.Event.Seq] = true
	}
	var pending []*task
	add := func(t *task) {
		if kept := in.parked[t.seq]; kept != nil {
			t.resume(kept)
			if kept.Token != "" || kept.NextAt.After(e.now()) {
				return // its timer or its completer wakes it
			}
			delete(in.parked, t.seq)
		}
		pending = append(pending, t)
	}
	for _, call := range m.Open() {
		if in.tasks[call.Seq] != nil || answered[call.Seq] {
			continue
		}
		switch call.Kind {
		case history.ActivityScheduled:
			t, err := e.newActivity(in, scheduled[call.Seq], time.Unix(0, scheduledAt[call.Seq]))
			if err != nil {
				return nil, err
			}
			add(t)
		case history.TimerCreated:
			if in.timers == nil {
				in.timers = map[uint32]int64{}
			}
			in.timers[call.Seq] = call.Due
		}
	}
	if step := m.Step(); step != nil && in.tasks[step.Seq] == nil && !answered[step.Seq] {
		add(e.newStep(in, step, m.Time()))
	}
	return pending, nil
}

// maxInbox bounds how many stored messages are looked at for answers.
const maxInbox = 1 << 20

// stallError is a reason to stall that is found while loading.
type stallError struct{ reason string }

// Error implements error.
func (e *stallError) Error() string { return e.reason }

// stalls reports whether err says that the instance cannot go on by itself.
func stalls(err error) bool {
	var (
		mismatch *replay.Mismatch
		panicked *replay.Panic
		reason   *stallError
	)
	return errors.As(err, &mismatch) || errors.As(err, &panicked) || errors.As(err, &reason) ||
		errors.Is(err, history.ErrFormat) || errors.Is(err, history.ErrNewer)
}

// troubled deals with an instance that could not be loaded or run. It reports
// whether the caller has lost the ownership.
func (e *Engine) troubled(in *instance, err error) bool {
	switch {
	case errors.Is(err, ErrNotFound):
		e.vanish(in)
		return true
	case stalls(err):
		e.stall(in, nil, err)
		return true
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrOutcomeUnknown):
		e.fail(err)
		return false // the next look finds the engine stopped
	}
	in.unload()
	in.loads++
	e.log.Error("durable instance could not be run, trying again", "instance", in.key, "error", err)
	wait := min(time.Second<<min(in.loads, 6), time.Minute)
	e.clock.AfterFunc(wait, func() { e.pool.run(job{in: in}) })
	return true
}

// vanish answers everything meant for an instance that does not exist.
func (e *Engine) vanish(in *instance) {
	in.mu.Lock()
	items := in.queue
	in.queue, in.dirty, in.gone = nil, false, true
	in.mu.Unlock()
	e.instances.remove(in)
	for _, b := range items {
		if b.unit != nil {
			b.unit.Discarded()
		}
		b.answer(ErrNotFound)
	}
}

// stall stops an instance with an explanation; items is what it was to take.
// What comes from now on is kept until it is resumed.
func (e *Engine) stall(in *instance, items []*inbound, cause error) {
	in.unload()
	rec, err := e.record(in.key)
	if err != nil || rec == nil {
		if rec == nil && err == nil {
			err = ErrNotFound
		}
		in.putBack(items, false)
		if !e.troubled(in, err) {
			e.turn(in)
		}
		return
	}
	reason := cause.Error()
	var panicked *replay.Panic
	if errors.As(cause, &panicked) {
		reason += "\n" + panicked.Stack
	}
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	e.log.Error("durable instance is stalled", "instance", rec.ID, "orchestration", rec.Name, "reason", reason)
	in.rec = rec
	c := e.newChange(in)
	from := rec.State
	c.edit().State, c.rec.Reason = records.Stalled, reason
	records.ChangeState(&c.txn, in.key, c.rec, from)
	c.keep(items)
	e.submit(c)
}

// maxReason bounds the stored explanation of a stall, in bytes.
const maxReason = 8 << 10

// record reads the record of an instance.
func (e *Engine) record(k records.InstanceKey) (*records.Instance, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	return records.GetInstance(snap, k)
}

// resume wakes every instance that has work a restart must take up: activities
// without an answer, messages not yet taken, and stalls, which a new release of
// the program may have mended.
func (e *Engine) resume() error {
	snap, err := e.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	visit := func(k records.InstanceKey) bool {
		failpoint.Hit(failpoint.EngineResuming)
		e.wake(k)
		return true
	}
	if err := records.BusyInstances(snap, visit); err != nil {
		return err
	}
	if err := records.InboxInstances(snap, visit); err != nil {
		return err
	}
	return records.ListInstances(snap, records.Stalled, nil, func(k records.InstanceKey, _ *records.Instance, _ []byte) bool {
		e.deliver(k, &inbound{control: unstall}, false)
		return true
	})
}
