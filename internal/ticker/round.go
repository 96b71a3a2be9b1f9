package ticker

import (
	"errors"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// errNoRecord: the record that Start wrote is not there.
var errNoRecord = errors.New("its record is gone")

// round is what one unit decides about the ticks of a timer.
type round struct {
	*Ticker
	t   *timer
	u   *unit.Unit
	rec *records.Ticker
}

// run publishes what is due at until, at most a batch, and moves the record. What was
// due at missed is left to the CatchUp. It reports whether there is more.
func (r *round) run(until, missed time.Time, atStart bool) (more bool, err error) {
	if r.rec, err = records.GetTicker(r.u, r.t.Name); err != nil {
		return false, err
	}
	if r.rec == nil {
		return false, errNoRecord
	}
	before := *r.rec
	if err := r.catchUp(missed); err != nil {
		return false, err
	}
	ticks := r.t.upTo(r.rec.Position, until, batch)
	for _, tick := range ticks {
		if err := r.tick(tick); err != nil {
			return false, err
		}
	}
	more = len(ticks) == batch
	if atStart && !more {
		if err := r.publish(r.Clock.Now().In(r.t.Schedule.zone)); err != nil {
			return false, err
		}
	}
	if *r.rec == before {
		return more, nil
	}
	return more, records.PutTicker(r.u, r.t.Name, r.rec)
}

// catchUp decides about the ticks that were due at missed.
func (r *round) catchUp(missed time.Time) error {
	if !missed.After(r.rec.Position) {
		return nil
	}
	limit := 1
	if r.t.CatchUp == CatchUpAll {
		limit = MaxCatchUp
	}
	ticks, more := r.t.latest(r.rec.Position, missed, limit)
	if len(ticks) == 0 {
		return nil
	}
	if more || r.t.CatchUp == CatchUpNone {
		r.Log.Info("ticks were missed and are passed over", "timer", r.t.Name, "after", r.rec.Position, "until", ticks[0])
	}
	if r.t.CatchUp == CatchUpNone {
		r.rec.Position = ticks[0]
		return nil
	}
	for _, tick := range ticks {
		if err := r.tick(tick); err != nil {
			return err
		}
	}
	return nil
}

// tick publishes a tick of the schedule, unless it is to be skipped.
func (r *round) tick(at time.Time) error {
	r.rec.Position = at
	if r.t.Skip {
		busy, err := r.busy()
		if err != nil {
			return err
		}
		if busy {
			r.Log.Info("a tick is skipped because an earlier one has not been handled", "timer", r.t.Name, "scheduled", at)
			return nil
		}
	}
	return r.publish(at)
}

func (r *round) publish(at time.Time) error {
	tick := Tick{Name: r.t.Name, Scheduled: at}
	if !r.rec.Last.IsZero() {
		tick.Last = r.rec.Last.In(at.Location())
	}
	r.rec.Last = at
	return r.t.publish(r.u, tick)
}

// busy reports whether a tick that was published before has not been handled.
func (r *round) busy() (bool, error) {
	found := false
	see := func(records.DeliveryRef) bool {
		found = true
		return false
	}
	err := records.ScanDeliveries(r.u, r.t.Name, records.DeliveryRef{}, see)
	if err == nil && !found {
		err = records.ScanWaiting(r.u, r.t.Name, records.DeliveryRef{}, see)
	}
	return found, err
}
