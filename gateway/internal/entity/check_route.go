package entity

import (
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
)

func (l *linker) checkService(s *Service) {
	if s.Name != "" {
		l.checkName(s, "name", s.Name)
	}
	l.checkProtocol(s, "protocol", s.Protocol)
	l.checkHost(s, "host", s.Host)
	l.checkRange(s, "port", float64(s.Port), 0, 65535)
	l.checkRange(s, "retries", float64(s.Retries), 0, 32767)
	const longest = 1<<31 - 2
	l.checkRange(s, "connect_timeout", float64(s.ConnectTimeout), 1, longest)
	l.checkRange(s, "write_timeout", float64(s.WriteTimeout), 1, longest)
	l.checkRange(s, "read_timeout", float64(s.ReadTimeout), 1, longest)
	if s.Path != "" {
		l.checkPath(s, "path", s.Path)
		if strings.HasPrefix(s.Protocol, "grpc") {
			l.errorf(s, "path", "cannot be set with protocol %s: the path of gRPC is the method", s.Protocol)
		}
	}
	if s.TLSVerifyDepth != nil {
		l.checkRange(s, "tls_verify_depth", float64(*s.TLSVerifyDepth), 0, 64)
	}
	if s.Protocol == "https" || s.Protocol == "grpcs" {
		return
	}
	for field, set := range map[string]bool{
		"client_certificate": s.ClientCertificate.Set(), "tls_verify": s.TLSVerify != nil,
		"tls_verify_depth": s.TLSVerifyDepth != nil, "ca_certificates": s.CACertificates != nil,
	} {
		if set {
			l.errorf(s, field, "has no meaning with protocol %s; use https", s.Protocol)
		}
	}
}

func (l *linker) checkRoute(r *Route) {
	if r.Name != "" {
		l.checkName(r, "name", r.Name)
	}
	l.checkProtocols(r, r.Protocols)
	http := slices.ContainsFunc(r.Protocols, func(p string) bool { return strings.HasPrefix(p, "http") })
	if http && r.GRPC() {
		l.errorf(r, "protocols", "http and grpc cannot be in one route; make two")
	}
	if r.GRPC() {
		if r.StripPath {
			l.errorf(r, "strip_path", "cannot be true with grpc: the path is the method")
		}
		if r.Methods != nil {
			l.errorf(r, "methods", "cannot be set with grpc: its method is POST")
		}
	}
	l.checkMatches(r)
	l.checkList(r, "methods", r.Methods, func(field, method string) {
		if !methodPattern.MatchString(method) {
			l.errorf(r, field, "%q is no method: capital letters alone", shorten(method))
		}
	})
	l.checkList(r, "hosts", r.Hosts, func(field, host string) { l.checkHostPattern(r, field, host) })
	l.checkList(r, "paths", r.Paths, func(field, p string) { l.checkRoutePath(r, field, p) })
	l.checkList(r, "snis", r.SNIs, func(field, sni string) { l.checkSNI(r, field, sni) })
	l.checkHeaders(r, "headers", r.Headers)
	for name, values := range r.Headers {
		if strings.EqualFold(name, "host") {
			l.errorf(r, "headers."+name, "hosts are matched by the field hosts")
		}
		if len(values) == 1 && strings.HasPrefix(values[0], "~*") {
			l.checkRegex(r, "headers."+name, values[0][2:])
		}
	}
	l.checkOneOf(r, "path_handling", r.PathHandling, "v0", "v1")
	if codes := []int{426, 301, 302, 307, 308}; !slices.Contains(codes, r.HTTPSRedirectStatusCode) {
		l.errorf(r, "https_redirect_status_code", "%d is none of %s", r.HTTPSRedirectStatusCode, list(codes))
	}
	if r.Sources != nil || r.Destinations != nil {
		l.errorf(r, "", "sources and destinations are of routes for TCP, which are not served")
	}
}

// checkMatches checks that a route says which requests are its.
func (l *linker) checkMatches(r *Route) {
	secure := slices.Contains(r.Protocols, "https") || slices.Contains(r.Protocols, "grpcs")
	if len(r.SNIs) > 0 && !secure {
		l.errorf(r, "snis", "can only be matched with https or grpcs in protocols")
	}
	if len(r.Hosts)+len(r.Paths)+len(r.Methods)+len(r.Headers) == 0 && (!secure || len(r.SNIs) == 0) {
		l.errorf(r, "", "matches nothing: set one of hosts, paths, methods, headers; paths: [/] matches all requests")
	}
}

