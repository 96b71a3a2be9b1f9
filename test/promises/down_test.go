package promises_test

import (
	"testing"
	"time"
)

// down is how long the app is not there: at least two ticks of each timer.
const down = 2500 * time.Millisecond

// TestWhileItWasDown: what was accepted and not handled when the app was stopped is handled
// in its order when it starts, and each timer does what it says about the ticks that were
// missed.
func TestWhileItWasDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.until(func() string {
		if ticks := w.report().Ticks; len(ticks["all"])*len(ticks["last"])*len(ticks["none"]) == 0 {
			return "no tick"
		}
		return ""
	})
	w.breaks("*")
	w.send(load, keys...)
	w.allAccepted()
	w.stop()
	stopped := time.Now()
	w.breaks()
	<-time.After(time.Until(stopped.Add(down)))
	started := time.Now()
	w.start()
	w.allHandled()
	w.wantOrder()
	w.wantOnce()

	var ticks map[string][]tick
	w.until(func() string {
		ticks = w.report().Ticks
		for name := range ticks {
			if _, ok := after(ticks[name], started); !ok {
				return "no tick after the start of timer " + name
			}
		}
		return ""
	})
	w.wantTicks()
	missed := 0
	for _, one := range ticks["all"] {
		if one.Scheduled.After(stopped) && one.Scheduled.Before(started) {
			missed++
		}
	}
	if missed < int(down/time.Second) {
		t.Errorf("the timer for all ticks made up for %d of %v", missed, started.Sub(stopped))
	}
	// The last missed tick is less than a second old when the app starts.
	last, _ := after(ticks["last"], stopped)
	if age := started.Sub(last.Scheduled); age >= time.Second || last.Last.After(stopped) {
		t.Errorf("the timer for the last tick goes on with %+v; it was started at %v", last, started)
	}
	none, _ := after(ticks["none"], stopped)
	if none.Scheduled.Before(started) {
		t.Errorf("the timer for no tick made up for that of %v; it was started at %v", none.Scheduled, started)
	}
}

// after returns the first tick after a time.
func after(ticks []tick, t time.Time) (tick, bool) {
	for _, one := range ticks {
		if one.Scheduled.After(t) {
			return one, true
		}
	}
	return tick{}, false
}
