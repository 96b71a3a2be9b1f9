package management

// Route is an endpoint as tests see it.
type Route struct {
	Method, Path string
	Permissions  []string
}

// Routes are all endpoints.
func Routes() (routes []Route) {
	for _, e := range endpoints() {
		routes = append(routes, Route{e.method, prefix + e.path, e.permissions})
	}
	return routes
}

// Split cuts paths.
var Split = split
