package gateway

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/balance"
	"github.com/perdure/perdure/gateway/internal/certs"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/gateway/internal/router"
)

// configuration is what was read from files, made ready to serve. It is never changed.
type configuration struct {
	*entity.Config
	router  *router.Router
	chains  []*proxy.Chain // by the index of the route
	none    *proxy.Chain   // of requests without a route
	plugins *plugin.Plan
	servers *balance.Plan
	certs   *certs.Plan
	setting *observe.Setting
	traces  *observe.Traces // nil if no spans are made
	tlsPort string          // empty if there is none
}

// build makes a configuration ready. It touches nothing that is in use; commit does.
func (g *Gateway) build(c *entity.Config) (*configuration, []entity.Problem) {
	made := &configuration{Config: c, tlsPort: g.tlsPort, traces: g.traces}
	var problems, more []entity.Problem
	if made.servers, problems = g.servers.Build(c); made.servers == nil {
		return nil, problems
	}
	environment := plugin.Environment{State: g.state, Clock: g.options.Clock, Log: g.options.Log, Balancer: made.servers.Balancer}
	made.plugins, more = g.registry.Build(c, environment)
	if problems = append(problems, more...); made.plugins == nil {
		return nil, problems
	}
	made.certs, more = certs.Build(c, g.options.Fallback, g.now())
	if problems = append(problems, more...); made.certs == nil {
		return nil, problems
	}
	var err error
	if made.router, err = router.New(c.Routes); err != nil {
		return nil, append(problems, entity.Problem{Severity: entity.Error, Message: err.Error()})
	}
	made.setting = observe.NewSetting(c, made.router, made.plugins)
	made.chains = make([]*proxy.Chain, len(c.Routes))
	for i, r := range c.Routes {
		made.chains[i] = g.chain(made, r)
	}
	made.none = g.chain(made, nil)
	return made, problems
}

// chain is what happens to the requests of a route; nil is none.
func (g *Gateway) chain(c *configuration, r *entity.Route) *proxy.Chain {
	var attached proxy.Chain
	c.plugins.Attach(r, &attached)
	chain := &proxy.Chain{Filters: attached.Filters, Log: attached.Log}
	if g.access != nil {
		chain.Log = append(chain.Log, g.access)
	}
	if g.recent != nil {
		chain.Log = append(chain.Log, g.recent)
	}
	if g.traces != nil {
		chain.Log = append(chain.Log, g.traces)
	}
	switch {
	case r == nil: // Kong asks none of those that decide
		chain.Access = append(chain.Access, answer{http.StatusNotFound, "no Route matched with those values"})
		return chain
	case r.Service.To == nil:
		chain.Access = append(append(chain.Access, attached.Access...), answer{http.StatusServiceUnavailable, "no Service found with those values"})
		return chain
	}
	chain.Access = append(chain.Access, attached.Access...)
	chain.Balancer, chain.Retries = c.servers.Balancer(r.Service.To), c.servers.Retries(r.Service.To)
	return chain
}

// answer is the last that is asked where nothing is proxied.
type answer struct {
	status  int
	message string
}

// Access implements proxy.Access.
func (a answer) Access(x *proxy.Exchange) {
	plugin.Refuse(x, "router", a.message)
	x.AnswerMessage(a.status, a.message)
}

// routeRequest is what of an exchange decides about its route.
func routeRequest(x *proxy.Exchange) router.Request {
	q := router.Request{
		Method: x.Request.Method, Secure: x.Request.Scheme == "https", Host: x.Request.Host, Port: x.ServerPort,
		Path: x.Request.Path, Fields: x.Request.Fields,
	}
	if x.TLS != nil {
		q.SNI = x.TLS.ServerName
	}
	return q
}

// Serve implements proxy.Handler.
func (c *configuration) Serve(x *proxy.Exchange) {
	q := routeRequest(x)
	x.SetValue(configurationKey{}, c)
	if c.traces != nil {
		c.traces.Access(x)
	}
	m, ok := c.router.Match(&q)
	if !ok {
		c.none.Serve(x)
		return
	}
	x.Route = m.Route
	// Kong passes what a client says of itself where no plugin asks; behind the same name there may be a server that believes it.
	plugin.Disclaim(x)
	service := m.Route.Service.To
	if service != nil {
		x.Service = service
	}
	if m.HasCaptures() {
		captures := m // kept alone where it is needed: a copy costs memory
		x.SetValue(plugin.CapturesKey{}, &captures)
	}
	x.Target.Path, x.Target.Prefix = m.Target(service)
	if m.Route.PreserveHost {
		x.Target.Host = x.Request.Host
	}
	if router.Disguised(m.Path) {
		plugin.Refuse(x, "router", "the path has .. between an escaped slash, a backslash or a semicolon: to the upstream it may be another one")
		x.AnswerMessage(http.StatusBadRequest, "Bad request")
	} else if status := m.Redirect(q.Secure); status != 0 {
		c.redirect(x, status)
	} else if m.Route.GRPC() {
		refuseNoGRPC(x, &m, q.Secure)
	}
	c.chains[m.Index].Serve(x)
}

// configurationKey is the key of the configuration that an exchange was served by.
type configurationKey struct{}

// settingOf returns what explains an exchange, nil if it was refused before it came to a configuration.
func settingOf(x *proxy.Exchange) *observe.Setting {
	if c, ok := x.Value(configurationKey{}).(*configuration); ok {
		return c.setting
	}
	return nil
}

// redirect answers a request without TLS whose route is for https alone.
func (c *configuration) redirect(x *proxy.Exchange, status int) {
	plugin.Refuse(x, "router", "the route is for https alone")
	x.AnswerMessage(status, "Please use HTTPS protocol")
	if status == http.StatusUpgradeRequired {
		x.Response.Fields.Add("Connection", "Upgrade")
		x.Response.Fields.Add("Upgrade", "TLS/1.2, HTTP/1.1")
		return
	}
	location := "https://" + c.secureHost(x.Request.Host) + x.Request.Path
	if x.Request.HasQuery {
		location += "?" + x.Request.Query
	}
	x.Response.Fields.Add("Location", location)
}

// secureHost is where the host of a request without TLS is found with TLS: at the usual port, as Kong says, or at the gateway's
// own if the client has named a port.
func (c *configuration) secureHost(authority string) string {
	host, _, err := net.SplitHostPort(authority)
	switch {
	case err != nil:
		return authority
	case c.tlsPort != "" && c.tlsPort != "443":
		return net.JoinHostPort(host, c.tlsPort)
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}
	return host
}

// refuseNoGRPC answers what is no gRPC, or not by the right protocol, where the route is for that.
func refuseNoGRPC(x *proxy.Exchange, m *router.Match, secure bool) {
	status, message := m.GRPC(secure, x.Request.Major, x.Request.Fields.Peek("Content-Type"))
	switch status {
	case 0:
		return
	case http.StatusOK:
		x.Answer(status, "application/grpc", nil)
		x.Response.Fields.Add("grpc-status", strconv.Itoa(1))
		x.Response.Fields.Add("grpc-message", message)
	default:
		x.AnswerMessage(status, message)
	}
	plugin.Refuse(x, "router", message)
}
