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

// Split, ParseQuery and Decode are parsers of outside input.
var (
	Split      = split
	ParseQuery = parseQuery
)

// Decode decodes a body as each noun's.
func Decode(text []byte) []error {
	return []error{
		decodeObject("user", text, new(userBody)), decodeObject("client", text, new(applicationBody)),
		decodeObject("connection", text, new(connectionBody)), decodeObject("resource server", text, new(apiBody)),
		decodeObject("credential", text, new(credentialBody)),
	}
}
