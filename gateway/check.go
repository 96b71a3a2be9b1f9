package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/clock"
)

// Checked is what is in files, and what is wrong with it.
type Checked struct {
	Files    []string  `json:"files"`
	Problems []Problem `json:"problems"`
	// Errors and Warnings are how many problems there are of either severity. With an error nothing of it would be used.
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	// Entities are how many there are of each kind, by the name that Kong's Admin API has for it.
	Entities map[string]int `json:"entities"`
}

// Check reads files as a gateway would, and says what is wrong with them. Plugins are a program's own.
func Check(files []string, plugins ...*Plugin) Checked {
	o := newOffline(files, plugins)
	defer o.close()
	checked := Checked{Files: o.files, Problems: o.problems, Entities: map[string]int{}}
	checked.Errors, checked.Warnings = count(o.problems, entity.Error), count(o.problems, entity.Warning)
	if o.made != nil {
		for e := range o.made.All() {
			checked.Entities[string(e.Kind())]++
		}
	}
	return checked
}

// Change is what is different in one entity: String is a line for it, and one for each field.
type Change = entity.Change

// Diff returns what would change if new were used instead of old. The error is ErrConfiguration if there are errors in either.
func Diff(old, new []string, plugins ...*Plugin) ([]Change, error) {
	was := newOffline(old, plugins)
	defer was.close()
	is := newOffline(new, plugins)
	defer is.close()
	for _, o := range []*offline{was, is} {
		if o.made == nil {
			return nil, &configurationError{o.problems}
		}
	}
	return entity.Diff(was.made.Config, is.made.Config), nil
}

// Route is a route of a gateway, as it is listed.
type Route struct {
	Name      string              `json:"name"`
	ID        string              `json:"id"`
	Protocols []string            `json:"protocols"`
	Methods   []string            `json:"methods,omitempty"` // none: all
	Hosts     []string            `json:"hosts,omitempty"`   // none: all
	Paths     []string            `json:"paths,omitempty"`   // none: all; after "~" regular expressions
	Headers   map[string][]string `json:"headers,omitempty"`
	SNIs      []string            `json:"snis,omitempty"`
	StripPath bool                `json:"strip_path"`
	// Service is the name of the service, and URL where it is: an address, or the name of an upstream.
	Service string `json:"service"`
	URL     string `json:"url"`
	// Targets are the addresses of the upstream.
	Targets []string `json:"targets,omitempty"`
	// Plugins are those that the requests of the route meet, in the order in which they are asked.
	Plugins []string `json:"plugins"`
	File    string   `json:"file"`
	Line    int      `json:"line"`
}

// Routes lists the routes in files, in their order. The error is ErrConfiguration if there are errors.
func Routes(files []string, plugins ...*Plugin) ([]Route, error) {
	o := newOffline(files, plugins)
	defer o.close()
	if o.made == nil {
		return nil, &configurationError{o.problems}
	}
	return o.made.list(), nil
}

// Routes lists the routes in use.
func (g *Gateway) Routes() []Route { return g.current.Load().list() }

func (c *configuration) list() []Route {
	all := make([]Route, len(c.Routes))
	for i, r := range c.Routes {
		all[i] = Route{
			Name: r.Label(), ID: r.ID, Protocols: r.Protocols, Methods: r.Methods, Hosts: r.Hosts, Paths: r.Paths, Headers: r.Headers,
			SNIs: r.SNIs, StripPath: r.StripPath, Plugins: c.plugins.Names(r), File: r.Source.File, Line: r.Source.Line,
		}
		if s := r.Service.To; s != nil {
			all[i].Service, all[i].URL = s.Label(), address(s)
			if s.Upstream != nil {
				for _, t := range s.Upstream.Targets {
					all[i].Targets = append(all[i].Targets, t.Target)
				}
			}
		}
	}
	return all
}

// address is where a service is, as a URL.
func address(s *entity.Service) string {
	text := s.Protocol + "://" + s.Host
	if s.Upstream == nil {
		usual := map[string]int{"http": 80, "grpc": 80, "https": 443, "grpcs": 443}
		if s.Host == AppHost {
			text = "this app"
		} else if s.Port != usual[s.Protocol] {
			text = s.Protocol + "://" + net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
		}
	}
	return text + s.Path
}

// offline is a configuration that nobody is served by.
type offline struct {
	g        *Gateway
	made     *configuration // nil if there are errors
	files    []string
	problems []entity.Problem
}

func newOffline(files []string, plugins []*Plugin) *offline {
	o := &offline{g: assemble(Options{
		Config: Config{Files: files, Plugins: plugins, RecentRequests: -1}.WithDefaults(), Clock: clock.System(), Log: slog.New(slog.DiscardHandler),
		App: http.NotFoundHandler(), // nobody asks it
	}, nil)}
	result := o.g.watcher.Source.Load()
	o.files = result.Files
	o.made, o.problems = o.g.prepare(result)
	if o.made != nil {
		o.g.current.Store(o.made)
		o.g.server.Swap(o.made)
	}
	return o
}

func (o *offline) close() { _ = o.g.release(context.Background()) } // there are no connections
