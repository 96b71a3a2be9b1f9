package observe

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/gateway/internal/router"
)

// Report tells what has become of a request, or would become of it, and why. Its form in JSON stays: fields are added, none is
// renamed.
type Report struct {
	// ID is the request's, as in X-Kong-Request-Id and in the access log.
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	// DryRun says that nobody has sent the request: nothing was counted, and nothing reached an upstream.
	DryRun bool `json:"dry_run,omitempty"`
	// Verdict is the answer and its reason in one sentence.
	Verdict string  `json:"verdict"`
	Client  Client  `json:"client"`
	Request Request `json:"request"`
	// Credentials are what somebody may be known by, as far as it came.
	Credentials []Credential `json:"credentials,omitempty"`
	// Route is null if none matches; Reason says why it is this one, or that there is none. Near are others that nearly matched.
	Route  *Route `json:"route"`
	Reason string `json:"reason,omitempty"`
	Near   []Near `json:"near,omitempty"`
	// Service is what the route leads to.
	Service *Service `json:"service,omitempty"`
	// Plugins are those of the route in the order in which they are asked, with what each decided.
	Plugins []Plugin `json:"plugins,omitempty"`
	// Consumer is who is known to ask, null for nobody.
	Consumer *Consumer `json:"consumer"`
	// Notes are reasons that are none of a plugin's, the balancer's for example.
	Notes    []string `json:"notes,omitempty"`
	Upstream Upstream `json:"upstream"`
	Answer   Answer   `json:"answer"`
	Timings  Timings  `json:"timings"`
	// Stale says that the configuration has changed since, so that reasons of the route may be those of the new one.
	Stale bool `json:"stale,omitempty"`
}

// Client is who the request is from.
type Client struct {
	Address string `json:"address"`
	// Proxy is the trusted proxy that it came by.
	Proxy string `json:"proxy,omitempty"`
}

// Request is what was asked, without secrets.
type Request struct {
	Method   string `json:"method"`
	Scheme   string `json:"scheme"`
	Host     string `json:"host"`
	Path     string `json:"path"`
	Query    string `json:"query,omitempty"`
	Protocol string `json:"protocol"`
	// Fields are header fields, those alone that cannot be secret, as the plugins left them.
	Fields []Field `json:"fields,omitempty"`
}

// Field is a header field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Added says that the client has not sent it so: the gateway or one of its plugins has set it.
	Added bool `json:"added,omitempty"`
}

// Route is the route of the request.
type Route struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	// Source is file and line.
	Source string `json:"source,omitempty"`
	// Path is the path of the route that matched, "" if it has none.
	Path string `json:"path,omitempty"`
}

// Near is a route that is not the one, and why.
type Near struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Source string `json:"source,omitempty"`
	Path   string `json:"path,omitempty"`
	Reason string `json:"reason"`
}

// Service is a service.
type Service struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Source string `json:"source,omitempty"`
	URL    string `json:"url"`
}

// Decision is what a plugin has done with a request.
type Decision string

// The decisions.
const (
	// Refused: it answered, and the request went nowhere.
	Refused Decision = "refused"
	// Answered: it answered, without refusing.
	Answered Decision = "answered"
	// Passed: it let the request go on.
	Passed Decision = "passed"
	// NotAsked: the request had been answered before it was its turn.
	NotAsked Decision = "not asked"
	// AnswerOnly: it changes answers or counts them, and decides nothing.
	AnswerOnly Decision = "answers only"
)

// Plugin is a plugin of the route.
type Plugin struct {
	Name     string   `json:"name"`
	Decision Decision `json:"decision"`
	// Reasons are why; of requests that were not explained, those of refusals alone.
	Reasons []string `json:"reasons,omitempty"`
	ID      string   `json:"id,omitempty"`
	Source  string   `json:"source,omitempty"`
}

// Consumer is who is asking.
type Consumer struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Source string `json:"source,omitempty"`
	// Credential is the id of the credential by which it is known, "" for the anonymous consumer.
	Credential string `json:"credential,omitempty"`
}

// Upstream is where the request went.
type Upstream struct {
	// Address is that of the last attempt, or would be that of the first; "" if it went nowhere.
	Address string `json:"address,omitempty"`
	// Host and Path are what it is asked for; an empty host is the address.
	Host     string `json:"host,omitempty"`
	Path     string `json:"path,omitempty"`
	Attempts int    `json:"attempts"`
	// Error is why there was no answer, or why it ended early.
	Error string `json:"error,omitempty"`
}

// Answer is what the client was told.
type Answer struct {
	// Status is 0 in a dry run of a request that would go to an upstream.
	Status int `json:"status"`
	// By is "gateway" or "upstream".
	By string `json:"by,omitempty"`
	// Bytes are those of the body that were sent.
	Bytes int64 `json:"bytes"`
}

// Timings are how long the parts took, in milliseconds.
type Timings struct {
	// Total is all, from the request's head to the last byte; Plugins until they had decided; Upstream from the beginning of the
	// last attempt to the head of its answer.
	Total    float64 `json:"total_ms"`
	Plugins  float64 `json:"plugins_ms"`
	Upstream float64 `json:"upstream_ms,omitempty"`
}

