package consumer

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// The bounds of what a runner takes at a time.
const (
	// maxChunk is how many events are handled in one unit, maxChunkTime how long
	// that may take before no further one is begun.
	maxChunk     = 1024
	maxChunkTime = 20 * time.Millisecond
	// maxRead and maxReadBytes bound what is read ahead.
	maxRead      = 2 * maxChunk
	maxReadBytes = 4 << 20
)

// runner feeds one partition to one group. Its loop alone uses what is not guarded.
type runner struct {
	f         *Feeder
	g         *group
	partition records.Partition
	wake      chan struct{}

	known   bool           // cursor and deaths were read
	cursor  uint64         // the last position that was handled
	deaths  map[uint64]int // by position behind it: the process died over that event
	ahead   []*Event       // read ahead: the first ones behind the cursor
	limit   int            // how many events are tried in one unit
	solo    uint64         // the position of an event that failed among others
	since   time.Time      // when the first of ahead was first seen, for Batch.Wait
	faults  int            // of the store, one after another
	retries int            // conflicts, one after another

	mu    sync.Mutex
	state runnerState
	seen  seen
}

// seen is what a runner knew when it went to sleep.
type seen struct {
	tail, cursor uint64
	until        time.Time // filling, paced: how long it waits
}

// runnerState is what a runner is doing.
type runnerState int

const (
	busy    runnerState = iota // or about to be
	asleep                     // there is nothing to do
	filling                    // a batch waits for more events
	paced                      // the group may not go on yet
	blocked                    // a batch waits for one that failed
	paused                     // the store failed
)

func newRunner(f *Feeder, g *group, number int) *runner {
	return &runner{
		f: f, g: g, partition: records.Partition{Stream: g.Stream, Number: number},
		wake: make(chan struct{}, 1), limit: maxChunk,
	}
}

// signal wakes the runner, or keeps it from going to sleep.
func (r *runner) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// setState notes what the runner is doing, and what it knew when it began to.
func (r *runner) setState(s runnerState, saw seen) {
	r.mu.Lock()
	r.state, r.seen = s, saw
	r.mu.Unlock()
	if s != busy {
		r.f.change()
	}
}

// look reports whether there is something to do for a runner that sleeps, which it may
// not know yet, and whether it is idle. Of one that does not sleep, it says that there
// is: it may be about to.
func (r *runner) look(v records.View) (news, idle bool, err error) {
	r.mu.Lock()
	state, saw := r.state, r.seen
	r.mu.Unlock()
	switch state {
	case busy:
		return true, false, nil
	case paused:
		return false, false, nil // it tries again when its time is over
	}
	news, err = r.news(v, state, saw)
	return news, !news, err
}

// news reports whether something has changed for a runner in a state in which it sleeps.
func (r *runner) news(v records.View, state runnerState, saw seen) (bool, error) {
	cursor, err := records.PeekCursor(v, r.g.id, r.partition.Number)
	if err != nil || cursor != saw.cursor {
		return true, err
	}
	switch state {
	case blocked:
		held, err := r.held(v)
		return !held, err
	case filling, paced:
		if !saw.until.After(r.f.Clock.Now()) {
			return true, nil
		}
	}
	if state == paced {
		return false, nil
	}
	tail, err := records.StreamTail(v, r.partition)
	return tail != saw.tail, err
}

// verdict is what a step came to.
type verdict struct {
	state runnerState
	tail  uint64        // the last position that the step knew of
	wait  time.Duration // filling, paced, paused: how long
}

// goOn is the verdict after which the next step follows at once.
var goOn = verdict{state: busy}

// loop feeds the partition until the feeder stops.
func (r *runner) loop() {
	for !r.f.isStopping() {
		v := r.step()
		if v.state == busy {
			continue
		}
		r.sleep(v)
	}
}

// sleep waits until the runner is woken, or its time is over.
func (r *runner) sleep(v verdict) {
	saw := seen{tail: v.tail, cursor: r.cursor}
	var over <-chan time.Time
	if v.wait > 0 {
		saw.until = r.f.Clock.Now().Add(v.wait)
		t := r.f.Clock.NewTimer(v.wait)
		defer t.Stop()
		over = t.C()
	}
	r.setState(v.state, saw)
	select {
	case <-r.wake:
	case <-over:
	case <-r.f.stopping:
	}
	r.setState(busy, seen{})
}

// step does what is to be done next.
func (r *runner) step() verdict {
	tail, err := r.read()
	if err != nil {
		return r.pause(err)
	}
	if len(r.ahead) == 0 {
		r.since = time.Time{}
		return verdict{state: asleep, tail: tail}
	}
	if !r.g.enter(r.f.stopping) {
		return goOn
	}
	defer r.g.leave()
	switch {
	case r.g.HandleBatch != nil:
		return r.batch(tail)
	case r.deaths[r.ahead[0].Position] > 0:
		return r.giveAway(r.ahead[:1], nil)
	}
	return r.chunk()
}

