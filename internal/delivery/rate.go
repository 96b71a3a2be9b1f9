package delivery

import "time"

// Rate bounds how many runs begin in a time. The zero value is no bound.
type Rate struct {
	// PerSecond is how many runs begin in a second, in the long run.
	PerSecond float64
	// Burst is how many may begin at once after a rest; default 1.
	Burst int
}

// bucket is a token bucket: each run takes one of the tokens that come in at the rate.
type bucket struct {
	rate   Rate
	tokens float64
	filled time.Time // when tokens were counted; zero before the first run: it is full
}

func (b *bucket) fill(now time.Time) {
	if b.filled.IsZero() {
		b.tokens = float64(b.rate.Burst)
	} else if passed := now.Sub(b.filled); passed > 0 {
		b.tokens = min(b.tokens+passed.Seconds()*b.rate.PerSecond, float64(b.rate.Burst))
	}
	b.filled = now
}

// blocked reports whether no run may begin, and until when.
func (b *bucket) blocked(now time.Time) (until time.Time, blocked bool) {
	if b.rate.PerSecond <= 0 {
		return time.Time{}, false
	}
	b.fill(now)
	// A token is there when its last billionth is missing: waits are whole
	// nanoseconds.
	if missing := 1 - b.tokens; missing > 1e-9 {
		return now.Add(time.Duration(missing/b.rate.PerSecond*float64(time.Second)) + 1), true
	}
	return time.Time{}, false
}

// take counts a run that begins.
func (b *bucket) take(now time.Time) {
	if b.rate.PerSecond > 0 {
		b.fill(now)
		b.tokens--
	}
}

// giveBack undoes take: nothing was run.
func (b *bucket) giveBack() {
	if b.rate.PerSecond > 0 {
		b.tokens++
	}
}
