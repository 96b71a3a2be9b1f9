package perdure

import (
	"errors"
	"net/http"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/live"
)

// livePart is an endpoint of package live that was added to an app.
type livePart struct {
	*live.Endpoint
	server *live.Server // once the app is open
}

// addLive adds an endpoint, and the module for pages with the first one, which holds
// nothing of the app.
func (p *parts) addLive(e *live.Endpoint, groups []auth.Policy) {
	part := &livePart{Endpoint: e}
	script := handled{
		pattern: "GET " + live.ScriptPath, handler: live.Script(),
		requires: httpapi.Requirements{auth.Anonymous()},
	}
	first := true
	for _, h := range p.handlers {
		first = first && h.pattern != script.pattern
	}
	if first {
		p.handlers = append(p.handlers, script)
	}
	p.handlers = append(p.handlers, handled{pattern: e.Pattern(), handler: part, what: "live endpoint"}.in(groups))
	p.events = append(p.events, part)
	p.addResource(e.Table())
}

func (p *livePart) resources() []resource.Resource { return []resource.Resource{p.Table()} }

func (p *livePart) register(r *running, _ binding.Env) (err error) {
	p.server, err = p.Open(live.Config{
		Env: r.env, Store: r.store, Clock: r.clock, Log: r.config.Logger,
		TrustedOrigins: r.config.TrustedOrigins, Refuse: refuseLive,
	})
	if err != nil {
		return err
	}
	r.listenTo(p.Table())
	r.services = append(r.services, p.server)
	r.endless = append(r.endless, p.server.End)
	return nil
}

func (p *livePart) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.server.ServeHTTP(w, r) }

// refuseLive answers a request that a live endpoint does not serve.
func refuseLive(w http.ResponseWriter, _ *http.Request, err error) {
	answer := (*Problem)(nil)
	switch {
	case errors.As(err, &answer):
	case errors.Is(err, live.ErrOrigin):
		answer = NewProblem(http.StatusForbidden, "A request of another site's page is refused here.")
	case errors.Is(err, live.ErrFull):
		answer = NewProblem(http.StatusServiceUnavailable, "There are too many subscribers.")
	default:
		answer = NewProblem(http.StatusForbidden, "You may not see this.")
	}
	answer.Write(w)
}
