package delivery

import (
	"slices"
	"time"

	"github.com/perdure/perdure/internal/records"
)

// schedule starts what may run, one of each function in turn. The caller holds
// the mutex.
func (d *Dispatcher) schedule() {
	if d.state == started && !d.paused {
		now := d.clock.Now()
		for refused := 0; refused < len(d.functions) && d.running < d.maxRunning; {
			f := d.functions[d.turn%len(d.functions)]
			d.turn++
			if d.startNext(f, now) {
				refused = 0
			} else {
				refused++
			}
		}
	}
	d.noteIdle()
}

// scheduleOnly starts what may run of one function, when the others have nothing to
// wait for. The caller holds the mutex.
func (d *Dispatcher) scheduleOnly(f *function) {
	if d.state == started && !d.paused {
		for now := d.clock.Now(); d.running < d.maxRunning && d.startNext(f, now); {
		}
	}
	d.noteIdle()
}

// noteIdle tells those who wait for it when there is nothing to do. The caller holds
// the mutex.
func (d *Dispatcher) noteIdle() {
	if len(d.idle) > 0 && d.isIdle() {
		for _, idle := range d.idle {
			close(idle)
		}
		d.idle = nil
	}
}

// startNext starts a run of f, if there is something to run.
func (d *Dispatcher) startNext(f *function, now time.Time) bool {
	d.fill(f)
	if f.full() {
		return false
	}
	if until, blocked := f.blocked(now); blocked {
		f.setTimer(d.clock, now, until, func() { d.due(f) })
		return false
	}
	if at, ok := f.suspect(); ok {
		if release := d.alone(); release != nil {
			f.suspects = f.suspects[1:]
			d.start(f, &run{at: at, release: release}, now)
			return true
		}
	}
	at, ok := f.next(now)
	if !ok {
		d.fill(f) // it may have taken out what waits for its lane
		if first, waits := f.waiting.first(); waits {
			f.setTimer(d.clock, now, time.Unix(0, first.Due), func() { d.due(f) })
		}
		return false
	}
	d.start(f, &run{at: at}, now)
	return true
}

// alone asks to run a suspect; nil when another one runs.
func (d *Dispatcher) alone() (release func()) {
	if d.asked {
		return nil
	}
	release, ok := d.journal.Alone(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.asked = false
		d.schedule()
	})
	d.asked = !ok
	return release
}

func (d *Dispatcher) start(f *function, r *run, now time.Time) {
	f.running[r.at.ID] = r
	d.running++
	r.head = r.at
	r.after = f.enterLane(r.at)
	f.bucket.take(now)
	f.breaker.started()
	d.work.Go(func() { d.finish(f, r, d.run(f, r)) })
}

// finish notes how a run ended.
func (d *Dispatcher) finish(f *function, r *run, res result) {
	if r.release != nil {
		r.release()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(f.running, r.at.ID)
	wasFull := d.running >= d.maxRunning
	d.running--
	d.judge(f, res)
	switch res.kind {
	case done, blocked:
		d.faults = 0
	case again:
		d.faults = 0
		r.again = append(r.again, res.at)
	case suspect:
		if !slices.Contains(f.suspects, r.head) { // a search of the store finds it anew
			f.suspects = append(f.suspects, r.head)
		}
	case storeFailed:
		r.again = append(r.again, r.at)
		d.pause(f.Name, res.err)
	case cutShort:
		d.cutShort++
	}
	f.leaveLane(r, res)
	for _, at := range r.again {
		f.arrived(at)
	}
	if wasFull || res.kind == storeFailed {
		d.schedule()
	} else {
		d.scheduleOnly(f)
	}
}

// judge notes for the function's rate and circuit whether it ran, and how that ended.
// The caller holds the mutex.
func (d *Dispatcher) judge(f *function, res result) {
	now := d.clock.Now()
	if res.outcome == notRun {
		f.bucket.giveBack()
	}
	switch f.breaker.ended(res.outcome, now) {
	case opened:
		d.log.Warn("event function pauses after failures in a row", "function", f.Name,
			"failures", f.breaker.failures, "until", f.breaker.until)
	case closed:
		d.log.Info("event function goes on after its pause", "function", f.Name)
	}
}

// pause stops starting runs for a while after the store failed. What failed for
// it is not charged to any delivery. The caller holds the mutex.
func (d *Dispatcher) pause(function string, err error) {
	if d.paused || d.state != started {
		return
	}
	const first, most = 20 * time.Millisecond, 5 * time.Second
	wait := jitter(min(first<<min(d.faults, 10), most))
	d.faults++
	d.paused = true
	d.log.Error("the store failed; event functions pause", "function", function, "for", wait, "error", err)
	d.pauseEnd = d.clock.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.paused = false
		d.schedule()
	})
}

// due is called when the first of those that wait is due, or the function may run
// again.
func (d *Dispatcher) due(f *function) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.armed = time.Time{}
	d.schedule()
}

// sweep searches the store anew: the commit of a delivery may have succeeded
// without its committer knowing. It also finds those that are due since the wall
// clock was set forward.
func (d *Dispatcher) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != started {
		return
	}
	for _, f := range d.functions {
		f.reset()
	}
	d.schedule()
	d.nextSweep.Reset(d.sweepEvery)
}

// fill begins to read on in the store where too little is known of it. The caller
// holds the mutex.
func (d *Dispatcher) fill(f *function) {
	for _, w := range []*window{&f.ready, &f.waiting} {
		if w.hungry() {
			from := w.begin()
			d.work.Go(func() { d.read(f, w, from) })
		}
	}
}

// read fills a window from the store.
func (d *Dispatcher) read(f *function, w *window, from ref) {
	found, more, err := d.scan(f, w == &f.waiting, from)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		w.fail()
		d.pause(f.Name, err)
	} else {
		var next ref
		if more {
			last := len(found) - 1
			found, next = found[:last], found[last]
		}
		w.end(found, next, more)
	}
	d.schedule()
}

// scan returns where up to a window full of deliveries are stored and, if there
// are more, where the next one is.
func (d *Dispatcher) scan(f *function, waiting bool, from ref) (found []ref, more bool, err error) {
	snap, err := d.env.Snapshot()
	if err != nil {
		return nil, false, err
	}
	defer snap.Close()
	scan := records.ScanDeliveries
	if waiting {
		scan = records.ScanWaiting
	}
	err = scan(snap, f.Name, from, func(at ref) bool {
		found = append(found, at)
		more = len(found) > d.window
		return !more
	})
	return found, more, err
}

// isIdle reports whether nothing runs and nothing could run now. The caller holds
// the mutex.
func (d *Dispatcher) isIdle() bool {
	if d.state == stopping {
		return d.running == 0
	}
	if d.state != started || d.running > 0 || d.paused {
		return false
	}
	now := d.clock.Now()
	for _, f := range d.functions {
		if _, blocked := f.blocked(now); blocked {
			continue
		}
		due, hasDue := f.waiting.first()
		if len(f.ready.refs) > 0 || len(f.suspects) > 0 || hasDue && due.Due <= now.UnixNano() ||
			f.ready.partial || f.waiting.filling {
			return false
		}
	}
	return true
}
