package router

import (
	"strings"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// Request is what of a request decides about its route.
type Request struct {
	Method string
	// Secure says that the client uses TLS, as far as is known: the scheme is https.
	Secure bool
	// Host is the authority, with its port if it was given.
	Host string
	// Port is the port that the client has connected to.
	Port uint16
	// Path is the path as it was sent, without the query.
	Path string
	// SNI is the name that the client asked for in TLS's handshake.
	SNI string
	// Fields are the header fields, nil for none.
	Fields *h1.Fields
}

// view is a request as it is compared.
type view struct {
	*Request
	host string // in lower case, without port, brackets, and the dot at the end
	path string // normal
}

func viewOf(q *Request) view {
	return view{Request: q, host: hostName(q.Host), path: Normalize(q.Path)}
}

// hostName returns the host of an authority as it is compared.
func hostName(authority string) string {
	host, _ := splitPort(authority)
	return lowerHost(host)
}

func lowerHost(host string) string {
	if len(host) > 1 && host[len(host)-1] == '.' && host[len(host)-2] != '*' {
		host = host[:len(host)-1]
	}
	for i := range len(host) {
		if c := host[i]; c >= 'A' && c <= 'Z' {
			return strings.ToLower(host)
		}
	}
	return host
}

// splitPort splits an authority; the port is 0 if there is none.
func splitPort(authority string) (host string, port uint16) {
	colon := -1
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return authority, 0
		}
		host = authority[1:end]
		if end+1 < len(authority) && authority[end+1] == ':' {
			colon = end + 1
		}
	} else {
		colon = strings.IndexByte(authority, ':')
		if colon < 0 || colon != strings.LastIndexByte(authority, ':') {
			return authority, 0
		}
		host = authority[:colon]
	}
	if colon < 0 {
		return host, 0
	}
	n := 0
	for _, c := range authority[colon+1:] {
		if c < '0' || c > '9' || n > 65535 {
			return authority, 0
		}
		n = n*10 + int(c-'0')
	}
	if n > 65535 {
		return authority, 0
	}
	return host, uint16(n)
}
