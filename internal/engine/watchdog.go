package engine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/internal/replay"
)

// watchdog knows which turns are running. One whose code runs for too long is taken
// away from its goroutine: the instance stalls, and what the code does when it
// finally goes on counts for nothing.
type watchdog struct {
	mu sync.Mutex
	m  map[*running]struct{}
}

// running is a turn under way. While code runs in it the watchdog may take the
// instance over; its goroutine touches nothing of the instance until end says that
// this has not happened.
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

func (w *watchdog) init() { w.m = map[*running]struct{}{} }

func (w *watchdog) enter(in *instance, items []*inbound, dirty bool, release func()) *running {
	r := &running{in: in, items: items, dirty: dirty, release: release}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.m[r] = struct{}{}
	return r
}

func (w *watchdog) leave(r *running) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.m, r)
}

// begin says that code of m begins to run.
func (r *running) begin(m *replay.Machine) {
	r.machine = m
	r.since.Store(int64(time.Since(begun)) + 1)
}

// end says that the code has paused. It reports false when it ran for too long:
// the instance is the caller's no more.
func (r *running) end() bool { return r.since.Swap(0) != overrun }

// overruns returns the turns whose code has run for longer than limit, taken over.
func (w *watchdog) overruns(limit time.Duration) []*running {
	w.mu.Lock()
	defer w.mu.Unlock()
	var late []*running
	for r := range w.m {
		if t := r.since.Load(); t > 0 && time.Since(begun)-time.Duration(t) > limit && r.since.CompareAndSwap(t, overrun) {
			delete(w.m, r)
			late = append(late, r)
		}
	}
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
		for _, r := range e.watch.overruns(limit) {
			e.takeOver(r)
		}
	}
}

// takeOver stalls the instance of a turn that the watchdog has taken away from its
// goroutine.
func (e *Engine) takeOver(r *running) {
	in := r.in
	reason := fmt.Sprintf("a turn ran for longer than %v\n%s", e.opts.TurnLimit, r.machine.Stack())
	if in.machine == r.machine {
		in.machine = nil // its goroutine closes it
	}
	in.putBack(r.items, r.dirty)
	r.release()
	e.stall(in, &stallError{reason})
	e.work.end() // for the goroutine, which may never return
}
