package httpapi

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/perdure/perdure/internal/problem"
)

// Guard protects a server from requests that other web pages make a browser send:
// those from another origin that would change something, and those under a name
// that is not the server's own, which a page can point at any address (DNS
// rebinding). It also sets headers that keep browsers from misusing answers.
type Guard struct {
	// Hosts are the names the server answers to, as in the Host header:
	// "localhost:8080", "app.example.com". There must be at least one.
	Hosts []string
	// TrustedOrigins may send requests that change something, such as
	// "https://admin.example.com".
	TrustedOrigins []string
	// Foreign, unless nil, reports whether a request is for what pages of other sites may send
	// requests to, and guards itself.
	Foreign func(*http.Request) bool
}

// LocalHosts returns the Hosts for a server that listens on a loopback address
// with the given port: "localhost", "127.0.0.1" and "[::1]". For another address
// it returns that one; an address that stands for all interfaces is an error,
// since the names it is reached by cannot be known.
func LocalHosts(listen string) ([]string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", listen, err)
	}
	ip, ipErr := netip.ParseAddr(host)
	switch {
	case host == "localhost", ipErr == nil && ip.IsLoopback():
		names := []string{"localhost", "127.0.0.1", "::1"}
		if ipErr == nil && !slices.Contains(names, ip.String()) {
			names = append(names, ip.String())
		}
		for i, name := range names {
			names[i] = net.JoinHostPort(name, port)
		}
		return names, nil
	case host == "", ipErr == nil && ip.IsUnspecified():
		return nil, fmt.Errorf("listen address %q stands for all interfaces; list the hosts the server is reached by", listen)
	}
	return []string{net.JoinHostPort(host, port)}, nil
}

// securityHeaders are set on every answer; a handler may replace them.
var securityHeaders = map[string]string{
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Content-Security-Policy":      "frame-ancestors 'none'; base-uri 'none'; object-src 'none'",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "same-origin",
}

// Handler returns next behind the guard.
func (g Guard) Handler(next http.Handler) (http.Handler, error) {
	if len(g.Hosts) == 0 {
		return nil, errors.New("no host is allowed; list the names the server is reached by")
	}
	allowed := map[string]bool{}
	for _, host := range g.Hosts {
		if host == "" || strings.ContainsAny(host, "/ *") {
			return nil, fmt.Errorf("host %q is not a name with an optional port", host)
		}
		allowed[hostKey(host)] = true
	}
	origin := http.NewCrossOriginProtection()
	for _, trusted := range g.TrustedOrigins {
		if err := origin.AddTrustedOrigin(trusted); err != nil {
			return nil, fmt.Errorf("trusted origin %q: %w", trusted, err)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range securityHeaders {
			w.Header().Set(name, value)
		}
		if !allowed[hostKey(r.Host)] {
			problem.New(http.StatusMisdirectedRequest, "This server does not answer to the host of the request.").Write(w)
			return
		}
		if err := origin.Check(r); err != nil && (g.Foreign == nil || !g.Foreign(r)) {
			problem.New(http.StatusForbidden, "A request of another site's page is refused here.").Write(w)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// hostKey writes a host the one way it is compared in: lower case, without the
// ports that browsers leave out.
func hostKey(host string) string {
	host = strings.ToLower(host)
	for _, port := range []string{":80", ":443"} {
		if name, ok := strings.CutSuffix(host, port); ok && !strings.HasSuffix(name, ":") {
			return name
		}
	}
	return host
}
