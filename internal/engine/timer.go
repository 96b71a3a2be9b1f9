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
	// recheck is how often the wall clock is looked at, whatever timers say:
	// it may be set, and the machine may sleep.
	recheck = time.Second
)

// timers fires stored timers when they are due. Memory holds the near ones; the
// index holds all.
type timers struct {
	e *Engine

	ticking sync.Mutex // one tick at a time

	mu    sync.Mutex
	heap  timerHeap
	until time.Time // every timer due before it is in the heap
	wake  chan struct{}
}

func (s *timers) init(e *Engine) {
	s.e = e
	s.wake = make(chan struct{}, 1)
}

// add notes a timer that was just stored.
func (s *timers) add(t records.Timer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !time.Unix(0, t.Due).Before(s.until) {
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
	s.fireDue(now)
	if err := s.refill(now); err != nil && !s.e.isStopping() {
		s.e.log.Error("durable timers could not be read", "error", err)
	}
	s.fireDue(now)
	s.e.kept.expire(s.e, now)
	return s.next(now)
}

func (s *timers) fireDue(now time.Time) {
	for _, t := range s.due(now) {
		s.e.fire(t)
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
	first, err := records.ReadTimers(snap, time.Unix(0, 0), time.Unix(0, 1<<62), 1)
	if err != nil || len(first) == 0 {
		return time.Time{}, false, err
	}
	return time.Unix(0, first[0].Due).UTC(), true, nil
}

// next returns how long to sleep.
func (s *timers) next(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := recheck
	if !s.until.After(now) {
		return 0 // there is more to read
	}
	if len(s.heap) > 0 {
		wait = min(wait, time.Unix(0, s.heap[0].Due).Sub(now))
	}
	return max(wait, 0)
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
// passed. A timer that is stored while it reads may be found twice; firing it
// twice does no harm, missing it would.
func (s *timers) refill(now time.Time) error {
	s.mu.Lock()
	from := s.until
	if from.Sub(now) > horizon/2 || len(s.heap) >= maxHeld {
		s.mu.Unlock()
		return nil
	}
	until := now.Add(horizon)
	s.until = until // from here on add takes what is due before it
	s.mu.Unlock()
	if from.IsZero() {
		from = time.Unix(0, 0)
	}
	snap, err := s.e.store.Snapshot()
	if err != nil {
		s.retreat(from)
		return err
	}
	defer snap.Close()
	found, err := records.ReadTimers(snap, from, until, maxHeld)
	if err != nil {
		s.retreat(from)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range found {
		heap.Push(&s.heap, t)
	}
	if len(found) == maxHeld {
		// More than memory should hold: read on when these have fired. The last
		// one's time is read again, for others may share it.
		s.until = time.Unix(0, found[len(found)-1].Due)
		if !s.until.After(from) {
			s.until = s.until.Add(1)
		}
	}
	return nil
}

// retreat forgets that the timers from then on were to be read.
func (s *timers) retreat(from time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = from
}

// fire does what a due timer says.
func (e *Engine) fire(t records.Timer) {
	e.pool.run(job{f: func() {
		snap, err := e.store.Snapshot()
		if err != nil {
			return
		}
		set, err := records.HasTimer(snap, t)
		snap.Close()
		if err != nil || !set {
			return // canceled meanwhile; after an error a restart finds it again
		}
		b := &inbound{}
		switch t.Kind {
		case records.TimerCall:
			b.event = history.Event{Kind: history.TimerFired, Seq: t.Seq}
			b.timer = &t
		case records.TimerTask:
			b.control = func(in *instance, c *change) error { return c.taskDue(t) }
		case records.TimerStart:
			b.control = func(in *instance, c *change) error {
				records.DeleteTimer(&c.txn, t)
				c.dirty = true
				return nil
			}
		case records.TimerCleanUp:
			b.control = func(in *instance, c *change) error {
				records.DeleteTimer(&c.txn, t)
				if in.rec.State.Ended() {
					return nil
				}
				c.terminate("clean-up took longer than its deadline")
				return nil
			}
		case records.TimerRetention:
			b.control = func(in *instance, c *change) error {
				records.DeleteTimer(&c.txn, t)
				records.PurgeInstance(&c.txn, in.key, in.rec)
				c.unload = true
				return nil
			}
		default:
			e.log.Error("durable timer of unknown kind", "kind", t.Kind)
			return
		}
		e.deliver(t.Key, b, true)
	}})
}

// taskDue goes on with a task that was set aside.
func (c *change) taskDue(t records.Timer) error {
	in, e := c.in, c.e
	records.DeleteTimer(&c.txn, t)
	kept := in.parked[t.Seq]
	switch {
	case kept == nil:
		return nil
	case !kept.ExpiresAt.IsZero() && kept.ExpiresAt.UnixNano() == t.Due:
		in.mu.Lock()
		in.queue = append(in.queue, &inbound{event: history.Event{
			Kind: history.ActivityFailed, Seq: t.Seq,
			Failure: &history.Failure{Type: TimeoutType, Message: "activity was not completed from outside in time"},
		}})
		in.mu.Unlock()
		return nil
	case kept.NextAt.UnixNano() != t.Due:
		return nil
	}
	// Rebuilding the instance dispatches what is due.
	e.log.Debug("durable activity is tried again", "instance", in.rec.ID, "attempt", kept.Attempts+1)
	records.SetBusy(&c.txn, in.key)
	c.marked, c.busy = true, true
	c.unload, c.dirty = true, true
	return nil
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
