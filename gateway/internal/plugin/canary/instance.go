package canary

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/balance"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/gateway/internal/router"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/suggest"
)

// instance is the plugin with its settings.
type instance struct {
	clock clock.Clock
	log   *slog.Logger
	label string // of the plugin, for the log
	state *state

	sides    map[*entity.Service]*side // by the old service
	canaries map[*entity.Service]bool
	fallback bool

	header, cookie string // that say always or never
	sticky         string
	salt           uint64 // so that it is not always the same who are first
	hash           string
	hashHeader     string
	groups         []string

	fixed    bool
	share    float64 // of 1, if fixed
	start    time.Time
	duration time.Duration
	steps    float64

	backoff *rule // nil: none
}

// side is the canary of a service.
type side struct {
	old, canary *entity.Service
	balancer    proxy.Balancer
	// oldBase and base are the paths of both services as they stand in a request line, without a "/" at the end.
	oldBase, base string
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	p := &instance{
		clock: s.Clock, log: s.Log, label: s.Plugin.Label(), fallback: v.Bool("upstream_fallback"),
		header: v.String("canary_by_header_name"), cookie: v.String("canary_by_cookie_name"), sticky: v.String("sticky"),
		hash: v.String("hash"), hashHeader: v.String("hash_header"), groups: v.Strings("groups"), sides: map[*entity.Service]*side{}, canaries: map[*entity.Service]bool{},
		salt: balance.Hash(0, entity.MetaOf(s.Plugin).ID),
	}
	p.steps, _ = v.Number("steps")
	p.share, p.fixed = v.Number("percentage")
	p.share /= 100
	p.duration = seconds(v, "duration")
	if rate, ok := v.Number("max_error_rate"); ok {
		p.backoff = &rule{rate: rate / 100, window: seconds(v, "window"), pause: seconds(v, "pause")}
	}
	// Another canary begins anew: what is known of one says nothing of the next.
	port, _ := v.Number("upstream_port")
	p.state = plugin.Keep(s, fmt.Sprint(v.String("service"), " ", v.String("upstream_host"), " ", port, " ", v.String("upstream_uri")), func() *state {
		return &state{seen: s.Clock.Now()}
	})
	p.start = p.state.seen
	if start, ok := v.Number("start"); ok {
		p.start = time.UnixMilli(int64(start * 1000))
	}
	return p, p.connect(s)
}

func seconds(v plugin.Values, name string) time.Duration {
	n, _ := v.Number(name)
	return time.Duration(n * float64(time.Second))
}

// connect makes the canaries of all services whose requests the plugin can see.
func (p *instance) connect(s plugin.Setup) error {
	var to *entity.Service
	if key := s.Values.String("service"); key != "" {
		found, ok := s.Config.Lookup(entity.Services, key).(*entity.Service)
		if !ok {
			var names []string
			for _, svc := range s.Config.Services {
				names = append(names, svc.Label())
			}
			return fmt.Errorf("service: there is no service %q%s", key, suggest.Hint(key, names))
		}
		to = found
	}
	if s.Values.String("upstream_host") == balance.AppHost {
		return fmt.Errorf("upstream_host: for the app in this process, declare a service with the host %s, and name it as service", balance.AppHost)
	}
	services := s.Config.Services
	switch {
	case s.Plugin.Service.Set():
		services = []*entity.Service{s.Plugin.Service.To}
	case s.Plugin.Route.Set():
		services = []*entity.Service{s.Plugin.Route.To.Service.To}
	}
	for _, old := range services {
		switch {
		case old == nil:
			return fmt.Errorf("the route has no service, to which requests go that the canary does not get")
		case old == to && len(services) == 1:
			return fmt.Errorf("service: %q is where the requests go already: name the new service", to.Label())
		case old == to:
			continue
		}
		canary := to
		if canary == nil {
			canary = derive(s, old)
		}
		made := &side{old: old, canary: canary, oldBase: base(old), base: base(canary)}
		if s.Balancer != nil {
			made.balancer = s.Balancer(canary)
			if p.fallback {
				made.balancer = &fallback{made, made.balancer, s.Balancer(old)}
			}
		}
		p.sides[old], p.canaries[canary] = made, true
	}
	return nil
}

// derive makes the service that upstream_host, upstream_port and upstream_uri say: all else is the old one's.
func derive(s plugin.Setup, old *entity.Service) *entity.Service {
	made := *old
	made.Name = old.Label() + ".canary"
	made.ID = ""
	if host := s.Values.String("upstream_host"); host != "" {
		made.Host = host
		made.Upstream, _ = s.Config.Lookup(entity.Upstreams, host).(*entity.Upstream)
		if made.Upstream != nil && made.Upstream.Name != host { // found by its id
			made.Upstream = nil
		}
	}
	if port, ok := s.Values.Number("upstream_port"); ok {
		made.Port = int(port)
	}
	if path := s.Values.String("upstream_uri"); path != "" {
		made.Path = path
	}
	made.ID = entity.DeriveID(&made, 1)
	return &made
}

func base(s *entity.Service) string { return router.Escape(strings.TrimSuffix(s.Path, "/")) }

// turn sends an exchange to the canary.
func (s *side) turn(x *proxy.Exchange) {
	x.Service, x.Balancer = s.canary, s.balancer
	if s.base == s.oldBase {
		return
	}
	if f, ok := s.balancer.(*fallback); ok {
		x.SetValue(f, x.Target.Path)
	}
	x.Target.Path = rebase(x.Target.Path, s.oldBase, s.base)
}

// rebase gives a path that begins with the path of a service that of another.
func rebase(path, old, base string) string {
	rest, found := strings.CutPrefix(path, old)
	if !found { // another plugin has set it
		rest = path
	}
	if base+rest == "" {
		return "/"
	}
	if base == "" && rest[0] != '/' {
		return "/" + rest
	}
	return base + rest
}

// fallback is the balancer of a canary whose requests go to the old service while it has no healthy server.
type fallback struct {
	*side
	toCanary, toOld proxy.Balancer
}

// Pick implements proxy.Balancer.
func (f *fallback) Pick(x *proxy.Exchange) (*proxy.Endpoint, error) {
	if x.Service != f.canary {
		return f.toOld.Pick(x)
	}
	e, err := f.toCanary.Pick(x)
	if !errors.Is(err, proxy.ErrNoEndpoint) {
		return e, err
	}
	x.Note(name, "goes to the old service after all, as upstream_fallback says")
	x.Service = f.old
	if path, ok := x.Value(f).(string); ok {
		x.Target.Path = path
	}
	return f.toOld.Pick(x)
}

// Done implements proxy.Balancer.
func (f *fallback) Done(x *proxy.Exchange, e *proxy.Endpoint, err error) {
	if x.Service == f.canary {
		f.toCanary.Done(x, e, err)
		return
	}
	f.toOld.Done(x, e, err)
}

// inGroups reports whether somebody is in one of the groups; false for known if nobody knows.
func (p *instance) inGroups(x *proxy.Exchange) (in, known bool) {
	if c := plugin.Consumer(x); c != nil {
		return slices.ContainsFunc(c.Groups, func(g *entity.ACLGroup) bool { return slices.Contains(p.groups, g.Group) }), true
	}
	if g, ok := x.Credential.(plugin.Grouped); ok {
		return slices.ContainsFunc(g.Groups(), func(group string) bool { return slices.Contains(p.groups, group) }), true
	}
	return false, false
}
