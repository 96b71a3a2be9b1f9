package delivery

import (
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
			d.fill(f)
			if d.startNext(f, now) {
				refused = 0
			} else {
				refused++
			}
		}
	}
	if len(d.idle) > 0 && d.isIdle() {
		for _, idle := range d.idle {
			close(idle)
		}
		d.idle = nil
	}
}

// startNext starts a run of f, if there is something to run.
func (d *Dispatcher) startNext(f *function, now time.Time) bool {
	if f.full() {
		return false
	}
	if len(f.suspects) > 0 {
		if release := d.alone(); release != nil {
			at := f.suspects[0]
			f.suspects = f.suspects[1:]
			d.start(f, &run{at: at, release: release})
			return true
		}
	}
	at, ok := f.next(now)
	if !ok {
		f.setTimer(d.clock, now, func() { d.wake(f) })
		return false
	}
	d.start(f, &run{at: at})
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

func (d *Dispatcher) start(f *function, r *run) {
	f.running[r.at.ID] = r
	d.running++
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
	d.running--
	switch res.kind {
	case done:
		d.faults = 0
	case again:
		d.faults = 0
		f.arrived(res.at)
	case suspect:
		f.suspects = append(f.suspects, r.at)
	case storeFailed:
		f.arrived(r.at)
		d.pause(f.Name, res.err)
	case cutShort:
		d.cutShort++
	}
	for _, at := range r.again {
		f.arrived(at)
	}
	d.schedule()
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

// wake is called when the first of those that wait is due.
func (d *Dispatcher) wake(f *function) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.armed = 0
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
	now := d.clock.Now().UnixNano()
	for _, f := range d.functions {
		due, hasDue := f.waiting.first()
		if len(f.ready.refs) > 0 || len(f.suspects) > 0 || hasDue && due.Due <= now ||
			f.ready.partial || f.waiting.filling {
			return false
		}
	}
	return true
}
