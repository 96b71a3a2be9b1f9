package entity

import "slices"

// Route says which requests go to a service.
type Route struct {
	Meta
	Name      string   `json:"name"`
	Protocols []string `json:"protocols"` // http and https, or grpc and grpcs
	Methods   []string `json:"methods"`   // none: all
	Hosts     []string `json:"hosts"`     // "*." in front or ".*" behind stands for labels; a port may follow
	// Paths are prefixes, or after "~" regular expressions that match at the beginning.
	Paths []string `json:"paths"`
	// Headers are the values that a header may have, by its name; all headers must match. A single value
	// that begins with "~*" is a regular expression without regard to case.
	Headers map[string][]string `json:"headers"`
	SNIs    []string            `json:"snis"`
	// RegexPriority puts routes with regular expressions in order, the highest first.
	RegexPriority int `json:"regex_priority"`
	// StripPath takes the part of the path that matched off before the request goes on.
	StripPath bool `json:"strip_path"`
	// PreserveHost sends the request's Host on instead of the service's.
	PreserveHost      bool   `json:"preserve_host"`
	RequestBuffering  bool   `json:"request_buffering"`
	ResponseBuffering bool   `json:"response_buffering"`
	PathHandling      string `json:"path_handling"` // v0 or v1: how the service's path and the rest are joined
	// HTTPSRedirectStatusCode answers a request that matches in all but its protocol: 426, 301, 302, 307, 308.
	HTTPSRedirectStatusCode int          `json:"https_redirect_status_code"`
	Service                 Ref[Service] `json:"service"`
	// Sources and Destinations are of routes for TCP, which are not served: always nil.
	Sources      []struct{} `json:"sources"`
	Destinations []struct{} `json:"destinations"`
}

// NewRoute returns a route with Kong's defaults.
func NewRoute() *Route {
	return &Route{
		Protocols: []string{"http", "https"}, StripPath: true, RequestBuffering: true, ResponseBuffering: true,
		PathHandling: "v0", HTTPSRedirectStatusCode: 426,
	}
}

// Kind is Routes.
func (r *Route) Kind() Kind { return Routes }

// Label is the name, or else the first thing that the route matches.
func (r *Route) Label() string {
	if r.Name != "" {
		return r.Name
	}
	for _, list := range [][]string{r.Paths, r.Hosts, r.Methods, r.SNIs} {
		if len(list) > 0 {
			return list[0]
		}
	}
	return r.ID
}

// GRPC reports whether the route is for gRPC.
func (r *Route) GRPC() bool {
	return slices.Contains(r.Protocols, "grpc") || slices.Contains(r.Protocols, "grpcs")
}
