package delivery

import (
	"time"

	"github.com/perdure/perdure/internal/clock"
)

// function is what the dispatcher knows of a function. The dispatcher's mutex
// guards it.
type function struct {
	Function
	policy Policy

	ready    window // to be run now, in the order of arrival
	waiting  window // to be run later, in the order in which they are due
	suspects []ref  // to be run alone: the process died while they ran

	running map[ID]*run
	// abandoned counts runs that timed out or were cut short, and go on.
	abandoned int

	timer clock.Timer // fires when the first of those that wait is due
	armed int64       // the due time it is set for; 0 if it is not
}

// run is one delivery that is being run.
type run struct {
	at ref
	// release, unless nil, ends the time in which no other suspect is run.
	release func()
	// again is what was noted of the same delivery meanwhile, such as that it
	// was sent again.
	again []ref
}

func newFunction(f Function, limit int) *function {
	return &function{
		Function: f,
		policy:   f.Policy.withDefaults(),
		ready:    window{limit: limit},
		waiting:  window{limit: limit},
		running:  map[ID]*run{},
	}
}

// reset forgets what is known of the store.
func (f *function) reset() {
	f.ready.reset()
	f.waiting.reset()
}

// windowOf returns the window of what is stored at at.
func (f *function) windowOf(at ref) *window {
	if at.Due == 0 {
		return &f.ready
	}
	return &f.waiting
}

// arrived notes that a delivery is stored at at.
func (f *function) arrived(at ref) {
	if r := f.running[at.ID]; r != nil {
		r.again = append(r.again, at)
		return
	}
	f.windowOf(at).add(at)
}

// full reports whether no more may run. Runs that were given up but go on hold
// up others only when there are as many of them as may run.
func (f *function) full() bool {
	allowed := min(f.policy.Concurrency, 2*f.policy.Concurrency-f.abandoned)
	return len(f.running) >= allowed
}

// next takes out the delivery that is to be run next: the older one of the first
// that is ready and the first of those whose wait is over.
func (f *function) next(now time.Time) (ref, bool) {
	for {
		ready, isReady := f.ready.first()
		later, isLater := f.waiting.first()
		from := &f.ready
		at := ready
		switch due := isLater && later.Due <= now.UnixNano(); {
		case due && (!isReady || later.ID.Compare(ready.ID) < 0):
			from, at = &f.waiting, later
		case !isReady:
			return ref{}, false
		}
		from.drop()
		if f.running[at.ID] == nil { // else it is a note of what was there before
			return at, true
		}
	}
}

// setTimer lets wake be called when the first of those that wait is due.
func (f *function) setTimer(c clock.Clock, now time.Time, wake func()) {
	first, ok := f.waiting.first()
	if !ok || f.armed == first.Due {
		return
	}
	f.armed = first.Due
	wait := time.Unix(0, first.Due).Sub(now)
	if f.timer == nil {
		f.timer = c.AfterFunc(wait, wake)
	} else {
		f.timer.Reset(wait)
	}
}
