package engine

import (
	"container/heap"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
)

const (
	// horizon is how far ahead timers are held in memory.
	horizon = 10 * time.Minute
	// maxHeld is how many timers are read into memory at a time.
	maxHeld = 10_000
	// maxFiring is how many timers fire at once: each loads its instance.
	maxFiring = 256
	// recheck is how often the wall clock is looked at, whatever timers say:
	// it may be set, and the machine may sleep.
	recheck = time.Second
)

// timers fires stored timers when they are due. Memory holds the near ones; the
// index holds all.
type timers struct {
	e *Engine

	ticking sync.Mutex // one tick at a time
	firing  chan struct{}

	mu   sync.Mutex
	heap timerHeap
	read records.Timer // every timer before it is in the heap or has fired
	wake chan struct{}
}

func (s *timers) init(e *Engine) {
	s.e = e
	s.wake = make(chan struct{}, 1)
	s.firing = make(chan struct{}, maxFiring)
}

// add notes a timer that was just stored.
func (s *timers) add(t records.Timer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.Before(s.read) {
		return
	}
	heap.Push(&s.heap, t)
	if s.heap[0] == t {
		s.poke()
	}
}

func (s *timers) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run fires timers until the engine stops.
func (s *timers) run() {
	t := s.e.clock.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-s.e.stopping:
			return
		case <-s.wake:
		case <-t.C():
		}
		t.Reset(s.tick())
	}
}

// tick fires what is due and returns how long to sleep.
func (s *timers) tick() time.Duration {
	s.ticking.Lock()
	defer s.ticking.Unlock()
	now := s.e.now()
	for more := true; more; {
		s.fireDue(now)
		var err error
		if more, err = s.refill(now); err != nil {
			if !s.e.isStopping() {
				s.e.log.Error("durable timers could not be read", "error", err)
			}
			return recheck
		}
		s.fireDue(now)
	}
	s.e.kept.expire(s.e, now)
	return s.next(now)
}

func (s *timers) fireDue(now time.Time) {
	for _, t := range s.due(now) {
		select {
		case s.firing <- struct{}{}:
		case <-s.e.stopping:
			return // the next start finds it again
		}
		s.e.pool.run(func() {
			defer func() { <-s.firing }()
			s.e.fire(t)
		})
	}
}

// Tick fires the timers that are due now, for clocks that are moved by hand.
func (e *Engine) Tick() { e.timers.tick() }

// NextTimer returns when the first stored timer is due; false when there is none.
func (e *Engine) NextTimer() (time.Time, bool, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return time.Time{}, false, err
	}
	defer snap.Close()
	first, err := records.ReadTimers(snap, records.Timer{}, time.Unix(0, 1<<62), 1)
	if err != nil || len(first) == 0 {
		return time.Time{}, false, err
	}
	return time.Unix(0, first[0].Due).UTC(), true, nil
}

// next returns how long to sleep.
func (s *timers) next(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heap) == 0 {
		return recheck
	}
	return min(recheck, max(time.Unix(0, s.heap[0].Due).Sub(now), 0))
}

// due removes and returns the timers due at now.
func (s *timers) due(now time.Time) []records.Timer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []records.Timer
	for len(s.heap) > 0 && s.heap[0].Due <= now.UnixNano() {
		due = append(due, heap.Pop(&s.heap).(records.Timer))
	}
	return due
}

// refill reads the timers of the next horizon when half of the present one has
// passed. It reports whether more than it could hold are due. A timer that is stored
// while it reads may be found twice; firing it twice does no harm, missing it would.
func (s *timers) refill(now time.Time) (more bool, err error) {
	until := now.Add(horizon)
	s.mu.Lock()
	from := s.read
	if time.Unix(0, from.Due).Sub(now) > horizon/2 || len(s.heap) >= maxHeld {
		s.mu.Unlock()
		return false, nil
	}
	s.read = records.Timer{Due: until.UnixNano()} // from here on add takes what comes before
	s.mu.Unlock()
	found, err := s.stored(from, until)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.read = from
		return false, err
	}
	for _, t := range found {
		heap.Push(&s.heap, t)
	}
	if len(found) == maxHeld { // read on when these have fired
		s.read = found[len(found)-1].Next()
		return s.read.Due <= now.UnixNano(), nil
	}
	return false, nil
}

func (s *timers) stored(from records.Timer, until time.Time) ([]records.Timer, error) {
	snap, err := s.e.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	return records.ReadTimers(snap, from, until, maxHeld)
}

// hasTimer reports whether t is stored.
func (e *Engine) hasTimer(t records.Timer) (bool, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return false, err
	}
	defer snap.Close()
	return records.HasTimer(snap, t)
}

// fire does what a due timer says.
func (e *Engine) fire(t records.Timer) {
	set, err := e.hasTimer(t)
	if err != nil {
		if !e.isStopping() {
			e.clock.AfterFunc(recheck, func() { e.pool.run(func() { e.fire(t) }) })
		}
		return
	}
	if !set {
		return // canceled meanwhile
	}
	b := &inbound{timer: &t}
	switch t.Kind {
	case records.TimerCall:
		b.event = history.Event{Kind: history.TimerFired, Seq: t.Seq}
	case records.TimerTask:
		b.control = func(_ *instance, c *change) error { return c.taskDue(t) }
	case records.TimerStart:
		b.control = func(_ *instance, c *change) error {
			records.DeleteTimer(&c.txn, t)
			c.dirty = true
			return nil
		}
	case records.TimerCleanUp:
		b.control = func(in *instance, c *change) error {
			records.DeleteTimer(&c.txn, t)
			if !in.rec.State.Ended() {
				c.terminate("clean-up took longer than its deadline")
			}
			return nil
		}
	case records.TimerRetention:
		b.control = func(in *instance, c *change) error {
			records.DeleteTimer(&c.txn, t)
			if in.rec.State.Ended() {
				records.PurgeInstance(&c.txn, in.key, in.rec)
				c.unload = true
			}
			return nil
		}
	default:
		e.log.Error("durable timer of unknown kind", "kind", t.Kind)
		return
	}
	e.deliver(t.Key, b, true)
}

// timerHeap orders timers by their due time.
type timerHeap []records.Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].Due < h[j].Due }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(records.Timer)) }
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	*h = (*h)[:last]
	return t
}
