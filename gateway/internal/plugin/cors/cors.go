// Package cors is Kong's plugin of that name: which web pages of other origins may send requests, and read the
// answers (the CORS protocol of the Fetch standard).
package cors

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

const name = "cors"

var methods = []string{"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"}

// Kind returns the plugin.
func Kind() *plugin.Kind {
	text := &plugin.Field{Type: plugin.String}
	all := make([]any, len(methods))
	for i, m := range methods {
		all[i] = m
	}
	return &plugin.Kind{
		Name: name, Priority: 2000, NoConsumer: true, New: newInstance,
		Schema: plugin.Schema{
			Fields: []plugin.Field{
				{Name: "origins", Type: plugin.Array, Elements: &plugin.Field{Type: plugin.String, Check: checkOrigin}},
				{Name: "headers", Type: plugin.Array, Elements: text},
				{Name: "exposed_headers", Type: plugin.Array, Elements: text},
				{Name: "methods", Type: plugin.Array, Default: all, Elements: &plugin.Field{Type: plugin.String, OneOf: methods}},
				{Name: "max_age", Type: plugin.Number},
				{Name: "credentials", Type: plugin.Boolean, Default: false, Required: true},
				{Name: "private_network", Type: plugin.Boolean, Default: false, Required: true},
				{Name: "preflight_continue", Type: plugin.Boolean, Default: false, Required: true},
				{Name: "allow_origin_absent", Type: plugin.Boolean, Default: true, Required: true},
			},
			Check: check,
		},
	}
}

func checkOrigin(value any) string {
	if text := value.(string); text != "*" {
		if _, err := regexp.Compile(text); err != nil {
			return strconv.Quote(text) + " is neither * nor an origin nor a regular expression (RE2)"
		}
	}
	return ""
}

func check(v plugin.Values) []entity.FieldProblem {
	if o := origins(v); v.Bool("credentials") && o.any {
		return []entity.FieldProblem{{Field: "credentials", Warning: true,
			Message: "every web page can send requests as whoever is looking at it, and read the answers; name the origins"}}
	}
	return nil
}

// origin is one that is allowed.
type origin struct {
	plain  string         // normal, "" for a regular expression
	regex  *regexp.Regexp // of all of an origin, or of its host
	byHost bool
}

// allowed are the origins that are.
type allowed struct {
	any    bool
	single string // the only one, which is told to everybody
	list   []origin
	names  []string // as they were given
}

func origins(v plugin.Values) (a allowed) {
	list := v.Strings("origins")
	a.names = list
	if len(list) == 0 {
		a.any = true
		return a
	}
	for _, text := range list {
		if text == "*" {
			a.any = true
			return a
		}
		if !special(text) {
			normal, _ := normalize(text)
			a.list = append(a.list, origin{plain: normal})
			continue
		}
		pattern := strings.TrimSuffix(strings.TrimPrefix(text, "^"), "$")
		if re, err := regexp.Compile("^(?:" + pattern + ")$"); err == nil {
			a.list = append(a.list, origin{regex: re, byHost: !strings.Contains(text, ":")})
		}
	}
	if len(list) == 1 && !special(list[0]) {
		a.single = list[0]
	}
	return a
}

// special reports whether a text is taken for a regular expression.
func special(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".:/-", r))
	})
}

// normalize returns an origin without the port that is that of its scheme, and its host.
func normalize(text string) (normal, host string) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return text, text
	}
	normal = u.Scheme + "://" + u.Hostname()
	if strings.Contains(u.Hostname(), ":") {
		normal = u.Scheme + "://[" + u.Hostname() + "]"
	}
	if port := u.Port(); port != "" && !(u.Scheme == "http" && port == "80") && !(u.Scheme == "https" && port == "443") {
		normal += ":" + port
	}
	return normal, u.Hostname()
}

// allow returns what Access-Control-Allow-Origin says to an origin, "" for nothing.
func (a *allowed) allow(from string) string {
	switch {
	case a.any:
		return "*"
	case a.single != "":
		return a.single
	case from == "":
		return ""
	}
	normal, host := normalize(from)
	for _, o := range a.list {
		if o.regex == nil && o.plain == normal || o.regex != nil && (o.byHost && o.regex.MatchString(host) || !o.byHost && o.regex.MatchString(normal)) {
			return normal
		}
	}
	return ""
}

