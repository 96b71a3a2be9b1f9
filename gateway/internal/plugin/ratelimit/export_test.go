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
