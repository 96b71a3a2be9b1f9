package entity

import (
	"net"
	"net/netip"
)

var hashes = []string{"none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"}

func (l *linker) checkUpstream(u *Upstream) {
	switch {
	case u.Name == "":
		l.errorf(u, "name", "is missing")
	case !hostPattern.MatchString(u.Name) || isIP(u.Name):
		l.errorf(u, "name", "%q cannot be the name of an upstream: it is the host of services, and no IP address", shorten(u.Name))
	}
	l.checkOneOf(u, "algorithm", u.Algorithm, "round-robin", "least-connections", "consistent-hashing", "latency")
	l.checkRange(u, "slots", float64(u.Slots), 10, 1<<16)
	l.checkHash(u)
	if u.HostHeader != "" {
		host := u.HostHeader
		if h, port, err := net.SplitHostPort(host); err == nil && validPort(port) {
			host = h
		}
		if !validHost(host) {
			l.errorf(u, "host_header", "%q is neither the name of a host nor an IP address", shorten(u.HostHeader))
		}
	}
	l.checkHealth(u)
}

// checkHash checks what requests are spread by.
func (l *linker) checkHash(u *Upstream) {
	if !l.checkOneOf(u, "hash_on", u.HashOn, hashes...) || !l.checkOneOf(u, "hash_fallback", u.HashFallback, hashes...) {
		return
	}
	if u.HashOn != "none" && u.Algorithm != "consistent-hashing" {
		l.warnf(u, "hash_on", "has no effect with algorithm %s; it is for consistent-hashing", u.Algorithm)
	}
	for _, c := range []struct{ hash, field, value string }{
		{u.HashOn, "hash_on_header", u.HashOnHeader},
		{u.HashOn, "hash_on_cookie", u.HashOnCookie},
		{u.HashOn, "hash_on_query_arg", u.HashOnQueryArg},
		{u.HashOn, "hash_on_uri_capture", u.HashOnURICapture},
		{u.HashFallback, "hash_fallback_header", u.HashFallbackHeader},
		{u.HashFallback, "hash_fallback_query_arg", u.HashFallbackQueryArg},
		{u.HashFallback, "hash_fallback_uri_capture", u.HashFallbackURICapture},
	} {
		if "hash_on_"+c.hash == c.field || "hash_fallback_"+c.hash == c.field {
			if c.value == "" {
				l.errorf(u, c.field, "is missing: requests are to be told apart by the %s of this name", c.hash)
			}
		}
	}
	if u.HashFallback == "cookie" && u.HashOnCookie == "" {
		l.errorf(u, "hash_on_cookie", "is missing: requests are to be told apart by the cookie of this name")
	}
	for field, header := range map[string]string{"hash_on_header": u.HashOnHeader, "hash_fallback_header": u.HashFallbackHeader, "hash_on_cookie": u.HashOnCookie} {
		if header != "" && !tokenPattern.MatchString(header) {
			l.errorf(u, field, "%q cannot be a name there", shorten(header))
		}
	}
	l.checkPath(u, "hash_on_cookie_path", u.HashOnCookiePath)
	switch {
	case (u.HashOn == "none" || u.HashOn == "cookie") && u.HashFallback != "none":
		l.errorf(u, "hash_fallback", "must be none where hash_on is %s", u.HashOn)
	case u.HashOn == u.HashFallback && (u.HashOn == "consumer" || u.HashOn == "ip" || u.HashOn == "path"):
		l.errorf(u, "hash_fallback", "%s is already what hash_on says", u.HashFallback)
	}
	for _, c := range [][3]string{
		{u.HashOnHeader, u.HashFallbackHeader, "hash_fallback_header"},
		{u.HashOnQueryArg, u.HashFallbackQueryArg, "hash_fallback_query_arg"},
		{u.HashOnURICapture, u.HashFallbackURICapture, "hash_fallback_uri_capture"},
	} {
		if c[0] != "" && c[0] == c[1] {
			l.errorf(u, c[2], "%q is already what requests are told apart by first", shorten(c[1]))
		}
	}
}

var checkTypes = []string{"tcp", "http", "https", "grpc", "grpcs"}

func (l *linker) checkHealth(u *Upstream) {
	const at = "healthchecks."
	a, p := &u.Healthchecks.Active, &u.Healthchecks.Passive
	l.checkOneOf(u, at+"active.type", a.Type, checkTypes...)
	l.checkOneOf(u, at+"passive.type", p.Type, checkTypes...)
	const longest = 65535
	l.checkRange(u, at+"active.timeout", a.Timeout, 0, longest)
	l.checkRange(u, at+"active.concurrency", float64(a.Concurrency), 1, 1<<31)
	l.checkRange(u, at+"active.healthy.interval", a.Healthy.Interval, 0, longest)
	l.checkRange(u, at+"active.unhealthy.interval", a.Unhealthy.Interval, 0, longest)
	l.checkRange(u, at+"threshold", u.Healthchecks.Threshold, 0, 100)
	l.checkPath(u, at+"active.http_path", a.HTTPPath)
	if a.HTTPSSNI != "" {
		l.checkSNI(u, at+"active.https_sni", a.HTTPSSNI)
	}
	l.checkHeaders(u, at+"active.headers", a.Headers)
	for field, n := range map[string]int{
		"active.healthy.successes": a.Healthy.Successes, "active.unhealthy.tcp_failures": a.Unhealthy.TCPFailures,
		"active.unhealthy.timeouts": a.Unhealthy.Timeouts, "active.unhealthy.http_failures": a.Unhealthy.HTTPFailures,
		"passive.healthy.successes": p.Healthy.Successes, "passive.unhealthy.tcp_failures": p.Unhealthy.TCPFailures,
		"passive.unhealthy.timeouts": p.Unhealthy.Timeouts, "passive.unhealthy.http_failures": p.Unhealthy.HTTPFailures,
	} {
		l.checkRange(u, at+field, float64(n), 0, 255)
	}
	for field, codes := range map[string][]int{
		"active.healthy": a.Healthy.HTTPStatuses, "active.unhealthy": a.Unhealthy.HTTPStatuses,
		"passive.healthy": p.Healthy.HTTPStatuses, "passive.unhealthy": p.Unhealthy.HTTPStatuses,
	} {
		for i, code := range codes {
			l.checkRange(u, index(at+field+".http_statuses", i), float64(code), 100, 999)
		}
	}
}

func (l *linker) checkTarget(t *Target) {
	l.checkRange(t, "weight", float64(t.Weight), 0, 65535)
	host, port, err := net.SplitHostPort(t.Target)
	if t.Target == "" || err != nil || !validPort(port) || !validHost(host) {
		l.errorf(t, "target", "%q is no address: a name or an IP address, and a port, such as 127.0.0.1:9000", shorten(t.Target))
		return
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() != "" {
		l.errorf(t, "target", "%q has a zone, which is not supported", shorten(t.Target))
	}
}
