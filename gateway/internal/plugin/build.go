package plugin

import (
	"log/slog"
	"slices"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// build is the making of a Plan.
type build struct {
	used map[stateKey]bool
	once map[string]any
}

// Plan is the instances of a configuration.
type Plan struct {
	kinds  []*kindInUse // by priority, the highest first
	commit func()
}

// kindInUse is a kind with its instances.
type kindInUse struct {
	*Kind
	byRoute   map[*entity.Route][]*instance
	byService map[*entity.Service][]*instance // and no route
	others    []*instance
}

func (k *kindInUse) add(in *instance) {
	switch e := in.entity; {
	case e.Route.Set():
		k.byRoute[e.Route.To] = append(k.byRoute[e.Route.To], in)
	case e.Service.Set():
		k.byService[e.Service.To] = append(k.byService[e.Service.To], in)
	default:
		k.others = append(k.others, in)
	}
}

// instance is a plugin of a configuration, made.
type instance struct {
	phases
	entity *entity.Plugin
}

// Build makes the instances of the plugins of a compiled configuration that are enabled, and says what is wrong
// with them. The plan is nil if there is an error. Call its Commit once the configuration is the one in use.
func (r *Registry) Build(c *entity.Config, env Environment) (*Plan, []entity.Problem) {
	if env.State == nil {
		env.State = NewState()
	}
	if env.Clock == nil {
		env.Clock = clock.System()
	}
	if env.Log == nil {
		env.Log = slog.New(slog.DiscardHandler)
	}
	b := &build{used: map[stateKey]bool{}, once: map[string]any{}}
	plan := &Plan{commit: func() { env.State.drop(b.used) }}
	kinds := map[*Kind]*kindInUse{}
	var problems []entity.Problem
	for _, p := range c.Plugins {
		k := r.kinds[p.Name]
		if !p.Enabled || k == nil {
			continue // that there is none has been said by Compile
		}
		if k.NoConsumer && p.Consumer.Set() {
			problems = entity.Bound(problems, problem(p, "consumer", "the plugin "+k.Name+" cannot be bound to a consumer"))
			continue
		}
		made, err := k.New(Setup{Environment: env, Config: c, Plugin: p, Values: p.Config, build: b})
		if err != nil {
			problems = entity.Bound(problems, problem(p, "config", err.Error()))
			continue
		}
		ph, ok := phasesOf(made)
		if !ok {
			panic("plugin: an instance of " + k.Name + " has no phase")
		}
		if kinds[k] == nil {
			kinds[k] = &kindInUse{Kind: k, byRoute: map[*entity.Route][]*instance{}, byService: map[*entity.Service][]*instance{}}
			plan.kinds = append(plan.kinds, kinds[k])
		}
		kinds[k].add(&instance{ph, p})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	slices.SortFunc(plan.kinds, func(a, b *kindInUse) int { return b.Priority - a.Priority })
	return plan, nil
}

func problem(p *entity.Plugin, field, message string) entity.Problem {
	return entity.Problem{
		Severity: entity.Error, File: p.Source.File, Line: p.Source.At(field), Entity: entity.Describe(p), Message: field + ": " + message,
	}
}

// Commit forgets what only earlier configurations had use for.
func (p *Plan) Commit() { p.commit() }

// closeness orders the ways in which a plugin can be bound, Kong's order; the lowest is taken. The index has bits
// for route, service and consumer.
var closeness = [8]int{
	0b111: 0, 0b101: 1, 0b011: 2, 0b110: 3, 0b001: 4, 0b100: 5, 0b010: 6, 0b000: 7,
}

// binding returns the bits of a plugin.
func binding(p *entity.Plugin) (bits int) {
	if p.Route.Set() {
		bits |= 0b100
	}
	if p.Service.Set() {
		bits |= 0b010
	}
	if p.Consumer.Set() {
		bits |= 0b001
	}
	return bits
}

// Attach adds the plugins of a route to a chain: those bound to it, to its service, and to all. A route of nil
// is none: those bound to all, of which Kong asks those that filter heads and log alone when no route matches.
func (p *Plan) Attach(route *entity.Route, chain *proxy.Chain) {
	for _, k := range p.kinds {
		if s := k.slot(route); s != nil {
			s.attach(chain)
		}
	}
}

// Names returns the plugins that a route has, in the order in which they are asked: for explain.
func (p *Plan) Names(route *entity.Route) (names []string) {
	for _, k := range p.kinds {
		if k.slot(route) != nil {
			names = append(names, k.Name)
		}
	}
	return names
}

// Attached is a plugin that a route has.
type Attached struct {
	Name string
	// Entity is where it is configured, for everybody or, if there is nothing for everybody, for one of the consumers who have
	// settings of their own.
	Entity *entity.Plugin
	// Decides says that it is asked before a request goes on, and not alone about answers or at the end.
	Decides bool
}

// Attached returns the plugins that a route has, in the order in which they are asked. A consumer who is known may have settings
// of its own; nil is nobody. For a route of nil none decides.
func (p *Plan) Attached(route *entity.Route, consumer *entity.Consumer) (list []Attached) {
	for _, k := range p.kinds {
		s := k.slot(route)
		if s == nil {
			continue
		}
		in := s.all
		if own := s.consumers[consumer]; consumer != nil && own != nil {
			in = own
		}
		for _, other := range s.consumers {
			if in == nil {
				in = other
			}
		}
		list = append(list, Attached{k.Name, in.entity, in.access != nil && route != nil})
	}
	return list
}

// slot finds the instances of a kind that requests of a route can have.
func (k *kindInUse) slot(route *entity.Route) *slot {
	s := &slot{name: k.Name}
	var service *entity.Service
	if route != nil {
		service = route.Service.To
	}
	if route != nil {
		for _, in := range k.byRoute[route] {
			if e := in.entity; !e.Service.Set() || e.Service.To == service {
				s.add(in)
			}
		}
	}
	if service != nil {
		for _, in := range k.byService[service] {
			s.add(in)
		}
	}
	for _, in := range k.others {
		s.add(in)
	}
	if s.all == nil && s.consumers == nil {
		return nil
	}
	for c, in := range s.consumers {
		s.consumers[c] = closer(in, s.all)
	}
	return s
}

func (s *slot) add(in *instance) {
	c := in.entity.Consumer
	if !c.Set() {
		s.all = closer(s.all, in)
		return
	}
	if s.consumers == nil {
		s.consumers = map[*entity.Consumer]*instance{}
	}
	s.consumers[c.To] = closer(s.consumers[c.To], in)
}

// closer returns the one that is bound more closely.
func closer(a, b *instance) *instance {
	if a == nil || b != nil && closeness[binding(b.entity)] < closeness[binding(a.entity)] {
		return b
	}
	return a
}

// slot is the place of a kind in the chain of a route: which instance is there depends on the consumer.
type slot struct {
	name      string
	all       *instance
	consumers map[*entity.Consumer]*instance
}

func (s *slot) attach(chain *proxy.Chain) {
	if s.consumers == nil {
		if s.all.access != nil {
			chain.Access = append(chain.Access, s.all.access)
		}
		if s.all.filter != nil {
			chain.Filters = append(chain.Filters, s.all.filter)
		}
		if s.all.log != nil {
			chain.Log = append(chain.Log, s.all.log)
		}
		return
	}
	chain.Access = append(chain.Access, s)
	chain.Filters = append(chain.Filters, s)
	chain.Log = append(chain.Log, s)
}

func (s *slot) pick(x *proxy.Exchange) *instance {
	if c, ok := x.Consumer.(*entity.Consumer); ok && c != nil {
		if in, ok := s.consumers[c]; ok {
			return in
		}
	}
	return s.all
}

// Access chooses by the consumer who is known when it is the plugin's turn. Later phases have the same instance.
func (s *slot) Access(x *proxy.Exchange) {
	in := s.pick(x)
	if in == nil {
		return
	}
	x.SetValue(s, in)
	if in.access != nil {
		in.access.Access(x)
	}
}

func (s *slot) chosen(x *proxy.Exchange) *instance {
	if in, ok := x.Value(s).(*instance); ok {
		return in
	}
	return s.pick(x)
}

// HeaderFilter implements proxy.HeaderFilter.
func (s *slot) HeaderFilter(x *proxy.Exchange) {
	if in := s.chosen(x); in != nil && in.filter != nil {
		in.filter.HeaderFilter(x)
	}
}

// Log implements proxy.Log.
func (s *slot) Log(x *proxy.Exchange) {
	if in := s.chosen(x); in != nil && in.log != nil {
		in.log.Log(x)
	}
}
