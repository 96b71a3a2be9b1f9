package ticker

import (
	"hash/fnv"
	"time"
)

// CatchUp says what becomes of ticks that came while nothing ran, or that a clock which
// was set forward has passed over.
type CatchUp int

// The kinds of CatchUp.
const (
	// CatchUpLast makes up for all of them by one run, of the last.
	CatchUpLast CatchUp = iota
	// CatchUpAll makes up for each, at most MaxCatchUp.
	CatchUpAll
	// CatchUpNone passes over them.
	CatchUpNone
)

// MaxCatchUp is how many missed ticks CatchUpAll makes up for: the latest ones.
const MaxCatchUp = 1000

// Tick is an event of a timer.
type Tick struct {
	// Name is the timer's.
	Name string `json:"name"`
	// Scheduled is when the tick is due by the schedule, before any jitter.
	Scheduled time.Time `json:"scheduled"`
	// Last is when the tick was due that was published before this one; zero for the
	// first.
	Last time.Time `json:"last,omitzero"`
}

// Timer is what ticks.
type Timer struct {
	// Name names its record; it is unique and must not change.
	Name     string
	Schedule Schedule
	CatchUp  CatchUp
	// Skip passes over a tick while an earlier one has not been handled.
	Skip bool
	// Jitter bounds by how much a tick is delayed. The delay follows from the name and
	// the tick, so that it is the same after a restart.
	Jitter time.Duration
	// RunAtStart adds a tick at each start.
	RunAtStart bool
}

// delay is by how much a tick is delayed.
func (t *Timer) delay(tick time.Time) time.Duration {
	if t.Jitter <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.Name)) // a hash takes everything
	sum := h.Sum64() ^ uint64(tick.UnixNano())
	sum = (sum ^ sum>>30) * 0xbf58476d1ce4e5b9 // neighbours get different delays (splitmix64)
	sum = (sum ^ sum>>27) * 0x94d049bb133111eb
	return time.Duration((sum ^ sum>>31) % uint64(t.Jitter))
}

// due is when a tick is published; the zero time when there is none.
func (t *Timer) due(tick time.Time) time.Time {
	if tick.IsZero() {
		return tick
	}
	return tick.Add(t.delay(tick))
}

// upTo returns the first ticks after from that are due at now, at most limit.
func (t *Timer) upTo(from, now time.Time, limit int) []time.Time {
	var ticks []time.Time
	for len(ticks) < limit {
		tick := t.Schedule.Next(from)
		if tick.IsZero() || t.due(tick).After(now) {
			break
		}
		ticks = append(ticks, tick)
		from = tick
	}
	return ticks
}

// latest returns the last ticks after from that are due at now, at most limit; more says
// that there are others before.
func (t *Timer) latest(from, now time.Time, limit int) (ticks []time.Time, more bool) {
	// A schedule cannot be asked backwards: look at longer and longer times.
	for back := time.Minute + t.Jitter; ; back *= 2 {
		start := now.Add(-back)
		if whole := !start.After(from) || back < 0; whole {
			start = from
		}
		ticks = ticks[:0]
		for next := t.Schedule.Next(start); !next.IsZero() && !t.due(next).After(now); next = t.Schedule.Next(next) {
			ticks = append(ticks, next)
		}
		if len(ticks) >= limit || start.Equal(from) {
			cut := len(ticks) - min(limit, len(ticks))
			return ticks[cut:], cut > 0 || !start.Equal(from)
		}
	}
}
