package balance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// who decides, in the notes of an exchange.
const who = "balancer"

// single is the balancer of a service that is an address.
type single struct{ slot *slot }

// Pick implements proxy.Balancer.
func (s *single) Pick(x *proxy.Exchange) (*proxy.Endpoint, error) {
	if x.Explain {
		if s.slot.d.app {
			x.Note(who, "the app in this process")
		} else {
			x.Note(who, s.slot.d.address+", the address of the service")
		}
	}
	return s.slot.get(), nil
}

// Done implements proxy.Balancer.
func (s *single) Done(*proxy.Exchange, *proxy.Endpoint, error) {}

// balancer is that of a service whose requests go to the targets of an upstream.
type balancer struct {
	group *group
	slots []*slot // of the group's members
}

// Pick implements proxy.Balancer. A target that requests have made unhealthy and that no active check would make
// healthy again gets one request on trial after a pause. An attempt after one that failed goes to a target that was
// not tried, as long as there is one.
func (b *balancer) Pick(x *proxy.Exchange) (*proxy.Endpoint, error) {
	g := b.group
	p := pick{x: x, v: g.look()}
	if x.Attempts > 0 {
		p.tried = b.tried(x)
	}
	if len(p.v.down) > 0 && g.trials {
		if i := g.trial(&p); i >= 0 {
			b.note(&p, i, "on trial: it is unhealthy, and this request finds out whether it still is")
			return b.take(x, i), nil
		}
	}
	if !p.v.enough {
		plugin.Refuse(x, who, g.none(p.v))
		return nil, proxy.ErrNoEndpoint
	}
	i := g.choose(&p)
	if i < 0 {
		p.tried = nil // all were tried
		i = g.choose(&p)
	}
	if x.Explain {
		b.note(&p, i, g.why(&p))
	}
	return b.take(x, i), nil
}

// choose is the algorithm's choice, -1 if all healthy members were tried.
func (g *group) choose(p *pick) int {
	switch g.upstream.Algorithm { // a call through a variable would have the pick allocated
	case "least-connections":
		return g.leastConnections(p)
	case "latency":
		return g.leastLatency(p)
	case "consistent-hashing":
		return g.byHash(p)
	}
	return g.roundRobin(p)
}

// take begins an attempt.
func (b *balancer) take(x *proxy.Exchange, i int) *proxy.Endpoint {
	if b.group.counts && !x.DryRun {
		b.group.members[i].load.active.Add(1)
	}
	return b.slots[i].get()
}

// tried remembers where the last attempt went.
func (b *balancer) tried(x *proxy.Exchange) *tried {
	t, _ := x.Value(b).(*tried)
	if t == nil {
		t = &tried{make([]uint64, (len(b.slots)+63)/64)}
		x.SetValue(b, t)
	}
	if i := b.find(x.Endpoint); i >= 0 {
		t.add(i)
	}
	return t
}

// find returns the member of an endpoint, -1 if it is none of this balancer.
func (b *balancer) find(e *proxy.Endpoint) int {
	for i, s := range b.slots {
		if s.endpoint.Load() == e {
			return i
		}
	}
	return -1
}

// Done implements proxy.Balancer: the attempt counts for the target's health, and for its load.
func (b *balancer) Done(x *proxy.Exchange, e *proxy.Endpoint, err error) {
	if x.DryRun {
		return
	}
	i := b.find(e)
	if i < 0 {
		return
	}
	g := b.group
	m := &g.members[i]
	if g.counts {
		m.load.active.Add(-1)
		if took, ok := latencyOf(x, err); ok {
			m.load.observe(took, g.set.o.Clock.Now().UnixNano())
		}
	}
	g.observe(m.target, x, err)
}

// slow is what an answer that did not come counts like, at least.
const slow = time.Second

// latencyOf is how long the head of the answer took; false if nothing is to be learnt from the attempt.
func latencyOf(x *proxy.Exchange, err error) (time.Duration, bool) {
	switch {
	case proxy.FaultOf(err) != proxy.NoFault:
		return max(slow, x.Elapsed()-x.Timing.Sent), true
	case err != nil || x.Timing.Head < x.Timing.Sent:
		return 0, false
	}
	return x.Timing.Head - x.Timing.Sent, true
}

// note says for explain which member was chosen, and which could not be.
func (b *balancer) note(p *pick, i int, why string) {
	if !p.x.Explain {
		return
	}
	g := b.group
	text := g.members[i].address + ", " + why
	if p.x.Attempts > 0 {
		text += "; attempt " + strconv.Itoa(p.x.Attempts+1)
	}
	if len(p.v.down) > 0 {
		text += "; unhealthy: " + g.unhealthy(p.v)
	}
	p.x.Note(who, text)
}

// why says how a member was chosen.
func (g *group) why(p *pick) string {
	algorithm := g.upstream.Algorithm
	if algorithm == "consistent-hashing" {
		if p.key == "" {
			algorithm = "turns, for want of anything to hash"
		} else {
			algorithm += " of " + p.key
		}
	}
	return fmt.Sprintf("by %s among %d of %d targets of upstream %q", algorithm, len(p.v.up), len(g.members), g.upstream.Name)
}

// none says why there is no target to choose.
func (g *group) none(v *view) string {
	switch {
	case len(g.members) == 0:
		return fmt.Sprintf("upstream %q has no target with a weight", g.upstream.Name)
	case len(v.up) == 0:
		return fmt.Sprintf("no target of upstream %q is healthy: %s", g.upstream.Name, g.unhealthy(v))
	}
	return fmt.Sprintf("less than %v%% of the weight of upstream %q is healthy, which is its threshold: unhealthy is %s",
		g.upstream.Healthchecks.Threshold, g.upstream.Name, g.unhealthy(v))
}

// maxNamed bounds how many targets a note names.
const maxNamed = 10

func (g *group) unhealthy(v *view) string {
	var b strings.Builder
	for k, i := range slices.All(v.down) {
		if k == maxNamed {
			fmt.Fprintf(&b, " and %d more", len(v.down)-maxNamed)
			break
		}
		if k > 0 {
			b.WriteString(", ")
		}
		m := g.members[i]
		why, since := m.reason()
		fmt.Fprintf(&b, "%s since %s (%s)", m.address, since.UTC().Format(time.TimeOnly), why)
	}
	return b.String()
}
