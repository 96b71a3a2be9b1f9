package balance

import (
	"fmt"
	"net"
	"strconv"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// Plan is the balancers of a configuration.
type Plan struct {
	set       *Set
	balancers map[*entity.Service]proxy.Balancer
	groups    map[*entity.Upstream]*group
	used      map[description]bool
	retired   bool // another plan has taken its place; guarded by the set's lock
}

// Build makes the balancers of a compiled configuration, and says what is wrong with it. The plan is nil if there
// is an error. Nothing that is in use is touched, and a plan that is not used costs nothing.
func (s *Set) Build(c *entity.Config) (*Plan, []entity.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &Plan{set: s, balancers: map[*entity.Service]proxy.Balancer{}, groups: map[*entity.Upstream]*group{}, used: map[description]bool{}}
	var problems []entity.Problem
	for _, u := range c.Upstreams {
		p.groups[u] = s.newGroup(u)
		if u.UseSRVName {
			problems = append(problems, problem(u, u.Source, "use_srv_name", entity.Warning, "has no effect: SRV records are not looked up; name the port in the target"))
		}
	}
	for _, svc := range c.Services {
		problems = append(problems, s.checkApp(svc)...)
		p.balancers[svc] = p.newBalancer(svc)
	}
	if entity.Failed(problems) {
		return nil, problems
	}
	return p, problems
}

// checkApp finds services of the app that cannot be.
func (s *Set) checkApp(svc *entity.Service) (problems []entity.Problem) {
	app := svc.Host == AppHost
	if svc.Upstream != nil {
		for _, t := range svc.Upstream.Targets {
			app = app || hostOf(t.Target) == AppHost
		}
	}
	if !app {
		return nil
	}
	if s.o.App == nil {
		problems = append(problems, problem(svc, svc.Source, "host", entity.Error,
			"%s is the app that runs in the same process as the gateway, and there is none: run the gateway within the app, or name the app's address", AppHost))
	}
	if svc.Protocol != "http" {
		problems = append(problems, problem(svc, svc.Source, "protocol", entity.Error,
			"is %s, and must be http for %s: the app in this process is asked without a connection", svc.Protocol, AppHost))
	}
	return problems
}

func problem(e entity.Entity, at entity.Source, field string, severity entity.Severity, format string, args ...any) entity.Problem {
	return entity.Problem{
		Severity: severity, File: at.File, Line: at.At(field), Entity: entity.Describe(e), Message: field + ": " + fmt.Sprintf(format, args...),
	}
}

// Balancer returns the balancer of a service, which is the same for the same service. A service that is not of the
// configuration, one that a plugin has made, gets its own as long as the plan has not been committed; its Upstream
// is one of the configuration, or nil.
func (p *Plan) Balancer(service *entity.Service) proxy.Balancer {
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	if b := p.balancers[service]; b != nil {
		return b
	}
	b := p.newBalancer(service)
	p.balancers[service] = b
	return b
}

// Retries returns how often a request to the service is tried again.
func (p *Plan) Retries(service *entity.Service) int { return service.Retries }

// newBalancer makes a balancer; the caller holds the lock.
func (p *Plan) newBalancer(s *entity.Service) proxy.Balancer {
	g := p.groups[s.Upstream]
	if g == nil {
		return &single{slot: p.newSlot(s, nil, s.Host, s.Port)}
	}
	b := &balancer{group: g, slots: make([]*slot, len(g.members))}
	for i, m := range g.members {
		host, port := split(m.address)
		b.slots[i] = p.newSlot(s, g.upstream, host, port)
	}
	return b
}

// split takes an address apart that Compile has checked.
func split(address string) (string, int) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, 0
	}
	n, _ := strconv.Atoi(port)
	return host, n
}

// Commit makes the plan the one in use: new targets are checked from now on, and endpoints that it does not have
// are closed, without touching the requests on them. Requests can be answered by the plan before.
func (p *Plan) Commit() {
	s := p.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && s.current != p {
		s.current.retired = true
	}
	p.retired = false
	s.current = p
	s.pools, s.targets = map[string]*pool{}, map[targetKey]*target{}
	for _, g := range p.groups {
		s.pools[g.upstream.Name] = g.pool
		for _, t := range g.all {
			s.targets[targetKey{g.upstream.Name, t.address}] = t.target
			if !g.checked() {
				t.revive(g, "checks were switched off")
			}
		}
	}
	for d, e := range s.endpoints {
		if !p.used[d] {
			delete(s.endpoints, d)
			e.Close()
		}
	}
	s.check()
}
