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

// machine returns a new machine for an instance, or nil when its orchestration
// is not registered.
func (e *Engine) machine(rec *records.Instance) *replay.Machine {
	o := e.orchestrations[rec.Name]
	if o == nil {
		return nil
	}
	return e.coroutines.New(rec.Name, rec.ID, o.Code)
}

// load reads an instance and, if it may run, rebuilds its coroutine. Activities
// that have no answer and do not run are dispatched.
func (e *Engine) load(in *instance, r *running) error {
	snap, err := e.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	rec, busy, err := readRecord(snap, in.key)
	if err != nil {
		return err
	}
	in.busy = busy
	if rec.State != records.Running {
		in.rec = rec
		return nil
	}
	stored, err := records.ReadTasks(snap, in.key)
	if err != nil {
		return err
	}
	in.deaths = 0
	if own := stored[0]; own != nil {
		in.deaths = own.Deaths
		if own.Deaths >= e.opts.MaxDeaths {
			return &stallError{fmt.Sprintf("the process died %d times while a turn of it ran", own.Deaths)}
		}
	}
	m := e.machine(rec)
	if m == nil {
		return &stallError{fmt.Sprintf("orchestration %q is not registered in this program", rec.Name)}
	}
	if err := e.replay(snap, in, rec, m, r); err != nil {
		m.Close()
		return err
	}
	in.rec, in.machine = rec, m
	pending, err := e.unfinished(snap, in, stored)
	if err != nil {
		return err
	}
	if in.nextTurn == 0 && e.kept.any() {
		in.adopt = rec.ID
	}
	for _, t := range pending {
		in.addTask(t)
		e.pool.dispatch(t)
	}
	return nil
}

// readRecord reads an instance's record and its busy mark.
func readRecord(snap store.Snapshot, k records.InstanceKey) (*records.Instance, bool, error) {
	rec, err := records.GetInstance(snap, k)
	if err != nil {
		return nil, false, err
	}
	if rec == nil {
		return nil, false, ErrNotFound
	}
	busy, err := records.IsBusy(snap, k, rec)
	return rec, busy, err
}

// loadRecord reads what is known of an instance that is not to run.
func (e *Engine) loadRecord(in *instance) error {
	snap, err := e.store.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	in.rec, in.busy, err = readRecord(snap, in.key)
	return err
}

// replay rebuilds the coroutine of an instance under the poison journal and the
// watchdog.
func (e *Engine) replay(snap store.Snapshot, in *instance, rec *records.Instance, m *replay.Machine, r *running) error {
	defer e.journal.Leave(e.enter(in))
	in.nextTurn = rec.Base
	return records.ReadHistory(snap, in.key, rec.Base, func(turn uint32, t history.Turn) error {
		r.begin(m)
		err := m.Replay(t)
		if !r.end() {
			return errOverrun
		}
		in.nextTurn = turn + 1
		return err
	})
}

// unfinished notes the timers and the activities of a rebuilt instance that wait,
// and returns those activities that nobody runs.
func (e *Engine) unfinished(snap store.Snapshot, in *instance, stored map[uint32]*records.Task) ([]*task, error) {
	open := in.machine.Open()
	if len(open) == 0 {
		return nil, nil
	}
	lost := map[uint32]bool{} // calls of activities and steps that no task is for
	for _, call := range open {
		switch call.Kind {
		case history.TimerCreated:
			in.setTimer(call.Seq, call.Due)
		case history.ActivityScheduled, history.StepBegan:
			if in.tasks[call.Seq] == nil {
				lost[call.Seq] = true
			}
		}
	}
	if len(lost) == 0 {
		return nil, nil
	}
	// The answer may be in the inbox: it came while the instance was suspended.
	err := records.ScanInbox(snap, in.key, func(m records.Message) bool {
		if ev := &m.Event; ev.Kind.Answer() && ev.Num == uint64(in.rec.Base) {
			delete(lost, ev.Seq)
		}
		return true
	})
	if err != nil || len(lost) == 0 {
		return nil, err
	}
	var pending []*task
	add := func(t *task) {
		kept := stored[t.seq]
		if kept != nil {
			t.resume(kept)
		}
		switch {
		case t.step && in.machine.Ending():
			t.canceled = ErrCanceled
		case kept != nil && (kept.Token != "" || !kept.NextAt.IsZero()):
			in.park(t) // its timer or whoever completes it wakes it
			return
		}
		pending = append(pending, t)
	}
	if step := in.machine.Step(); step != nil && lost[step.Seq] {
		add(e.newStep(in, step, in.machine.Time()))
	}
	err = records.ReadHistory(snap, in.key, in.rec.Base, func(_ uint32, t history.Turn) error {
		for i := range t.Events {
			ev := &t.Events[i]
			if ev.Kind != history.ActivityScheduled || !lost[ev.Seq] {
				continue
			}
			one, err := e.newActivity(in, ev, time.Unix(0, t.Time))
			if err != nil {
				return err
			}
			add(one)
		}
		return nil
	})
	return pending, err
}

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

// stall stops an instance with an explanation. What it was to take, and what comes
// from now on, is kept until it is resumed. The caller owns it.
func (e *Engine) stall(in *instance, cause error) {
	in.unload()
	c, err := e.stalled(in, cause)
	if err != nil {
		if !e.troubled(in, err) {
			e.turn(in)
		}
		return
	}
	e.submit(c)
}

// stalled returns the change that stalls an instance. One whose very first turn
// cannot run is created by it.
func (e *Engine) stalled(in *instance, cause error) (*change, error) {
	reason := cause.Error()
	var panicked *replay.Panic
	if errors.As(cause, &panicked) {
		reason += "\n" + panicked.Stack
	}
	reason = reason[:min(len(reason), maxReason)]
	var first *inbound
	in.mu.Lock()
	if len(in.queue) > 0 && in.queue[0].create != nil {
		first, in.queue = in.queue[0], in.queue[1:]
	}
	in.mu.Unlock()
	if first != nil {
		in.rec = first.create
	} else if err := e.loadRecord(in); err != nil {
		return nil, err
	}
	c := e.newChange(in)
	c.edit().State, c.rec.Reason = records.Stalled, reason
	e.log.Error("durable instance is stalled", "instance", c.rec.ID, "orchestration", c.rec.Name, "reason", reason)
	if first != nil {
		c.items = []*inbound{first}
		c.create(first)
		records.PutMessage(&c.txn, in.key, &records.Message{Event: first.event})
	}
	return c, nil
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
