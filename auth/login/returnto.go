package login

import (
	"net/url"
	"path"
	"strings"
)

// maxReturnTo bounds a path to return to: it travels in a cookie.
const maxReturnTo = 1024

// safePath returns the path, with its query, that a browser may be sent to after a sign-in, or "/" if text is
// anything else than a plain path of this origin. It is strict: what a server, a proxy or a browser could read in two
// ways (doubled slashes, dot segments, backslashes, also encoded ones) is not plain.
func safePath(text string) string {
	if len(text) > maxReturnTo || !strings.HasPrefix(text, "/") {
		return "/"
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return "/"
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	// A path may be decoded more than once on its way.
	for decoded := u.EscapedPath(); ; {
		if !plainPath(decoded) {
			return "/"
		}
		next, err := url.PathUnescape(decoded)
		if err != nil || next == decoded {
			break
		}
		decoded = next
	}
	safe := u.EscapedPath()
	if u.RawQuery != "" {
		safe += "?" + u.RawQuery
	}
	return safe
}

// plainPath reports whether a path leads where it seems to.
func plainPath(p string) bool {
	for i := range len(p) {
		if p[i] < ' ' || p[i] == 0x7f || p[i] == '\\' {
			return false
		}
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean == p
}
