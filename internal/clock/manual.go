package clock

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Manual is a Clock that stands still until it is told to move. It is for tests
// and for virtual time. A timer set for no time at all fires at once, as the
// system's does.
type Manual struct {
	mu      sync.Mutex
	now     time.Time
	set     []*manualTimer // in the order in which they fire
	waiters []waiter
}

type waiter struct {
	timers  int
	reached chan struct{}
}

// NewManual returns a clock that shows start.
func NewManual(start time.Time) *Manual { return &Manual{now: start} }

// Now returns the time that the clock was moved to.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// NewTimer implements Clock.
func (m *Manual) NewTimer(d time.Duration) Timer {
	t := &manualTimer{clock: m, c: make(chan time.Time, 1)}
	t.Reset(d)
	return t
}

// AfterFunc implements Clock. Advance calls f and waits until it has returned.
func (m *Manual) AfterFunc(d time.Duration, f func()) Timer {
	t := &manualTimer{clock: m, f: f}
	t.Reset(d)
	return t
}

// Advance moves the clock by d and fires the timers on the way in their order,
// each at its own time, also those that are set meanwhile.
func (m *Manual) Advance(d time.Duration) { m.AdvanceTo(m.Now().Add(d)) }

// AdvanceTo is Advance to a point in time. The clock never goes back.
func (m *Manual) AdvanceTo(end time.Time) {
	for m.fireNext(end) {
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if end.After(m.now) {
		m.now = end
	}
}

// fireNext fires the first timer that is due at end; false without one.
func (m *Manual) fireNext(end time.Time) bool {
	m.mu.Lock()
	if len(m.set) == 0 || m.set[0].due.After(end) {
		m.mu.Unlock()
		return false
	}
	t := m.set[0]
	m.set = m.set[1:]
	if t.due.After(m.now) {
		m.now = t.due
	}
	if t.f == nil {
		t.c <- m.now // has room: Reset and Stop empty it
		m.mu.Unlock()
		return true
	}
	m.mu.Unlock()
	t.f()
	return true
}

// Next returns when the first timer fires; false when none is set.
func (m *Manual) Next() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.set) == 0 {
		return time.Time{}, false
	}
	return m.set[0].due, true
}

// Timers returns how many timers are set.
func (m *Manual) Timers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.set)
}

// WaitTimers waits until at least n timers are set, which is how a test knows
// that the code under test has come to its wait. It fails with the cause of ctx.
func (m *Manual) WaitTimers(ctx context.Context, n int) error {
	m.mu.Lock()
	if len(m.set) >= n {
		m.mu.Unlock()
		return nil
	}
	w := waiter{timers: n, reached: make(chan struct{})}
	m.waiters = append(m.waiters, w)
	m.mu.Unlock()
	select {
	case <-w.reached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type manualTimer struct {
	clock *Manual
	due   time.Time
	c     chan time.Time
	f     func()
}

func (t *manualTimer) C() <-chan time.Time { return t.c }

func (t *manualTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.unset()
}

func (t *manualTimer) Reset(d time.Duration) bool {
	m := t.clock
	m.mu.Lock()
	defer m.mu.Unlock()
	was := t.unset()
	if d <= 0 { // due already: waits for nobody to move the clock
		if t.f != nil {
			go t.f()
		} else {
			t.c <- m.now
		}
		return was
	}
	t.due = m.now.Add(d)
	i, _ := slices.BinarySearchFunc(m.set, t.due, func(s *manualTimer, due time.Time) int {
		if s.due.After(due) {
			return 1
		}
		return -1 // after those with the same time
	})
	m.set = slices.Insert(m.set, i, t)
	m.waiters = slices.DeleteFunc(m.waiters, func(w waiter) bool {
		if len(m.set) < w.timers {
			return false
		}
		close(w.reached)
		return true
	})
	return was
}

// unset removes t from the clock; the caller holds the lock.
func (t *manualTimer) unset() bool {
	select {
	case <-t.c:
	default:
	}
	i := slices.Index(t.clock.set, t)
	if i < 0 {
		return false
	}
	t.clock.set = slices.Delete(t.clock.set, i, i+1)
	return true
}
