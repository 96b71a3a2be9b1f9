package delivery

import (
	"time"

	"github.com/perdure/perdure/internal/records"
)

// maxLanes is how many lanes of a function memory knows of, besides those that are
// busy. Of others it knows nothing, which costs a look into the store.
const maxLanes = 4096

// lane is what memory knows of a lane. What it holds, and in which order, is known to
// the store alone: a run asks it for the first one.
//
// Unless a lane is busy or held, one of its deliveries is in the windows or in what
// they have not read yet; the run of that one brings the next one into them. So a lane
// of any length takes the room of one delivery.
type lane struct {
	busy bool // one of it is being run

	// noted is the first of the deliveries that came up while it was busy.
	noted    ref
	hasNoted bool
	freed    bool // a dead letter left it while it was busy

	// Behind the one of id heldBy nothing is run until due, in Unix nanoseconds;
	// until it is freed when that is 0.
	held   bool
	heldBy ID
	due    int64

	// handled: up to this place nothing is stored any more. A search that began
	// before it would pass all that was removed.
	handled ID
}

func (f *function) isBusy(hash uint64) bool {
	l := f.lanes[hash]
	return l != nil && l.busy
}

// mayEnterLane reports whether a delivery that was taken out of its window may be run,
// as far as memory knows. Otherwise its lane sees to it later.
func (f *function) mayEnterLane(at ref, now time.Time) bool {
	l := f.lanes[at.Lane]
	if l == nil {
		return true
	}
	if at.ID.Compare(l.handled) <= 0 {
		l.handled = ID{}
	}
	if l.busy {
		l.note(at)
		return false
	}
	behind := l.held && at.ID.Compare(l.heldBy) > 0
	return !behind || l.due != 0 && l.due <= now.UnixNano()
}

// noteInLane takes note of a delivery of a lane and reports whether that is enough: the
// lane is busy.
func (f *function) noteInLane(at ref) bool {
	l := f.lanes[at.Lane]
	if l == nil {
		return false
	}
	if at.ID.Compare(l.handled) <= 0 {
		l.handled = ID{}
	}
	if !l.busy {
		return false
	}
	l.note(at)
	return true
}

func (l *lane) note(at ref) {
	if !l.hasNoted || at.ID.Compare(l.noted.ID) < 0 {
		l.noted, l.hasNoted = at, true
	}
}

// enterLane begins a run in the lane of at, if it has one, and returns the place behind
// which its first one is.
func (f *function) enterLane(at ref) (after ID) {
	if at.Lane == 0 {
		return ID{}
	}
	l := f.lanes[at.Lane]
	if l == nil {
		l = &lane{}
		f.lanes[at.Lane] = l
	}
	l.busy, l.held = true, false
	return l.handled
}

// leaveLane ends a run in a lane, and brings up what is next there.
func (f *function) leaveLane(r *run, res result) {
	if r.at.Lane == 0 {
		return
	}
	l := f.lanes[r.at.Lane]
	noted, hasNoted, freed := l.noted, l.hasNoted, l.freed
	l.busy, l.noted, l.hasNoted, l.freed = false, ref{}, false, false
	switch {
	case res.held:
		l.held, l.heldBy, l.due = true, r.head.ID, 0
	case res.kind == again, res.kind == blocked:
		l.held, l.heldBy, l.due = true, res.at.ID, res.at.Due
		r.again = append(r.again, res.at)
	case res.kind == done:
		l.handled = r.head.ID
		if res.hasNext {
			r.again = append(r.again, res.next)
		}
	}
	if l.held && hasNoted && noted.ID.Compare(l.heldBy) > 0 && !freed {
		hasNoted = false // it is behind
	}
	if freed || hasNoted && l.held {
		l.held = false
	}
	if hasNoted {
		if noted.ID.Compare(l.handled) <= 0 {
			l.handled = ID{}
		}
		r.again = append(r.again, noted)
	}
	f.forgetLanes()
}

// forgetLanes makes room.
func (f *function) forgetLanes() {
	if len(f.lanes) <= maxLanes+len(f.running) {
		return
	}
	for hash, l := range f.lanes { // in no certain order
		if !l.busy {
			delete(f.lanes, hash)
			return
		}
	}
}

// freeLane notes that a dead letter left a lane.
func (f *function) freeLane(hash uint64) {
	if l := f.lanes[hash]; l != nil {
		l.held, l.freed = false, l.busy
	}
}

// resetLanes forgets what is known of the store.
func (f *function) resetLanes() {
	for hash, l := range f.lanes {
		if l.busy {
			l.handled = ID{}
		} else {
			delete(f.lanes, hash)
		}
	}
}

// lookUpLane finds the first delivery of the lane of r and the one behind it. It is the
// zero entry when the lane is empty. It looks without the run's unit, whose scans read
// ahead: nobody else removes what is in a busy lane.
func (d *Dispatcher) lookUpLane(f *function, r *run) (first records.LaneEntry, err error) {
	snap, err := d.env.Snapshot()
	if err != nil {
		return first, err
	}
	defer snap.Close()
	found := 0
	r.hasNext = false
	err = records.ScanLane(snap, f.Name, r.at.Lane, r.after, func(e records.LaneEntry) bool {
		switch {
		case e.Dead && f.policy.SkipDeadLetters:
			return true // it was given up under another policy
		case found == 0:
			first = e
		default:
			r.next, r.hasNext = e.Ref, true
		}
		found++
		return found < 2
	})
	if found > 0 {
		r.head = first.Ref
	}
	return first, err
}
