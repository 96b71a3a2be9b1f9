package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/replay"
)

// running is the turn of an instance that is under way. While code runs in it the
// watchdog may take the instance over from its goroutine, which touches nothing of the
// instance until end says that this has not happened. What the code does when it
// finally goes on counts for nothing. It is used for one turn after another, until one
// is taken over.
type running struct {
	in      *instance
	items   []*inbound
	dirty   bool
	release func()
	machine *replay.Machine
	since   atomic.Int64 // when the code began to run; 0: it does not; or overrun
}

// overrun says in running.since that the watchdog has taken the instance over.
const overrun = -1

// errOverrun says that the caller has lost the instance to the watchdog.
var errOverrun = errors.New("engine: turn was given up")

// begun is the time from which running.since counts.
var begun = time.Now()

// begin begins a turn. The caller owns the instance.
func (in *instance) begin(items []*inbound, dirty bool, release func()) *running {
	r := in.running.Load()
	if r == nil {
		r = &running{in: in}
		in.running.Store(r)
	}
	r.items, r.dirty, r.release = items, dirty, release
	return r
}

// leave ends a turn that was not taken over.
func (r *running) leave() { r.items, r.release, r.machine = nil, nil, nil }

// begin says that code of m begins to run.
func (r *running) begin(m *replay.Machine) {
	r.machine = m
	r.since.Store(int64(time.Since(begun)) + 1)
}

// end says that the code has paused. It reports false when it ran for too long:
// the instance is the caller's no more.
func (r *running) end() bool { return r.since.Swap(0) != overrun }

// overruns returns the turns whose code has run for longer than limit, taken over.
func (s *instances) overruns(limit time.Duration) []*running {
	var late []*running
	now := time.Since(begun)
	s.each(func(in *instance) {
		r := in.running.Load()
		if r == nil {
			return
		}
		if t := r.since.Load(); t > 0 && now-time.Duration(t) > limit && r.since.CompareAndSwap(t, overrun) {
			late = append(late, r)
		}
	})
	return late
}

// watchTurns stalls instances whose turns run for too long, until the engine stops.
func (e *Engine) watchTurns() {
	limit := e.opts.TurnLimit
	every := min(limit/4+1, time.Second)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-e.stopping:
			return
		case <-ticker.C:
		}
		late := time.Since(last) > 3*every
		last = time.Now()
		if late {
			continue // the whole process was paused, not a turn
		}
		for _, r := range e.instances.overruns(limit) {
			e.takeOver(r)
		}
	}
}

// takeOver stalls the instance of a turn that the watchdog has taken away from its
// goroutine.
func (e *Engine) takeOver(r *running) {
	in := r.in
	in.running.Store(nil) // its goroutine keeps r
	reason := fmt.Sprintf("a turn ran for longer than %v\n%s", e.opts.TurnLimit, r.machine.Stack())
	if in.machine == r.machine {
		in.machine = nil // its goroutine closes it
	}
	in.putBack(r.items, r.dirty)
	r.release()
	e.stall(in, &stallError{reason})
	e.work.end() // for the goroutine, which may never return
}