// read makes sure that the runner knows where it is and has events to handle, if
// there are any. It returns the last position of the partition that it knows of.
func (r *runner) read() (tail uint64, err error) {
	enough := 1
	if r.g.HandleBatch != nil {
		enough = r.g.Batch.Size
	}
	if len(r.ahead) >= enough {
		return r.ahead[len(r.ahead)-1].Position, nil
	}
	snap, err := r.f.Env.Snapshot()
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	view := records.View{Reader: snap}
	if len(r.ahead) == 0 {
		if err := r.locate(view); err != nil {
			return 0, err
		}
	}
	if tail, err = records.StreamTail(view, r.partition); err != nil {
		return 0, err
	}
	from, size := r.cursor+1, 0
	if n := len(r.ahead); n > 0 {
		from = r.ahead[n-1].Position + 1
	}
	if tail < from {
		return tail, nil
	}
	err = records.ScanEvents(snap, r.partition, from, func(e *Event) bool {
		if e.Position > from && len(r.ahead) == 0 {
			r.f.Log.Warn("events were removed before a function had read them", "stream", r.g.Stream, "partition", r.partition.Number,
				"function", r.g.Function, "first", from, "events", e.Position-from)
		}
		r.ahead = append(r.ahead, e)
		size += len(e.Data)
		return len(r.ahead) < max(maxRead, enough) && size < maxReadBytes
	})
	if errors.Is(err, records.ErrUnreadableEvent) && len(r.ahead) > 0 {
		err = nil // those before it come first
	}
	return tail, err
}

// locate reads where the group is.
func (r *runner) locate(v records.View) error {
	cursor, err := records.PeekCursor(v, r.g.id, r.partition.Number)
	if err != nil || r.known && cursor == r.cursor {
		return err
	}
	if r.deaths, err = records.Suspects(v, r.g.id, r.partition.Number); err != nil {
		return err
	}
	r.cursor, r.known = cursor, true
	return nil
}

// take returns the first events that are ahead: up to n of them, and up to the first
// one that needs to be alone.
func (r *runner) take(n int) []*Event {
	events := r.ahead[:min(n, len(r.ahead))]
	for i, e := range events {
		alone := e.Position == r.solo || r.deaths[e.Position] > 0
		switch {
		case alone && i == 0:
			return events[:1]
		case alone:
			return events[:i]
		}
	}
	return events
}

// moved notes that the first n events that are ahead were handled.
func (r *runner) moved(n int) {
	for _, e := range r.ahead[:n] {
		delete(r.deaths, e.Position)
	}
	r.cursor = r.ahead[n-1].Position
	if r.solo <= r.cursor {
		r.solo = 0
	}
	// They are not cleared: a run that was given up may still look at them.
	if r.ahead = r.ahead[n:]; len(r.ahead) == 0 {
		r.ahead = nil // which keeps nothing in memory
	}
	r.faults, r.retries, r.since = 0, 0, time.Time{}
}

// lost notes that the store may have another cursor.
func (r *runner) lost() { r.ahead = nil }

// there reads the cursor in u and reports whether it is where the runner thinks, which
// is validated when u commits.
func (r *runner) there(u *unit.Unit) (bool, error) {
	cursor, _, err := records.GetCursor(u, r.g.id, r.partition.Number)
	if cursor != r.cursor {
		r.lost()
	}
	return cursor == r.cursor, err
}

// move moves the cursor in u behind the last of events.
func (r *runner) move(u *unit.Unit, events []*Event) error {
	return records.PutCursor(u, r.g.id, r.partition.Number, events[len(events)-1].Position)
}

// pause waits after the store failed, each time longer. No event is charged for it.
func (r *runner) pause(err error) verdict {
	const first, most = 20 * time.Millisecond, 5 * time.Second
	wait := jitter(min(first<<min(r.faults, 10), most))
	r.faults++
	r.lost()
	if !r.f.isStopping() {
		r.f.Log.Error("a stream cannot be read on for now", "stream", r.g.Stream, "partition", r.partition.Number,
			"function", r.g.Function, "for", wait, "error", err)
	}
	return verdict{state: paused, wait: wait}
}

func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// abandon counts a run that was given up until its code returns.
func (g *group) abandon(ended <-chan report) {
	g.mu.Lock()
	g.abandoned++
	g.mu.Unlock()
	go func() {
		<-ended
		g.mu.Lock()
		defer g.mu.Unlock()
		g.abandoned--
		close(g.freed)
		g.freed = make(chan struct{})
	}()
}

// enter waits until one more partition may be read; false when stop comes first. Runs
// that were given up but go on hold up others when there are many of them.
func (g *group) enter(stop <-chan struct{}) bool {
	for {
		g.mu.Lock()
		many, freed := g.abandoned >= cap(g.slots), g.freed
		g.mu.Unlock()
		if !many {
			break
		}
		select {
		case <-freed:
		case <-stop:
			return false
		}
	}
	select {
	case g.slots <- struct{}{}:
		return true
	case <-stop:
		return false
	}
}

func (g *group) leave() { <-g.slots }