type instance struct {
	allowed
	headers, exposed, methods, maxAge            string
	credentials, private, proceed, withoutOrigin bool
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	p := &instance{
		allowed: origins(v), headers: strings.Join(v.Strings("headers"), ","), exposed: strings.Join(v.Strings("exposed_headers"), ","),
		methods: strings.Join(v.Strings("methods"), ","), credentials: v.Bool("credentials"), private: v.Bool("private_network"),
		proceed: v.Bool("preflight_continue"), withoutOrigin: v.Bool("allow_origin_absent"),
	}
	if n, ok := v.Number("max_age"); ok {
		p.maxAge = strconv.FormatFloat(n, 'f', -1, 64)
	}
	return p, nil
}

// preflight reports whether a browser asks whether it may send a request.
func preflight(x *proxy.Exchange) bool {
	f := x.Request.Fields
	return x.Request.Method == http.MethodOptions && len(f.Peek("Origin")) > 0 && f.Has("Access-Control-Request-Method")
}

// Access implements proxy.Access: it answers preflight requests.
func (p *instance) Access(x *proxy.Exchange) {
	if !preflight(x) {
		if from := x.Request.Fields.Get("Origin"); x.Explain && from != "" {
			x.Note(name, p.reason(from))
		}
		return
	}
	if p.proceed {
		x.Note(name, "the preflight request goes on (preflight_continue)")
		return
	}
	x.Answer(http.StatusOK, "", nil)
	from := x.Request.Fields.Get("Origin")
	p.origin(x, from)
	out := x.Response.Fields
	wanted := p.headers
	if wanted == "" {
		wanted = x.Request.Fields.Get("Access-Control-Request-Headers")
	}
	if wanted != "" {
		out.Set("Access-Control-Allow-Headers", wanted)
	}
	out.Set("Access-Control-Allow-Methods", p.methods)
	if p.maxAge != "" {
		out.Set("Access-Control-Max-Age", p.maxAge)
	}
	if p.private && string(x.Request.Fields.Peek("Access-Control-Request-Private-Network")) == "true" {
		out.Set("Access-Control-Allow-Private-Network", "true")
	}
	if x.Explain {
		x.Note(name, "answers the preflight request: "+p.reason(from))
	}
}

// reason says whether pages of an origin may read answers.
func (p *instance) reason(from string) string {
	from = from[:min(len(from), maxOrigin)]
	normal, _ := normalize(from)
	switch told := p.allow(from); {
	case p.any:
		return "all origins are allowed, " + strconv.Quote(from) + " too"
	case told != "" && told == normal, told == from && told != "":
		return "the origin " + strconv.Quote(from) + " is allowed"
	}
	return "the origin " + strconv.Quote(from) + " is not allowed, so that a browser does not show the answer to its pages; these are: " + strings.Join(p.names, ", ")
}

// maxOrigin bounds what is told of an origin.
const maxOrigin = 200

// HeaderFilter implements proxy.HeaderFilter. The answer to a preflight request has all, or is the upstream's.
func (p *instance) HeaderFilter(x *proxy.Exchange) {
	from := x.Request.Fields.Get("Origin")
	if preflight(x) || from == "" && !p.withoutOrigin {
		return
	}
	p.origin(x, from)
	if p.exposed != "" {
		x.Response.Fields.Set("Access-Control-Expose-Headers", p.exposed)
	}
}

// origin says which origin may read the answer, and whether with credentials.
func (p *instance) origin(x *proxy.Exchange, from string) {
	out := x.Response.Fields
	value := p.allow(from)
	if !p.any {
		vary(x)
	}
	switch {
	case value == "":
		out.Del("Access-Control-Allow-Origin")
	case p.any && p.credentials && from != "": // with credentials "*" means nothing
		vary(x)
		out.Set("Access-Control-Allow-Origin", from)
	default:
		out.Set("Access-Control-Allow-Origin", value)
	}
	if p.credentials && (!p.any || from != "") {
		out.Set("Access-Control-Allow-Credentials", "true")
	}
}

// vary says that the answer depends on who asks.
func vary(x *proxy.Exchange) { x.Response.Fields.Add("Vary", "Origin") }
