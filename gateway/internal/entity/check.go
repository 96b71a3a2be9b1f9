package entity

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/perdure/perdure/internal/suggest"
)

// The patterns of Kong's schemas.
var (
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9._~\-\x{80}-\x{10ffff}]+$`)
	tagPattern    = regexp.MustCompile(`^[ !-+\-.0-~\x{80}-\x{10ffff}]+$`) // without "," and "/"
	hostPattern   = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
	methodPattern = regexp.MustCompile(`^[A-Z]+$`)
	tokenPattern  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 9110, section 5.6.2
	escapePattern = regexp.MustCompile(`%(?:[^0-9A-Fa-f]|.?$|.[^0-9A-Fa-f])`)
)

// The bounds of texts and lists.
const (
	maxText = 4096
	maxList = 1024
)

// index is the name of an entry of a list.
func index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

func (l *linker) checkMeta(e Entity) {
	l.checkList(e, "tags", e.meta().Tags, func(field, tag string) {
		if !utf8.ValidString(tag) || !tagPattern.MatchString(tag) {
			l.errorf(e, field, `%q cannot be a tag: printable characters without "," and "/"`, tag)
		}
	})
}

// check checks an entity by the rules of its kind.
func (l *linker) check(e Entity) {
	switch e := e.(type) {
	case *Service:
		l.checkService(e)
	case *Route:
		l.checkRoute(e)
	case *Consumer:
		if e.Username == "" && e.CustomID == "" {
			l.errorf(e, "", "needs a username or a custom_id")
		}
	case *JWTCredential:
		l.checkJWT(e)
	case *KeyAuth:
		if e.Key == "" {
			l.errorf(e, "key", "is missing")
		}
		l.checkSecret(e, "key", e.Key)
	case *ACLGroup:
		if e.Group == "" {
			l.errorf(e, "group", "is missing")
		}
	case *Plugin:
		l.checkPlugin(e)
	case *Upstream:
		l.checkUpstream(e)
	case *Target:
		l.checkTarget(e)
	case *Certificate:
		l.checkCertificate(e)
	case *SNI:
		l.checkSNI(e, "name", e.Name)
	case *CACertificate:
		l.checkCA(e)
	}
}

// checkList checks each text of a list. None may be there twice.
func (l *linker) checkList(e Entity, field string, list []string, check func(field, text string)) {
	if len(list) > maxList {
		l.errorf(e, field, "has %d entries, at most %d are allowed", len(list), maxList)
		return
	}
	seen := map[string]bool{}
	for i, text := range list {
		if len(text) > maxText {
			l.errorf(e, index(field, i), "has %d bytes, at most %d are allowed", len(text), maxText)
			continue
		}
		if seen[text] {
			l.warnf(e, index(field, i), "%q is there twice", text)
		}
		seen[text] = true
		check(index(field, i), text)
	}
}

func (l *linker) checkName(e Entity, field, name string) {
	if len(name) > maxText || !utf8.ValidString(name) || !namePattern.MatchString(name) {
		l.errorf(e, field, "%q cannot be a name: letters, digits, and . - _ ~", shorten(name))
	}
}

func (l *linker) checkOneOf(e Entity, field, value string, allowed ...string) bool {
	if slices.Contains(allowed, value) {
		return true
	}
	if value == "" {
		l.errorf(e, field, "is missing%s", suggest.Hint(value, allowed))
		return false
	}
	l.errorf(e, field, "%q is none of the values%s", shorten(value), suggest.Hint(value, allowed))
	return false
}

func (l *linker) checkRange(e Entity, field string, value, low, high float64) {
	if !(value >= low && value <= high) {
		l.errorf(e, field, "%v is not between %v and %v", value, low, plain(high))
	}
}

// plain writes a large whole number without an exponent.
func plain(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// served are the protocols that there are, streamed those of Kong's that are not HTTP.
var (
	served   = []string{"http", "https", "grpc", "grpcs"}
	streamed = []string{"tcp", "tls", "udp", "tls_passthrough"}
)

func (l *linker) checkProtocol(e Entity, field, protocol string) {
	switch {
	case slices.Contains(streamed, protocol):
		l.errorf(e, field, "%q is not served: this gateway speaks %s", protocol, strings.Join(served, ", "))
	case protocol == "ws" || protocol == "wss":
		l.errorf(e, field, "%q is not needed: WebSockets pass through http%s", protocol, strings.TrimPrefix(protocol, "ws"))
	default:
		l.checkOneOf(e, field, protocol, served...)
	}
}

func (l *linker) checkProtocols(e Entity, protocols []string) {
	if len(protocols) == 0 {
		l.errorf(e, "protocols", "is empty; without it the default counts")
	}
	l.checkList(e, "protocols", protocols, func(field, protocol string) { l.checkProtocol(e, field, protocol) })
}

// checkHost checks a name or an IP address without a port.
func (l *linker) checkHost(e Entity, field, host string) {
	if host == "" {
		l.errorf(e, field, "is missing")
		return
	}
	if _, rest, ok := strings.Cut(host, "://"); ok {
		rest, _, _ = strings.Cut(rest, "/")
		l.errorf(e, field, "a host has no scheme; write %s, or the whole under url", shorten(rest))
		return
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		l.errorf(e, field, "%q has a port, which has a field of its own: port", shorten(host))
		return
	}
	if !validHost(host) {
		l.errorf(e, field, "%q is neither the name of a host nor an IP address", shorten(host))
	}
}

func validHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
		addr, err := netip.ParseAddr(host)
		return err == nil && addr.Is6()
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return len(host) <= 253 && hostPattern.MatchString(host)
}

// checkPath checks the path of a URL: what goes to a server.
func (l *linker) checkPath(e Entity, field, path string) {
	switch {
	case !strings.HasPrefix(path, "/"):
		l.errorf(e, field, "%q does not begin with /", shorten(path))
	case strings.Contains(path, "//"):
		l.errorf(e, field, "%q has an empty segment: //", shorten(path))
	case !validPath(path):
		l.errorf(e, field, "%q has characters that a path cannot have: write them as %%XX", shorten(path))
	case escapePattern.MatchString(path):
		l.errorf(e, field, "%q has a %% that two hexadecimal digits do not follow", shorten(path))
	}
}

// validPath reports whether a path has characters of RFC 3986 alone.
func validPath(path string) bool {
	return !strings.ContainsFunc(path, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~/%:@!$&'()*+,;=", r))
	})
}

// shorten bounds what a message quotes.
func shorten(text string) string {
	if len(text) > 100 {
		return text[:100] + "…"
	}
	return text
}

// withPort adds the port that a target has by default.
func withPort(target string) string {
	if target == "" {
		return ""
	}
	if addr, err := netip.ParseAddr(strings.Trim(target, "[]")); err == nil {
		return net.JoinHostPort(addr.String(), "8000")
	}
	if host, port, err := net.SplitHostPort(target); err == nil && port != "" {
		return net.JoinHostPort(host, port)
	}
	if !strings.Contains(target, ":") {
		return target + ":8000"
	}
	return target
}

func list[T any](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ", ")
}
