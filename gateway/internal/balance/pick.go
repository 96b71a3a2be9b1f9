package balance

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

// pick is the choice of one attempt.
type pick struct {
	x     *proxy.Exchange
	v     *view
	tried *tried // nil: none
	key   string // what the choice went by, for explain
}

// tried are the members to which the attempts of an exchange have gone.
type tried struct{ bits []uint64 }

func (t *tried) has(i int) bool { return t != nil && t.bits[i/64]&(1<<(i%64)) != 0 }
func (t *tried) add(i int)      { t.bits[i/64] |= 1 << (i % 64) }

// next counts a request; a dry run does not count.
func (g *group) next(x *proxy.Exchange) uint64 {
	if x.DryRun {
		return g.pool.turn.Load()
	}
	return g.pool.turn.Add(1) - 1
}

// roundRobin gives each member its share in turn.
func (g *group) roundRobin(p *pick) int {
	n, round := g.next(p.x), uint64(len(p.v.turns))
	for k := range round {
		if i := int(p.v.turns[(n+k)%round]); !p.tried.has(i) {
			return i
		}
	}
	return -1
}

// leastConnections chooses the member with the fewest exchanges under way for its weight.
func (g *group) leastConnections(p *pick) int {
	best, least, weight := -1, int64(0), int64(1)
	n, first := len(p.v.up), int(g.next(p.x)%uint64(len(p.v.up))) // those that are equal take turns
	for k := range n {
		i := p.v.up[(first+k)%n]
		if p.tried.has(i) {
			continue
		}
		m := &g.members[i]
		if l, w := m.load.active.Load()+1, int64(m.weight); best < 0 || l*weight < least*w {
			best, least, weight = i, l, w
		}
	}
	return best
}

// leastLatency chooses the member with the shortest expected answer: its moving average, times the exchanges that are
// under way, for its weight. One that has not answered yet is asked, but not by many at once.
func (g *group) leastLatency(p *pick) int {
	const unknown = float64(time.Hour)
	best, least := -1, math.Inf(1)
	n, first := len(p.v.up), int(g.next(p.x)%uint64(len(p.v.up)))
	now := g.set.o.Clock.Now().UnixNano()
	for k := range n {
		i := p.v.up[(first+k)%n]
		if p.tried.has(i) {
			continue
		}
		m := &g.members[i]
		active := float64(m.load.active.Load())
		cost := m.load.latency(now) * (active + 1) / float64(m.weight)
		if m.load.stamp.Load() == 0 && active > 0 {
			cost = unknown + active
		}
		if cost < least {
			best, least = i, cost
		}
	}
	return best
}

// byHash chooses by what tells requests apart. Each member draws a number for the key, by its weight, and the best
// draw wins (rendezvous hashing): when a member goes, what it had is spread over the others, and nothing else moves,
// in whatever order the members stand. Without a key the members take turns.
func (g *group) byHash(p *pick) int {
	key, ok := g.key(p)
	if !ok {
		return g.roundRobin(p)
	}
	best, least := -1, math.Inf(1)
	for _, i := range p.v.up {
		if p.tried.has(i) {
			continue
		}
		m := &g.members[i]
		draw := (float64(mix(key^m.hash)>>11) + 0.5) / (1 << 53) // within (0, 1)
		if score := -math.Log(draw) / float64(m.weight); score < least {
			best, least = i, score
		}
	}
	return best
}

// load is what a target has to do.
type load struct {
	active atomic.Int64
	// average is how long answers take in nanoseconds, the bits of a float64; stamp is when the last one came. They
	// are not changed together: a wrong guess now and then does no harm.
	average atomic.Uint64
	stamp   atomic.Int64
}

// decay is the time after which a latency counts by a third of what it did.
const decay = 10 * time.Second

// latency is the average now: it shrinks while nothing is asked, so that a target that was slow gets its chance.
func (l *load) latency(now int64) float64 {
	a := math.Float64frombits(l.average.Load())
	if a == 0 {
		return 0
	}
	return a * math.Exp(-float64(max(0, now-l.stamp.Load()))/float64(decay))
}

// observe takes an answer's time into account: what is slower than expected counts at once, what is faster by and by.
func (l *load) observe(took time.Duration, now int64) {
	last := l.stamp.Swap(now)
	sample := float64(max(took, 1))
	a := math.Float64frombits(l.average.Load())
	if a > 0 && sample < a {
		w := math.Exp(-float64(max(0, now-last)) / float64(decay))
		sample = a*w + sample*(1-w)
	}
	l.average.Store(math.Float64bits(sample))
}
