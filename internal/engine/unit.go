package engine

import (
	"errors"
	"fmt"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

var _ unit.Orchestrator = (*Engine)(nil)

// unitWriter lets the record layer write into a unit; the first error stays.
type unitWriter struct {
	u   *unit.Unit
	err error
}

func (w *unitWriter) Put(key, value []byte) { w.note(w.u.Put(key, value)) }
func (w *unitWriter) Delete(key []byte)     { w.note(w.u.Delete(key)) }
func (w *unitWriter) DeleteRange(_, _ []byte) {
	w.note(errors.New("engine: a unit deletes no ranges"))
}

func (w *unitWriter) note(err error) {
	if w.err == nil {
		w.err = err
	}
}

// StartIn adds the start of an instance to a unit. With a given id it follows
// UseSame.
func (e *Engine) StartIn(u *unit.Unit, s unit.Start) (string, error) {
	if err := e.checkStart(&s); err != nil {
		return "", err
	}
	now := u.Now().UTC()
	if s.Trace == nil {
		s.Trace = u.Traced(nil)
	}
	rec := newRecord(&s, now)
	if s.ID == "" {
		rec.ID = e.keys.id()
	} else {
		rec.InputHash = fingerprint(s.Name, s.Input)
		value, err := u.Get(records.IDKey(s.ID))
		if err != nil {
			return "", err
		}
		if key := records.DecodeInstanceKey(value); key != 0 {
			old, err := instanceIn(u, key, s.ID)
			if err != nil {
				return "", err
			}
			if old.Name != rec.Name || old.InputHash != rec.InputHash {
				return "", fmt.Errorf("%w: %q", ErrExists, s.ID)
			}
			return s.ID, nil
		}
	}
	key, err := e.keys.next(e)
	if err != nil {
		return "", err
	}
	w := &unitWriter{u: u}
	records.CreateInstance(w, key, rec, false)
	// The start comes before every event, whatever their arrivals.
	records.PutMessage(w, key, &records.Message{Event: e.startedEvent(rec, s.Input, now)})
	timer := records.Timer{Due: rec.StartAt.UnixNano(), Key: key, Kind: records.TimerStart}
	later := rec.StartAt.After(now)
	if later {
		records.PutTimer(w, timer)
	}
	u.OnCommit(func() {
		if later {
			e.timers.add(timer)
		} else {
			e.wake(key)
		}
	})
	return rec.ID, w.err
}

// instanceIn reads an instance's record in a unit.
func instanceIn(u *unit.Unit, key records.InstanceKey, id string) (*records.Instance, error) {
	value, err := u.Get(key.RecordKey())
	if err != nil {
		return nil, err
	}
	if value == nil {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return records.DecodeInstance(value)
}

// RaiseIn adds an event to a unit. That the instance exists and has not ended is
// validated when the unit commits.
func (e *Engine) RaiseIn(u *unit.Unit, r unit.Raise) error {
	if err := checkRaise(&r); err != nil {
		return err
	}
	value, err := u.Get(records.IDKey(r.ID))
	if err != nil {
		return err
	}
	key := records.DecodeInstanceKey(value)
	w := &unitWriter{u: u}
	ev := history.Event{Kind: history.EventRaised, Name: r.Name, Data: r.Payload}
	now := u.Now()
	if key == 0 {
		if r.KeepFor <= 0 {
			return fmt.Errorf("%w: %q", ErrNotFound, r.ID)
		}
		expires := now.Add(r.KeepFor)
		ev.Time = expires.UnixNano()
		records.PutKept(w, r.ID, &records.Message{Arrival: e.keys.arrival(now), Event: ev})
		u.OnCommit(func() {
			e.kept.added(e, expires)
			e.pool.run(func() { e.settle(r.ID) })
		})
		return w.err
	}
	rec, err := instanceIn(u, key, r.ID)
	if err != nil {
		return err
	}
	if rec.State.Ended() {
		return fmt.Errorf("%w: %q is %s", ErrEnded, r.ID, rec.State)
	}
	records.PutMessage(w, key, &records.Message{Arrival: e.keys.arrival(now), Event: ev})
	u.OnCommit(func() { e.wake(key) })
	return w.err
}
