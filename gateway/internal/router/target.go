package router

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// Redirect returns the status with which a request without TLS is answered whose route is for https alone, 0 if
// there is nothing of the kind: 426, or one that leads to https. A route for http alone is for https as well, as
// in Kong.
func (m *Match) Redirect(secure bool) int {
	p := m.Route.Protocols
	if secure || slices.Contains(p, "http") || !slices.Contains(p, "https") {
		return 0
	}
	return m.Route.HTTPSRedirectStatusCode
}

// GRPC returns how Kong answers a request whose route is for gRPC, and which is none, or not by the right
// protocol; 0 if there is nothing of the kind. The status 200 is that of gRPC's own answers: grpc-status is 1, and
// the message grpc-message.
func (m *Match) GRPC(secure bool, major int, contentType []byte) (status int, message string) {
	const grpc = "application/grpc"
	switch {
	case !m.Route.GRPC():
		return 0, ""
	case len(contentType) < len(grpc) || string(contentType[:len(grpc)]) != grpc:
		return http.StatusUnsupportedMediaType, "Non-gRPC request matched gRPC route"
	case major != 2:
		return http.StatusUpgradeRequired, "Please use HTTP2 protocol"
	case !secure && !slices.Contains(m.Route.Protocols, "grpc"):
		return http.StatusOK, "gRPC request matched gRPCs route"
	}
	return 0, ""
}

// Matched returns the part of the path that the route's path matched, which strip_path takes off: the whole of
// it for a route without paths is "/".
func (m *Match) Matched() string {
	c := m.c
	switch {
	case c.regex != nil:
		if at := c.regex.FindStringIndex(m.Path); at != nil {
			return m.Path[:at[1]]
		}
		return ""
	case c.path == "":
		return "/"
	}
	return c.literal
}

// Target returns the path that the upstream of a service is asked for, escaped as it goes into the request
// line, and the part of the request's that was taken off ("" for none), as Kong computes them: the table of
// "path_handling" in its documentation. Service may be nil.
func (m *Match) Target(service *entity.Service) (path, prefix string) {
	base := "/"
	if service != nil && service.Path != "" {
		base = service.Path
	}
	if !m.Route.StripPath {
		return Escape(whole(base, m.Path, m.Route.PathHandling)), ""
	}
	matched := m.Matched()
	if matched != "/" {
		prefix = Escape(matched)
	}
	rest := ""
	if len(matched) <= len(m.Path) {
		rest = sanitize(m.Path[len(matched):])
	}
	return Escape(stripped(base, rest, m.Path, m.Route.PathHandling)), prefix
}

// whole joins the path of a service and the whole of a request's.
func whole(base, path, handling string) string {
	switch {
	case base == "/":
		return path
	case handling == "v1", base[len(base)-1] == '/':
		return base + strings.TrimPrefix(path, "/")
	case path == "/":
		return base
	}
	return base + path
}

// stripped joins the path of a service and what is left of a request's.
func stripped(base, rest, path, handling string) string {
	slash := base[len(base)-1] == '/'
	switch {
	case slash && strings.HasPrefix(rest, "/"):
		return join(base[:len(base)-1], rest)
	case handling == "v1", slash && rest != "":
		return join(base, rest)
	case rest == "" && slash:
		if base == "/" || strings.HasSuffix(path, "/") {
			return base
		}
		return base[:len(base)-1]
	case rest == "":
		if len(path) > 1 && strings.HasSuffix(path, "/") {
			return base + "/"
		}
		return base
	case rest[0] == '/':
		return join(base, rest)
	}
	return base + "/" + rest
}

// join saves an allocation where one is empty.
func join(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + b
}

// sanitize takes a dot segment off that begins where the path was cut.
func sanitize(rest string) string {
	switch {
	case rest == "." || rest == "..":
		return ""
	case strings.HasPrefix(rest, "./"):
		return rest[2:]
	case strings.HasPrefix(rest, "../"):
		return rest[3:]
	}
	return rest
}

// Capture returns what a group of the path's regular expression matched, by its number from 1 or its name.
func (m *Match) Capture(group string) (string, bool) {
	if m.c == nil || m.c.regex == nil {
		return "", false
	}
	i := m.c.regex.SubexpIndex(group)
	if n, err := strconv.Atoi(group); err == nil {
		i = n
	}
	if i < 0 || i > m.c.regex.NumSubexp() {
		return "", false
	}
	found := m.c.regex.FindStringSubmatchIndex(m.Path)
	if found == nil || found[2*i] < 0 {
		return "", false
	}
	return m.Path[found[2*i]:found[2*i+1]], true
}

// HasCaptures reports whether the path's regular expression has groups.
func (m *Match) HasCaptures() bool {
	return m.c != nil && m.c.regex != nil && m.c.regex.NumSubexp() > 0
}
