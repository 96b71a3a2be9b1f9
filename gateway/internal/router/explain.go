package router

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

// Explanation says which route a request has, and why.
type Explanation struct {
	// Route is nil if none matches.
	Route *entity.Route
	// Path is the normal path of the request, and Matched the path of the route that matched it.
	Path, Matched string
	// Reason says what matched, and what put the route before the others that match.
	Reason string
	// Redirect is the status that leads to https, 0 if the protocol is right.
	Redirect int
	// Near are routes that nearly matched, and those that match and come later, the nearest first.
	Near []Near
}

// Near is a route that is not the one.
type Near struct {
	Route *entity.Route
	// Path is the path of it that came nearest.
	Path string
	// Reason says what does not match, or why another comes before it.
	Reason string
}

// maxNear bounds how many routes are told of.
const maxNear = 5

// verdict is how a candidate fares with a request.
type verdict struct {
	c       *candidate
	matched []string // the attributes that match
	missing []string // what does not, in words
	shared  int      // characters that path and request have in common at the beginning
	close   int      // how much of what is missing is nearly right
	// elsewhere says that the path is quite another one: nobody meant it who has a route.
	elsewhere bool
}

// Explain is Match with reasons. It looks at all routes, one by one.
func (r *Router) Explain(q *Request) Explanation {
	v := viewOf(q)
	e := Explanation{Path: v.path}
	var winner *verdict
	var later, near []verdict
	for _, c := range r.all {
		d := c.judge(&v)
		switch {
		case len(d.missing) > 0:
			near = append(near, d)
		case winner == nil:
			winner = &d
		default:
			later = append(later, d)
		}
	}
	if winner != nil {
		c := winner.c
		m := Match{Route: c.route, Index: c.index, Path: v.path, c: c}
		e.Route, e.Matched, e.Redirect = c.route, c.path, m.Redirect(q.Secure)
		e.Reason = reason(winner, later)
	} else {
		e.Reason = fmt.Sprintf("none of %s matches", count(r.all))
	}
	told := map[*entity.Route]bool{e.Route: true}
	for _, d := range later {
		if !told[d.c.route] && len(e.Near) < maxNear {
			told[d.c.route] = true
			e.Near = append(e.Near, Near{d.c.route, d.c.path, "it matches, and comes later: " + deciding(winner.c, d.c, "the other")})
		}
	}
	slices.SortStableFunc(near, func(a, b verdict) int {
		if len(a.missing) != len(b.missing) {
			return len(a.missing) - len(b.missing)
		}
		if a.close != b.close {
			return b.close - a.close
		}
		return b.shared - a.shared
	})
	for _, d := range near {
		if told[d.c.route] || len(e.Near) >= maxNear || !d.near() || winner != nil && d.elsewhere {
			continue
		}
		told[d.c.route] = true
		e.Near = append(e.Near, Near{d.c.route, d.c.path, strings.Join(d.missing, "; ")})
	}
	return e
}

// near reports whether a route may have been meant: one attribute is missing and others that say something
// match, or all that are missing are nearly right.
func (d *verdict) near() bool {
	if d.close == len(d.missing) {
		return d.close <= 2
	}
	return len(d.missing) == 1 && (d.shared > 1 || slices.ContainsFunc(d.matched, func(s string) bool { return s != "path /" }))
}

func count(all []*candidate) string {
	routes := map[int]bool{}
	for _, c := range all {
		routes[c.index] = true
	}
	if len(routes) == 1 {
		return "1 route"
	}
	return fmt.Sprintf("%d routes", len(routes))
}

// reason says why a candidate is the one.
func reason(winner *verdict, later []verdict) string {
	text := strings.Join(winner.matched, ", ")
	if text == "" {
		text = "it matches all requests"
	}
	for _, d := range later {
		if d.c.route != winner.c.route {
			return fmt.Sprintf("%s; before %s: %s", text, entity.Describe(d.c.route), deciding(winner.c, d.c, "it"))
		}
	}
	return text
}

// deciding says what puts a before b.
func deciding(a, b *candidate, who string) string {
	for i := range criteria {
		if criteria[i].compare(a, b) < 0 {
			why := criteria[i].name
			if who != "it" {
				why = strings.Replace(strings.Replace(why, "its ", "the other's ", 1), "it ", "the other ", 1)
			}
			return why
		}
	}
	return ""
}

