package oidc

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// redirects reports whether a request may have its answer sent to uri: it must be one of the
// application's callbacks byte for byte (RFC 6749 section 3.1.2.3, RFC 9700 section 2.1).
// Native applications alone may choose the port of a callback on the loopback interface, since they
// cannot know which one will be free (RFC 8252 section 7.3).
func redirects(callbacks []string, native bool, uri string) bool {
	if uri == "" || len(uri) > 2048 {
		return false
	}
	if slices.Contains(callbacks, uri) {
		return true
	}
	if !native {
		return false
	}
	got, rest, ok := splitLoopback(uri)
	if !ok {
		return false
	}
	for _, callback := range callbacks {
		if host, path, ok := splitLoopback(callback); ok && host == got && path == rest {
			return true
		}
	}
	return false
}

// splitLoopback splits the URL of a loopback interface into its host, without the port, and what comes
// behind; both byte for byte. What parses in more ways than one is no such URL.
func splitLoopback(uri string) (host, rest string, ok bool) {
	after, ok := strings.CutPrefix(uri, "http://")
	if !ok || strings.ContainsAny(uri, "\\@#\t\r\n ") {
		return "", "", false
	}
	u, err := url.Parse(uri)
	if err != nil || u.User != nil || u.Fragment != "" {
		return "", "", false
	}
	authority, rest := after, ""
	if i := strings.IndexAny(after, "/?"); i >= 0 {
		authority, rest = after[:i], after[i:]
	}
	host = authority
	if u.Port() != "" || strings.HasSuffix(authority, ":") {
		i := strings.LastIndexByte(authority, ':')
		port := authority[i+1:]
		if port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
			return "", "", false
		}
		host = authority[:i]
	}
	if host == "localhost" {
		return host, rest, true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil || !addr.IsLoopback() || addr.Zone() != "" || addr.Is4In6() {
		return "", "", false
	}
	return host, rest, true
}
