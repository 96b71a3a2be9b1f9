package ratelimit

import (
	"crypto/sha256"
	"hash/maphash"
	"net/netip"
	"sync"
)

// counter is what somebody has used of each period.
type counter struct {
	window [numPeriods]int64
	used   [numPeriods]int64
}

// usage is what is left, counted or not.
type usage struct {
	remaining [numPeriods]float64 // before this request
	exceeded  bool                // and not counted
}

const (
	shards = 16
	// maxCounters bounds the counters of an instance: 100 bytes and the identifier each. Beyond, those that
	// count for the past are forgotten, or else any.
	maxCounters = 1 << 18
	// maxName bounds the identifiers that are kept, in bytes. Of longer ones, which somebody may make up, it is the digest.
	maxName = 64
)

// counters are those of an instance, by who is counted. They are kept over reloads.
type counters struct {
	calendars calendars
	seed      maphash.Seed
	most      int // in each shard
	shards    [shards]shard
}

type shard struct {
	sync.Mutex
	named map[string]*counter
	addrs map[netip.Addr]*counter
	_     [40]byte // a cache line of its own
}

func newCounters() *counters { return newCountersOf(maxCounters) }

func newCountersOf(most int) *counters {
	c := &counters{seed: maphash.MakeSeed(), most: most / shards}
	for i := range c.shards {
		c.shards[i].named = map[string]*counter{}
		c.shards[i].addrs = map[netip.Addr]*counter{}
	}
	return c
}

// takeNamed counts a request of somebody with a name, unless a limit is used up. The name is copied if it is new.
// A dry run counts for nothing.
func (c *counters) takeNamed(name []byte, limits *[numPeriods]float64, w *windows, dry bool) usage {
	if len(name) > maxName {
		digest := sha256.Sum256(name)
		return c.takeNamed(digest[:], limits, w, dry)
	}
	s := &c.shards[maphash.Bytes(c.seed, name)%shards]
	s.Lock()
	defer s.Unlock()
	n := s.named[string(name)]
	if dry {
		return n.look(limits, w)
	}
	if n == nil {
		makeRoom(s, s.named, c.most, limits, w)
		n = new(counter)
		s.named[string(name)] = n
	}
	return n.take(limits, w)
}

// takeAddr is takeNamed by address.
func (c *counters) takeAddr(addr netip.Addr, limits *[numPeriods]float64, w *windows, dry bool) usage {
	s := &c.shards[maphash.Comparable(c.seed, addr)%shards]
	s.Lock()
	defer s.Unlock()
	n := s.addrs[addr]
	if dry {
		return n.look(limits, w)
	}
	if n == nil {
		makeRoom(s, s.addrs, c.most, limits, w)
		n = new(counter)
		s.addrs[addr] = n
	}
	return n.take(limits, w)
}

// take counts a request in all periods that have a limit, unless one of them is used up.
func (n *counter) take(limits *[numPeriods]float64, w *windows) (u usage) {
	for i, limit := range limits {
		if limit == 0 {
			continue
		}
		if n.window[i] < w[i] { // not after it: clocks may step back
			n.window[i], n.used[i] = w[i], 0
		}
		u.remaining[i] = limit - float64(n.used[i])
		u.exceeded = u.exceeded || u.remaining[i] <= 0
	}
	if u.exceeded {
		return u
	}
	for i, limit := range limits {
		if limit != 0 {
			n.used[i]++
		}
	}
	return u
}

// look returns what take would, and counts nothing. N may be nil.
func (n *counter) look(limits *[numPeriods]float64, w *windows) usage {
	var c counter
	if n != nil {
		c = *n
	}
	return c.take(limits, w)
}

// stale reports whether a counter counts for the past alone.
func (n *counter) stale(limits *[numPeriods]float64, w *windows) bool {
	for i, limit := range limits {
		if limit != 0 && n.window[i] >= w[i] && n.used[i] > 0 {
			return false
		}
	}
	return true
}

// makeRoom forgets counters if there are too many: stale ones among the next few, or else the one of those that
// has counted the least.
func makeRoom[K comparable](s *shard, in map[K]*counter, most int, limits *[numPeriods]float64, w *windows) {
	if len(s.named)+len(s.addrs) < most {
		return
	}
	const looks = 8
	var least K
	var leastUsed int64 = -1
	looked, forgotten := 0, 0
	for key, n := range in {
		if looked++; looked > looks {
			break
		}
		if n.stale(limits, w) {
			delete(in, key)
			forgotten++
			continue
		}
		var used int64
		for _, u := range n.used {
			used = max(used, u)
		}
		if leastUsed < 0 || used < leastUsed {
			least, leastUsed = key, used
		}
	}
	if forgotten == 0 && leastUsed >= 0 {
		delete(in, least)
	}
}