// judge compares each attribute.
func (c *candidate) judge(v *view) verdict {
	d := verdict{c: c}
	if c.off() {
		d.close++
		d.miss("the service %s is switched off (enabled: false)", c.route.Service.To.Label())
	}
	c.judgeHost(v, &d)
	c.judgePath(v, &d)
	if len(c.methods) > 0 {
		if slices.Contains(c.methods, v.Method) {
			d.matched = append(d.matched, "method "+v.Method)
		} else {
			d.close++
			d.miss("the method %s is none of %s", v.Method, strings.Join(c.methods, ", "))
		}
	}
	for i := range c.headers {
		h := &c.headers[i]
		switch {
		case h.matches(v.Fields):
			d.matched = append(d.matched, "header "+h.name)
		case v.Fields == nil || !v.Fields.Has(h.name):
			d.close++
			d.miss("there is no header %s", h.name)
		default:
			d.close++
			d.miss("the header %s has another value than %s", h.name, strings.Join(c.route.Headers[h.name], ", "))
		}
	}
	switch {
	case len(c.snis) == 0:
	case !v.Secure:
		d.matched = append(d.matched, "SNI, which does not count without TLS")
	case c.matchesSNI(v):
		d.matched = append(d.matched, "SNI "+v.SNI)
	default:
		d.close++
		d.miss("the SNI %q is none of %s", v.SNI, strings.Join(c.snis, ", "))
	}
	return d
}

func (d *verdict) miss(format string, args ...any) {
	d.missing = append(d.missing, fmt.Sprintf(format, args...))
}

func (h host) matches(name string) bool {
	switch h.kind {
	case suffixHost:
		return len(name) > len(h.name) && strings.HasSuffix(name, h.name)
	case prefixHost:
		return len(name) > len(h.name) && strings.HasPrefix(name, h.name)
	}
	return name == h.name
}

func (c *candidate) judgeHost(v *view, d *verdict) {
	if len(c.hosts) == 0 {
		return
	}
	var ports []string
	for i, h := range c.hosts {
		if !h.matches(v.host) {
			continue
		}
		if h.port == 0 || h.port == v.Port {
			d.matched = append(d.matched, "host "+c.route.Hosts[i])
			return
		}
		ports = append(ports, fmt.Sprint(h.port))
	}
	if ports != nil {
		d.close++
		d.miss("the port is %d, not %s", v.Port, strings.Join(ports, ", "))
		return
	}
	if meant, ok := suggest.Nearest(v.host, c.route.Hosts); ok {
		d.close++
		d.miss("the host is %q, not %q", v.host, meant)
		return
	}
	d.miss("the host %q is none of %s", v.host, shorten(c.route.Hosts))
}

func shorten(list []string) string {
	if len(list) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:5], ", "), len(list)-5)
	}
	return strings.Join(list, ", ")
}

func (c *candidate) judgePath(v *view, d *verdict) {
	if c.path == "" {
		return
	}
	d.shared = common(c.literal, v.path)
	begins := d.shared == len(c.literal)
	switch {
	case !c.isRegex() && begins:
		d.matched = append(d.matched, "path "+c.path)
	case !c.isRegex() && v.path+"/" == c.literal:
		d.close++
		d.miss("the path %s lacks the slash at the end of %s", v.path, c.path)
	case c.regex != nil && c.regex.MatchString(v.path), c.exact && v.path == c.literal:
		d.matched = append(d.matched, "path "+c.path)
	case c.exact && v.path == c.literal+"/", c.regex != nil && strings.HasSuffix(v.path, "/") && c.regex.MatchString(v.path[:len(v.path)-1]):
		d.close++
		d.miss("the path %s has a slash at the end, which %s does not allow", v.path, c.path)
	case c.literal != "" && len(v.path) >= len(c.literal) && strings.EqualFold(v.path[:len(c.literal)], c.literal):
		if begins {
			d.miss("the path %s does not match %s", v.path, c.path)
		} else {
			d.close++
			d.miss("the path %s differs from %s in capital letters", v.path, c.path)
		}
	default:
		if _, ok := suggest.Nearest(v.path, []string{c.literal}); ok {
			d.close++
		} else {
			d.elsewhere = true
		}
		d.miss("the path %s does not match %s", v.path, c.path)
	}
}
