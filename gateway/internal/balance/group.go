package balance

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// pool is an upstream over reloads.
type pool struct {
	// version counts the changes of its targets' health.
	version atomic.Uint64
	// turn counts the requests, for those who take turns.
	turn atomic.Uint64
}

// target is a server of an upstream over reloads: its health, and its load.
type target struct {
	address string
	hash    uint64
	pool    *pool
	load    load
	health
}

// member is a target with its weight.
type member struct {
	*target
	weight int
	id     string
}

// group is an upstream of a configuration.
type group struct {
	set      *Set
	upstream *entity.Upstream
	pool     *pool
	all      []member // as they are in the file
	members  []member // those that can get something
	passive  passive
	trials   bool // nobody but a request finds out that a target is healthy again
	hash     [2]hashInput
	counts   bool // how many exchanges are under way

	view atomic.Pointer[view]
	mu   sync.Mutex // of those who make a view
}

// newGroup makes a group, with what is known of its targets; the caller holds the set's lock.
func (s *Set) newGroup(u *entity.Upstream) *group {
	g := &group{set: s, upstream: u, pool: s.pools[u.Name], passive: newPassive(&u.Healthchecks.Passive)}
	if g.pool == nil {
		g.pool = &pool{}
	}
	for _, t := range u.Targets {
		known := s.targets[targetKey{u.Name, t.Target}]
		if known == nil {
			known = &target{address: t.Target, hash: mix(hashOf(t.Target)), pool: g.pool}
		}
		g.all = append(g.all, member{known, t.Weight, t.ID})
	}
	for _, m := range g.all {
		if m.weight > 0 {
			g.members = append(g.members, m)
		}
	}
	a := &u.Healthchecks.Active
	g.trials = a.Unhealthy.Interval <= 0 || a.Healthy.Successes <= 0
	g.counts = u.Algorithm == "least-connections" || u.Algorithm == "latency"
	g.hash = hashInputs(u)
	return g
}

// checked reports whether anything can make a target unhealthy.
func (g *group) checked() bool { return g.passive.on() || activeOn(&g.upstream.Healthchecks.Active) }

// view is what there is to choose from until the health of a target changes.
type view struct {
	version uint64
	up      []int // healthy members
	down    []int // others
	// turns are members in the order in which they take turns.
	turns []uint32
	// enough says that the part of the weight that is healthy reaches the threshold.
	enough bool
}

// look returns the view of now.
func (g *group) look() *view {
	if v := g.view.Load(); v != nil && v.version == g.pool.version.Load() {
		return v
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v := &view{version: g.pool.version.Load()} // before the health is read: what changes meanwhile is seen by the next
	if old := g.view.Load(); old != nil && old.version == v.version {
		return old
	}
	up, total := 0, 0
	for i, m := range g.members {
		total += m.weight
		if m.down.Load() {
			v.down = append(v.down, i)
			continue
		}
		up += m.weight
		v.up = append(v.up, i)
	}
	v.enough = up > 0 && float64(up)*100 >= g.upstream.Healthchecks.Threshold*float64(total)
	v.turns = turns(g.members, v.up)
	g.view.Store(v)
	return v
}

// maxTurns bounds the order of turns, and with it how exactly weights without a common divisor are kept.
const maxTurns = 1 << 14

// turns computes one round of smooth weighted round-robin: the member that is furthest behind its share is next, so
// that the turns of each are spread over the round.
func turns(members []member, up []int) []uint32 {
	if len(up) == 0 {
		return nil
	}
	weights, total, divisor := make([]int, len(up)), 0, 0
	for k, i := range up {
		weights[k] = members[i].weight
		total += weights[k]
		divisor = gcd(divisor, weights[k])
	}
	total /= divisor
	longest := max(len(up), min(maxTurns, (1<<20)/len(up))) // the work is both multiplied
	scale := 1 / float64(divisor)
	if total > longest {
		scale *= float64(longest) / float64(total)
	}
	total = 0
	for k := range weights {
		weights[k] = max(1, int(math.Round(float64(weights[k])*scale)))
		total += weights[k]
	}
	round, credit := make([]uint32, total), make([]int, len(up))
	for n := range round {
		best := 0
		for k := range credit {
			credit[k] += weights[k]
			if credit[k] > credit[best] {
				best = k
			}
		}
		credit[best] -= total
		round[n] = uint32(up[best])
	}
	return round
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// sorted returns the members in the order of their addresses, for those who read.
func sorted(members []member) []member {
	list := slices.Clone(members)
	slices.SortStableFunc(list, func(a, b member) int { return cmp.Compare(a.address, b.address) })
	return list
}
