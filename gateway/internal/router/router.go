package router

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
)

// Router finds routes. It is never changed, and used by many goroutines at once.
type Router struct {
	plain, suffix, prefix map[string]*tree
	any                   tree
	all                   []*candidate // by rank
}

// New compiles routes, in the order in which they stand.
func New(routes []*entity.Route) (*Router, error) {
	r := &Router{plain: map[string]*tree{}, suffix: map[string]*tree{}, prefix: map[string]*tree{}}
	var errs []error
	for i, route := range routes {
		found, err := candidates(route, i)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", entity.Describe(route), err))
			continue
		}
		for _, c := range found {
			c.order = len(r.all)
			r.all = append(r.all, c)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(r.all, compare)
	for rank, c := range r.all {
		if c.rank = rank; c.off() {
			continue // explain knows it
		}
		if len(c.hosts) == 0 {
			r.any.insert(c.literal, place{c: c})
		}
		for _, h := range c.hosts {
			r.tree(h).insert(c.literal, place{c, h.port})
		}
	}
	r.any.root.finish()
	for _, m := range []map[string]*tree{r.plain, r.suffix, r.prefix} {
		for _, t := range m {
			t.root.finish()
		}
	}
	return r, nil
}

func (r *Router) tree(h host) *tree {
	m := [...]map[string]*tree{plainHost: r.plain, suffixHost: r.suffix, prefixHost: r.prefix}[h.kind]
	t := m[h.name]
	if t == nil {
		t = new(tree)
		m[h.name] = t
	}
	return t
}

// Match is the route of a request.
type Match struct {
	Route *entity.Route
	// Index is where the route stands among those that New was given.
	Index int
	// Path is the normal path of the request.
	Path string

	c *candidate
}

// Match finds the route of a request. It does not look at the protocols: see Redirect.
func (r *Router) Match(q *Request) (Match, bool) {
	v := viewOf(q)
	c := r.find(&v)
	if c == nil {
		return Match{Path: v.path}, false
	}
	return Match{Route: c.route, Index: c.index, Path: v.path, c: c}, true
}

func (r *Router) find(v *view) *candidate {
	var best *candidate
	if len(r.plain) > 0 {
		if t := r.plain[v.host]; t != nil {
			best = t.search(v, best)
		}
	}
	if len(r.suffix) > 0 {
		for i := 1; i < len(v.host); i++ {
			if v.host[i] == '.' {
				if t := r.suffix[v.host[i:]]; t != nil {
					best = t.search(v, best)
				}
			}
		}
	}
	if len(r.prefix) > 0 {
		for i := 0; i+1 < len(v.host); i++ {
			if v.host[i] == '.' {
				if t := r.prefix[v.host[:i+1]]; t != nil {
					best = t.search(v, best)
				}
			}
		}
	}
	return r.any.search(v, best)
}

// matches reports whether a candidate matches a request whose host is its, and whose path begins with its
// literal; whole says that it is no longer.
func (c *candidate) matches(v *view, whole bool) bool {
	if c.exact && !whole {
		return false
	}
	return (len(c.methods) == 0 || slices.Contains(c.methods, v.Method)) && c.matchesSNI(v) &&
		c.matchesHeaders(v) && (c.regex == nil || c.regex.MatchString(v.path))
}

// matchesSNI: without TLS the names do not count.
func (c *candidate) matchesSNI(v *view) bool {
	if len(c.snis) == 0 || !v.Secure {
		return true
	}
	name := lowerHost(v.SNI)
	return slices.ContainsFunc(c.snis, func(sni string) bool { return matchesName(sni, name) })
}

// matchesName compares a name with one that may have a wildcard at an end.
func matchesName(pattern, name string) bool {
	switch {
	case strings.HasPrefix(pattern, "*"):
		return len(name) > len(pattern)-1 && strings.HasSuffix(name, pattern[1:])
	case strings.HasSuffix(pattern, "*"):
		return len(name) > len(pattern)-1 && strings.HasPrefix(name, pattern[:len(pattern)-1])
	}
	return pattern == name
}

func (c *candidate) matchesHeaders(v *view) bool {
	for i := range c.headers {
		if !c.headers[i].matches(v.Fields) {
			return false
		}
	}
	return true
}

// matches reports whether one of the values that a request has is one of those that match.
func (h *header) matches(fields *h1.Fields) bool {
	if fields == nil {
		return false
	}
	for i := range fields.Len() {
		f := fields.At(i)
		if !equalFold(f.Name, h.name) {
			continue
		}
		for _, want := range h.values {
			if equalFold(f.Value, want) {
				return true
			}
		}
		if slices.ContainsFunc(h.regex, func(re *regexp.Regexp) bool { return re.Match(f.Value) }) {
			return true
		}
	}
	return false
}

// equalFold compares without regard to the case of ASCII letters.
func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(b) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}
