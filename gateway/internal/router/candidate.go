package router

import (
	"cmp"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// candidate is a route with one of its paths: those of a route have places of their own in the order.
type candidate struct {
	rank  int // by precedence, the first is 0
	route *entity.Route
	index int // of the route among those given

	path    string         // as configured; "" for a route without paths
	literal string         // a prefix, or what a regular expression begins with
	exact   bool           // literal is the whole path
	regex   *regexp.Regexp // nil for others
	methods []string
	hosts   []host
	headers []header
	snis    []string

	weight, headerCount int
	plainHosts          bool
	length              int // of a prefix
	order               int // among all
}

// off reports whether the service is switched off: its routes are not there then, as in Kong.
func (c *candidate) off() bool { return c.route.Service.To != nil && !c.route.Service.To.Enabled }

// host is a host of a route.
type host struct {
	kind hostKind
	name string // in lower case, without the wildcard: "example.com", ".example.com", "example."
	port uint16 // 0 is any
}

type hostKind int

const (
	plainHost hostKind = iota
	suffixHost
	prefixHost
)

// header is a header of a route with the values that match.
type header struct {
	name   string
	values []string
	regex  []*regexp.Regexp
}

// maxHeaders is from where on more headers do not count.
const maxHeaders = 255

// candidates makes those of a route.
func candidates(r *entity.Route, index int) ([]*candidate, error) {
	base := candidate{route: r, index: index, methods: r.Methods}
	for _, set := range []bool{len(r.Methods) > 0, len(r.Hosts) > 0, len(r.Headers) > 0, len(r.SNIs) > 0, len(r.Paths) > 0} {
		if set {
			base.weight++
		}
	}
	base.headerCount = min(len(r.Headers), maxHeaders)
	base.plainHosts = len(r.Hosts) > 0
	for _, text := range r.Hosts {
		h := parseHost(text)
		base.plainHosts = base.plainHosts && h.kind == plainHost
		base.hosts = append(base.hosts, h)
	}
	for _, name := range sortedKeys(r.Headers) {
		h, err := parseHeader(name, r.Headers[name])
		if err != nil {
			return nil, err
		}
		base.headers = append(base.headers, h)
	}
	for _, sni := range r.SNIs {
		base.snis = append(base.snis, lowerHost(sni))
	}
	if len(r.Paths) == 0 {
		return []*candidate{&base}, nil
	}
	all := make([]*candidate, 0, len(r.Paths))
	for _, path := range r.Paths {
		c := base
		c.path = path
		if err := c.parsePath(path); err != nil {
			return nil, err
		}
		all = append(all, &c)
	}
	return all, nil
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func parseHost(text string) host {
	name, port := splitPort(text)
	name = lowerHost(name)
	switch {
	case strings.HasPrefix(name, "*"):
		return host{suffixHost, name[1:], port}
	case strings.HasSuffix(name, "*"):
		return host{prefixHost, name[:len(name)-1], port}
	}
	return host{plainHost, name, port}
}

func parseHeader(name string, values []string) (header, error) {
	h := header{name: name}
	for _, v := range values {
		pattern, ok := strings.CutPrefix(v, "~*")
		if !ok {
			h.values = append(h.values, v)
			continue
		}
		re, err := regexp.Compile("(?i:" + pattern + ")")
		if err != nil {
			return h, fmt.Errorf("headers.%s: %q is no regular expression: %w", name, pattern, err)
		}
		h.regex = append(h.regex, re)
	}
	return h, nil
}

// parsePath reads a path. A regular expression matches at the beginning, all of its alternatives.
func (c *candidate) parsePath(path string) error {
	pattern, ok := strings.CutPrefix(path, "~")
	if !ok {
		c.literal = Normalize(path)
		c.length = len(path)
		return nil
	}
	bare, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("paths: %q is no regular expression: %w", pattern, err)
	}
	if c.literal, c.exact = exactly(pattern); c.exact {
		return nil
	}
	c.literal, _ = bare.LiteralPrefix()
	// "." is a line break as well: what comes as %0A is one, and leads past no route.
	c.regex, err = regexp.Compile("^(?s:" + pattern + ")")
	return err
}

// exactly reports whether a regular expression is a text and the end, as that of an Ingress' exact path.
func exactly(pattern string) (string, bool) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || parsed.Op != syntax.OpConcat || len(parsed.Sub) != 2 {
		return "", false
	}
	text, end := parsed.Sub[0], parsed.Sub[1]
	if text.Op != syntax.OpLiteral || text.Flags&syntax.FoldCase != 0 || end.Op != syntax.OpEndText {
		return "", false
	}
	return string(text.Rune), true
}

// isRegex reports whether the path is a regular expression, also one that is compared as text.
func (c *candidate) isRegex() bool { return c.exact || c.regex != nil }

// criteria are what decides between two routes that match, in this order.
var criteria = []struct {
	name    string
	compare func(a, b *candidate) int // negative: a is first
}{
	{"it has more attributes", func(a, b *candidate) int { return b.weight - a.weight }},
	{"its hosts have no wildcard", func(a, b *candidate) int { return compareBool(a.plainHosts, b.plainHosts) }},
	{"it has more headers", func(a, b *candidate) int { return b.headerCount - a.headerCount }},
	{"its path is a regular expression", func(a, b *candidate) int { return compareBool(a.isRegex(), b.isRegex()) }},
	{"its regex_priority is higher", func(a, b *candidate) int {
		if !a.isRegex() || !b.isRegex() {
			return 0
		}
		return cmp.Compare(b.route.RegexPriority, a.route.RegexPriority)
	}},
	{"its path is longer", func(a, b *candidate) int { return b.length - a.length }},
	{"it is older", func(a, b *candidate) int { return cmp.Compare(a.route.CreatedAt, b.route.CreatedAt) }},
	{"it stands first", func(a, b *candidate) int { return a.order - b.order }},
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// compare orders candidates by precedence.
func compare(a, b *candidate) int {
	for i := range criteria {
		if n := criteria[i].compare(a, b); n != 0 {
			return n
		}
	}
	return 0
}