// checkHostPattern checks a host of a route: a name or an address, a wildcard for labels at one end, and
// perhaps a port.
func (l *linker) checkHostPattern(r *Route, field, host string) {
	name := host
	if _, rest, ok := strings.Cut(host, "://"); ok {
		rest, _, _ = strings.Cut(rest, "/")
		l.errorf(r, field, "a host has no scheme; write %s", shorten(rest))
		return
	}
	if h, port, ok := strings.Cut(host, ":"); ok && !strings.Contains(port, ":") && !strings.HasPrefix(host, "[") {
		if !validPort(port) {
			l.errorf(r, field, "%q is no port", shorten(port))
			return
		}
		name = h
	}
	switch stars := strings.Count(name, "*"); {
	case stars > 1:
		l.errorf(r, field, "%q has more than one wildcard", shorten(host))
	case stars == 1 && !strings.HasPrefix(name, "*.") && !strings.HasSuffix(name, ".*"):
		l.errorf(r, field, `%q has its wildcard elsewhere than in a label of its own at an end, such as in "*.example.com"`, shorten(host))
	case !validHost(strings.Replace(name, "*", "x", 1)):
		l.errorf(r, field, "%q is neither the name of a host nor an IP address", shorten(host))
	}
}

func validPort(port string) bool {
	n := 0
	for _, c := range port {
		if c < '0' || c > '9' || n > 65535 {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return port != "" && n > 0 && n <= 65535
}

func (l *linker) checkSNI(e Entity, field, name string) {
	stars := strings.Count(name, "*")
	switch {
	case name == "":
		l.errorf(e, field, "is missing")
	case stars > 1 || stars == 1 && !strings.HasPrefix(name, "*") && !strings.HasSuffix(name, "*"):
		l.errorf(e, field, "%q: one wildcard can be at the beginning or at the end", shorten(name))
	case !hostPattern.MatchString(strings.Replace(name, "*", "x", 1)) || len(name) > 253 || isIP(name):
		l.errorf(e, field, "%q is no name of a host", shorten(name))
	}
}

func isIP(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// checkRoutePath checks a path of a route.
func (l *linker) checkRoutePath(r *Route, field, p string) {
	if strings.Contains(p, "//") {
		l.errorf(r, field, "%q has an empty segment: //", shorten(p))
		return
	}
	if pattern, ok := strings.CutPrefix(p, "~"); ok {
		if !strings.HasPrefix(pattern, "/") {
			l.errorf(r, field, "%q: a regular expression begins with ~/", shorten(p))
			return
		}
		l.checkRegex(r, field, pattern)
		return
	}
	switch {
	case !strings.HasPrefix(p, "/"):
		l.errorf(r, field, "%q begins neither with / (a prefix) nor with ~/ (a regular expression)", shorten(p))
	case escapePattern.MatchString(p):
		l.errorf(r, field, "%q has a %% that two hexadecimal digits do not follow", shorten(p))
	case looksRegex(p):
		l.warnf(r, field, `%q is a prefix, character by character; a regular expression begins with ~: "~%s"`, shorten(p), shorten(p))
	default:
		if clean := normalPath(p); clean != p {
			l.errorf(r, field, "%q never matches, since paths are normalized before; write %q", shorten(p), shorten(clean))
		}
	}
}

// looksRegex reports whether a prefix was meant as a regular expression, as Kong before 3.0 guessed it.
func looksRegex(p string) bool {
	return strings.ContainsAny(p, `\^$*+?()[]{}|`)
}

// LooksRegex reports whether Kong before 3.0 took a path for a regular expression: it has a character
// other than those of RFC 3986 that stand for themselves.
func LooksRegex(p string) bool {
	return strings.ContainsFunc(p, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~/%", r))
	})
}

// normalPath is a path as requests' paths are when they are compared (RFC 3986, section 6.2.2): without
// dot segments, with capital hexadecimal digits, and nothing escaped that need not be.
func normalPath(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '%' || i+2 >= len(p) {
			b.WriteByte(p[i])
			continue
		}
		c := unhex(p[i+1])<<4 | unhex(p[i+2])
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteString(strings.ToUpper(p[i : i+3]))
		}
		i += 2
	}
	clean := path.Clean(b.String())
	if strings.HasSuffix(b.String(), "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

func (l *linker) checkRegex(e Entity, field, pattern string) {
	if _, err := regexp.Compile(pattern); err != nil {
		l.errorf(e, field, "%q is no regular expression (RE2, without look-around and back references): %v", shorten(pattern), err)
	}
}

// checkHeaders checks the names of headers.
func (l *linker) checkHeaders(e Entity, field string, headers map[string][]string) {
	for name := range headers {
		if !tokenPattern.MatchString(name) {
			l.errorf(e, field, "%q is no name of a header", shorten(name))
		}
	}
}
