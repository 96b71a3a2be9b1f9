package delivery

import (
	"cmp"
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
	lanes   map[uint64]*lane
	bucket  bucket
	breaker breaker
	// abandoned counts runs that timed out or were cut short, and go on.
	abandoned int

	timer clock.Timer // fires when the function has something to do
	armed time.Time   // when; zero if it is not set
}

// run is one delivery that is being run.
type run struct {
	// at is the delivery that was taken out.
	at ref
	// head is the one that is run: the first one of at's lane, or at. It belongs to
	// the run until that has ended.
	head ref
	// after is the place from which the lane is searched for its first one.
	after ID
	// next is the one behind head in its lane.
	next    ref
	hasNext bool
	// release, unless nil, ends the time in which no other suspect is run.
	release func()
	// again is what was noted of the same delivery meanwhile, such as that it
	// was sent again.
	again []ref
}

func newFunction(f Function, limit int) *function {
	p := f.Policy.withDefaults()
	return &function{
		Function: f,
		policy:   p,
		ready:    window{limit: limit},
		waiting:  window{limit: limit},
		running:  map[ID]*run{},
		lanes:    map[uint64]*lane{},
		bucket:   bucket{rate: p.Rate},
		breaker:  breaker{policy: p.Break},
	}
}

// reset forgets what is known of the store.
func (f *function) reset() {
	f.ready.reset()
	f.waiting.reset()
	f.resetLanes()
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
	if !f.noteInLane(at) {
		f.windowOf(at).add(at)
	}
}

// full reports whether no more may run. Runs that were given up but go on hold
// up others only when there are as many of them as may run.
func (f *function) full() bool {
	allowed := min(f.policy.Concurrency, 2*f.policy.Concurrency-f.abandoned)
	return len(f.running) >= allowed
}

// blocked reports whether nothing may be started for the sake of the function's rate
// or circuit, and until when; the zero time stands for the end of a run.
func (f *function) blocked(now time.Time) (until time.Time, blocked bool) {
	if until, blocked = f.breaker.blocked(now); blocked {
		return until, true
	}
	return f.bucket.blocked(now)
}

// suspect returns the first of those that are to be run alone.
func (f *function) suspect() (ref, bool) {
	if len(f.suspects) == 0 {
		return ref{}, false
	}
	first := f.suspects[0]
	return first, f.running[first.ID] == nil && !f.isBusy(first.Lane)
}

// next takes out the delivery that is to be run next: of the first that is ready and
// the first of those whose wait is over, the more urgent one, then the older one.
func (f *function) next(now time.Time) (ref, bool) {
	for {
		ready, isReady := f.ready.first()
		later, isLater := f.waiting.first()
		from := &f.ready
		at := ready
		switch due := isLater && later.Due <= now.UnixNano(); {
		case due && (!isReady || cmp.Or(cmp.Compare(later.Rank, ready.Rank), later.ID.Compare(ready.ID)) < 0):
			from, at = &f.waiting, later
		case !isReady:
			return ref{}, false
		}
		from.drop()
		if f.running[at.ID] == nil && f.mayEnterLane(at, now) { // else it is a note of what was there before, or has to wait
			return at, true
		}
	}
}

// setTimer lets wake be called at a time, unless it is zero.
func (f *function) setTimer(c clock.Clock, now, at time.Time, wake func()) {
	if at.IsZero() || f.armed.Equal(at) {
		return
	}
	f.armed = at
	if f.timer == nil {
		f.timer = c.AfterFunc(at.Sub(now), wake)
	} else {
		f.timer.Reset(at.Sub(now))
	}
}
