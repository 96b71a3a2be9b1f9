package ratelimit

import "net/netip"

// MaxCounters is how many counters there may be.
const MaxCounters = 1 << 12

// FillCounters counts requests of n addresses, and returns how many counters there are.
func FillCounters(n int) (kept int) {
	c := newCountersOf(MaxCounters)
	w := c.calendars.windowsAt(0)
	for i := range n {
		c.takeAddr(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), &[numPeriods]float64{1: 5}, &w, false)
	}
	for i := range c.shards {
		kept += len(c.shards[i].addrs)
	}
	return kept
}

// LongestName counts requests of some, and returns the length of the longest name that is kept.
func LongestName(names ...string) (longest int) {
	c := newCounters()
	for _, name := range names {
		take(c, name)
	}
	for i := range c.shards {
		for name := range c.shards[i].named {
			longest = max(longest, len(name))
		}
	}
	return longest
}

// CountedApart reports whether two names have counters of their own.
func CountedApart(a, b string) bool {
	c := newCounters()
	take(c, a)
	return take(c, b).remaining[1] == 5
}

func take(c *counters, name string) usage {
	w := c.calendars.windowsAt(0)
	return c.takeNamed([]byte(name), &[numPeriods]float64{1: 5}, &w, false)
}
