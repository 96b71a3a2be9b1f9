package windows

// mark is how far a partition has come.
type mark struct {
	// any says that there was an event.
	any bool
	// latest is the latest event time.
	latest int64
	// seen is the app's time when an event was last handled.
	seen int64
	// behind says that there are events that were not handled.
	behind bool
}

// clocks are what event times are taken to be like.
type clocks struct {
	disorder int64 // how much earlier than the latest an event may come
	idle     int64 // after how long a partition holds nothing up
}

// watermark returns the event time before which no events are expected: the least of what
// the partitions say that are not idle; when all are, time goes on with the app's clock.
// Unless a new event changes it, it changes at the clock time next, or, when all are idle,
// is as much behind the clock as lag says.
func (c clocks) watermark(now int64, marks []mark) (at, next, lag int64) {
	held, latest := int64(never), int64(before)
	next = never
	for _, m := range marks {
		own := int64(before)
		if m.any {
			own = m.latest - c.disorder
			latest = max(latest, own)
		}
		switch {
		case m.behind:
			held = min(held, own)
		case m.any && now < m.seen+c.idle:
			held = min(held, own)
			next = min(next, m.seen+c.idle)
		}
	}
	if held != never {
		return held, next, never
	}
	lag = c.idle + c.disorder
	return max(latest, now-lag), never, lag
}

// dueAt returns the clock time at which a watermark of now - lag has come to t.
func dueAt(t, lag int64) int64 {
	if lag == never {
		return never
	}
	return t + lag
}
