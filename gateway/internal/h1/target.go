package h1

import (
	"bytes"
	"net/http"
)

// target splits the request-target by its form (RFC 9112 section 3.2).
func (r *Request) target() *ProtocolError {
	t := r.Target
	switch {
	case r.Method == http.MethodConnect:
		return errConnect
	case t[0] == '/': // origin form
		r.splitPath(t)
		return nil
	case len(t) == 1 && t[0] == '*': // asterisk form
		if r.Method != http.MethodOptions {
			return errTarget
		}
		r.Path = t
		return nil
	}
	return r.absolute(t)
}

// absolute splits a target in absolute form. Userinfo is refused: no client sends it
// in good faith (RFC 9110 section 4.2.4).
func (r *Request) absolute(t []byte) *ProtocolError {
	switch {
	case len(t) > 7 && equalFold(t[:7], "http://"):
		r.Scheme, t = "http", t[7:]
	case len(t) > 8 && equalFold(t[:8], "https://"):
		r.Scheme, t = "https", t[8:]
	default:
		return errTarget
	}
	end := bytes.IndexAny(t, "/?")
	if end < 0 {
		end = len(t)
	}
	r.Host = t[:end:end]
	if len(r.Host) == 0 || !isHost(r.Host) {
		return errTarget
	}
	t = t[end:]
	switch {
	case len(t) == 0 && r.Method == http.MethodOptions: // section 3.2.4
		r.Path = star
	case len(t) == 0:
		r.Path = slash
	case t[0] == '?':
		r.Path, r.Query, r.HasQuery = slash, t[1:], true
	default:
		r.splitPath(t)
	}
	return nil
}

var slash, star = []byte("/"), []byte("*")

func (r *Request) splitPath(t []byte) {
	if i := bytes.IndexByte(t, '?'); i >= 0 {
		r.Path, r.Query, r.HasQuery = t[:i:i], t[i+1:], true
		return
	}
	r.Path = t
}

// isHost reports whether h is uri-host [ ":" port ] without userinfo, or empty. Square
// brackets are those around an IP literal alone.
func isHost(h []byte) bool {
	if !is(h, classHost) {
		return false
	}
	host := h
	if len(h) > 0 && h[0] == '[' {
		end := bytes.IndexByte(h, ']')
		if end < 3 || !isLiteral(h[1:end]) {
			return false
		}
		host = h[end+1:]
		return len(host) == 0 || host[0] == ':' && isPort(host[1:])
	}
	if bytes.IndexByte(h, '[') >= 0 || bytes.IndexByte(h, ']') >= 0 {
		return false
	}
	if i := bytes.IndexByte(h, ':'); i >= 0 {
		return i > 0 && isPort(h[i+1:])
	}
	return isEscaped(h)
}

// IsTarget reports whether s, which came otherwise than in a head of HTTP/1.1, can stand in a request line.
func IsTarget(s string) bool { return is(s, classTarget) }

// IsHost reports whether s, which came otherwise than in a head of HTTP/1.1, can stand in a Host field.
func IsHost(s string) bool { return isHost([]byte(s)) }

// isLiteral reports whether s can be an IPv6 address.
func isLiteral(s []byte) bool {
	for _, c := range s {
		if !isHex(c) && c != ':' && c != '.' {
			return false
		}
	}
	return bytes.IndexByte(s, ':') >= 0
}

// isPort reports whether s is a port, or empty. A number that is none is refused: one reader takes the host without it for the
// host, another one all of it.
func isPort(s []byte) bool {
	n := 0
	for _, c := range s {
		if !isDigit(c) || n > maxPort {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return len(s) <= 5 && n <= maxPort
}

const maxPort = 1<<16 - 1

// isEscaped reports whether each percent sign begins an escape.
func isEscaped(s []byte) bool {
	for i, c := range s {
		if c == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
