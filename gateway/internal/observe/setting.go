package observe

import (
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/gateway/internal/router"
)

// Setting is a configuration that decides about requests, as reports need it. It is never changed.
type Setting struct {
	config  *entity.Config
	router  *router.Router
	plugins *plugin.Plan
	// What credentials are read from, by names in small letters; those of cookies as they are.
	headers, parameters map[string]bool
	cookies             []string
	// routing are the header fields that routes look at.
	routing map[string]bool
}

// NewSetting returns the setting of a configuration with its router and its plugins.
func NewSetting(c *entity.Config, r *router.Router, plugins *plugin.Plan) *Setting {
	s := &Setting{config: c, router: r, plugins: plugins, headers: map[string]bool{}, parameters: map[string]bool{}, routing: map[string]bool{}}
	cookies := map[string]bool{}
	for _, p := range c.Plugins {
		for setting, value := range p.Config {
			list, _ := value.([]any)
			if text, ok := value.(string); ok {
				list = []any{text}
			}
			for _, item := range list {
				name, ok := item.(string)
				if !ok || name == "" {
					continue
				}
				switch setting {
				case "header_names", "bearer_token_header_name":
					s.headers[strings.ToLower(name)] = true
				case "key_names":
					s.headers[strings.ToLower(name)] = true
					s.parameters[strings.ToLower(name)] = true
				case "uri_param_names", "bearer_token_query_name":
					s.parameters[strings.ToLower(name)] = true
				case "cookie_names", "bearer_token_cookie_name":
					if !cookies[name] {
						cookies[name] = true
						s.cookies = append(s.cookies, name)
					}
				}
			}
		}
	}
	for _, route := range c.Routes {
		for name := range route.Headers {
			s.routing[strings.ToLower(name)] = true
		}
	}
	return s
}

// Report tells of an exchange, one that has ended or a dry run.
func (s *Setting) Report(x *proxy.Exchange) *Report { return s.report(capture(x, s)) }

// report explains what was captured.
func (s *Setting) report(c *captured) *Report {
	e := s.router.Explain(c.routerRequest())
	var consumer *entity.Consumer
	if c.consumer != nil {
		consumer = s.config.Consumer(c.consumer.ID)
	}
	changed := c.route != nil && (e.Route == nil || e.Route.ID != c.route.ID) || c.route == nil && c.routed && e.Route != nil
	return newReport(c, &e, s.plugins.Attached(e.Route, consumer), changed)
}