// NewReport tells of an exchange, which has ended or was a dry run, from why the router chose its route and from the plugins that
// the route has. Setting.Report finds both out.
func NewReport(x *proxy.Exchange, e *router.Explanation, plugins []plugin.Attached) *Report {
	return newReport(capture(x, nil), e, plugins, false)
}

func newReport(c *captured, e *router.Explanation, plugins []plugin.Attached, changed bool) *Report {
	r := &Report{
		ID: c.id, Time: c.time.UTC(), DryRun: c.dryRun, Stale: changed,
		Client: Client{Address: c.client.String()},
		Request: Request{
			Method: c.method, Scheme: c.scheme, Host: c.host, Path: c.path, Query: c.query, Protocol: protocol(c.major, c.minor),
		},
		Upstream: Upstream{Address: c.endpoint, Attempts: c.attempts, Error: c.err},
		Answer:   Answer{Status: c.status, Bytes: c.sent},
		Timings:  Timings{Total: milliseconds(c.timing.End), Plugins: milliseconds(c.timing.Access)},
	}
	if !c.client.IsValid() {
		r.Client.Address = ""
	}
	if c.peer.IsValid() && c.peer.Unmap() != c.client {
		r.Client.Proxy = c.peer.Unmap().String()
	}
	for _, f := range c.fields {
		r.Request.Fields = append(r.Request.Fields, Field{f.name, f.value, f.added})
	}
	for _, one := range c.credentials {
		r.Credentials = append(r.Credentials, one.read())
	}
	if c.endpoint != "" || c.attempts > 0 {
		r.Upstream.Host, r.Upstream.Path = c.targetHost, c.targetPath
	}
	if c.timing.Head > 0 {
		r.Timings.Upstream = milliseconds(c.timing.Head - c.timing.Sent)
	}
	if c.status != 0 {
		r.Answer.By = "upstream"
		if c.local {
			r.Answer.By = "gateway"
		}
	}
	if c.service != nil {
		r.Service = &Service{c.service.name, c.service.ID, c.service.source, c.service.url}
	}
	switch {
	case c.consumer != nil:
		r.Consumer = &Consumer{c.consumer.name, c.consumer.ID, c.consumer.source, c.credential}
	case c.credential != "":
		r.Consumer = &Consumer{Credential: c.credential}
	}
	r.routeOf(c, e)
	r.pluginsOf(c, plugins)
	r.Verdict = r.verdict(c)
	return r
}

// routeOf tells of the route, and why it is the one.
func (r *Report) routeOf(c *captured, e *router.Explanation) {
	if c.route != nil {
		r.Route = &Route{Name: c.route.name, ID: c.route.ID, Source: c.route.source}
	}
	if e == nil || r.Stale {
		return
	}
	r.Reason = scrub(e.Reason)
	if e.Route != nil {
		if r.Route == nil {
			r.Route = &Route{Name: e.Route.Label(), ID: e.Route.ID, Source: e.Route.Source.String()}
		}
		r.Route.Path = e.Matched
	}
	for _, n := range e.Near {
		r.Near = append(r.Near, Near{n.Route.Label(), n.Route.ID, n.Route.Source.String(), n.Path, scrub(n.Reason)})
	}
}

// pluginsOf tells what each plugin has decided.
func (r *Report) pluginsOf(c *captured, plugins []plugin.Attached) {
	refuser, known := c.refuser(), map[string]bool{}
	for _, a := range plugins {
		known[a.Name] = true
	}
	asked := refuser == "" || known[refuser] // others refuse before any plugin, or after all
	if refuser == "" && c.local && c.attempts == 0 && c.status != 0 && c.err == "" && len(c.notes) > 0 {
		refuser = c.notes[len(c.notes)-1].Who // who answers without refusing speaks last
	}
	// The router refuses first, or last where there is no service.
	passed := !asked && (c.route != nil && c.service == nil || slices.ContainsFunc(c.notes, func(n proxy.Note) bool { return known[n.Who] }))
	for _, a := range plugins {
		p := Plugin{Name: a.Name, Decision: Passed}
		if a.Entity != nil {
			p.ID, p.Source = a.Entity.ID, a.Entity.Source.String()
		}
		for _, n := range c.notes {
			if n.Who == a.Name {
				p.Reasons = append(p.Reasons, n.Reason)
			}
		}
		switch {
		case a.Name == refuser && c.status >= http.StatusBadRequest:
			p.Decision, asked = Refused, false
		case a.Name == refuser:
			p.Decision, asked = Answered, false
		case !a.Decides:
			p.Decision = AnswerOnly
		case !asked && !passed && len(p.Reasons) == 0:
			p.Decision = NotAsked
		}
		r.Plugins = append(r.Plugins, p)
	}
	for _, n := range c.notes {
		if !known[n.Who] && !n.Refusal { // the verdict has it
			r.Notes = append(r.Notes, n.Who+": "+n.Reason)
		}
	}
}

// refuser is who refused the request, "" for nobody.
func (c *captured) refuser() string {
	for _, n := range c.notes {
		if n.Refusal {
			return n.Who
		}
	}
	return ""
}

func protocol(major, minor int) string {
	if major >= 2 {
		return "HTTP/" + strconv.Itoa(major)
	}
	return "HTTP/" + strconv.Itoa(major) + "." + strconv.Itoa(minor)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func joinHostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
