package proxy

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// TrustedProxies are the networks whose forwarding fields count.
type TrustedProxies []netip.Prefix

func (t TrustedProxies) trust(addr netip.Addr) bool {
	for _, prefix := range t {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// maxForwarded bounds how many addresses of a chain of proxies are looked at.
const maxForwarded = 32

// locate finds out who the client is: the peer or, if that is a trusted proxy, the last
// in X-Forwarded-For that is not one. What stands before an address that cannot be read
// was not written by a proxy that is known.
func (t TrustedProxies) locate(x *Exchange) {
	x.Client = x.Peer.Addr().Unmap()
	x.Trusted = len(t) > 0 && t.trust(x.Client)
	if !x.Trusted {
		return
	}
	fields := x.Request.Fields
	n := 0
	for i := fields.Len() - 1; i >= 0; i-- {
		f := fields.At(i)
		if forwardedField(f.Name) != xForwardedFor {
			continue
		}
		for rest := string(f.Value); ; n++ {
			at := strings.LastIndexByte(rest, ',')
			addr, err := parseClient(strings.TrimSpace(rest[at+1:]))
			if err != nil || n == maxForwarded {
				return
			}
			x.Client = addr.Unmap()
			if !t.trust(x.Client) {
				return
			}
			if at < 0 {
				break
			}
			rest = rest[:at]
		}
	}
}

// parseClient reads an address of X-Forwarded-For. Some proxies write the port behind it.
func parseClient(text string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")); err == nil {
		return addr, nil
	}
	both, err := netip.ParseAddrPort(text)
	return both.Addr(), err
}

// forwarded are the fields that say where a request came from. They are the gateway's to
// say: a client's do not pass, unless it is a trusted proxy.
type forwarded uint8

const (
	notForwarded forwarded = iota
	xForwardedFor
	xForwardedProto
	xForwardedHost
	xForwardedPort
	xForwardedPath
	xForwardedPrefix
	xRealIP
	xRequestID
	forwardedRFC  // Forwarded (RFC 7239), which passes if a trusted proxy has sent it
	forwardedFake // a field that would be taken for one of those: many servers do not tell "_" from "-"
)

// forwardedField finds out which of them a name is.
func forwardedField(name []byte) forwarded {
	if len(name) < 9 {
		return notForwarded
	}
	if name[0]|0x20 != 'x' || name[1] != '-' && name[1] != '_' {
		if len(name) == 9 && name[0]|0x20 == 'f' {
			return when(name, "forwarded", forwardedRFC)
		}
		return notForwarded
	}
	switch len(name) {
	case 9:
		return when(name, "x-real-ip", xRealIP)
	case 15:
		return when(name, "x-forwarded-for", xForwardedFor)
	case 16:
		switch {
		case name[12]|0x20 == 'h':
			return when(name, "x-forwarded-host", xForwardedHost)
		case name[13]|0x20 == 'o':
			return when(name, "x-forwarded-port", xForwardedPort)
		default:
			return when(name, "x-forwarded-path", xForwardedPath)
		}
	case 17:
		if name[2]|0x20 == 'k' {
			return when(name, "x-kong-request-id", xRequestID)
		}
		return when(name, "x-forwarded-proto", xForwardedProto)
	case 18:
		return when(name, "x-forwarded-prefix", xForwardedPrefix)
	}
	return notForwarded
}

func when(name []byte, want string, f forwarded) forwarded {
	for i := range len(want) {
		switch c := name[i]; {
		case c == want[i] || c >= 'A' && c <= 'Z' && c|0x20 == want[i]:
		case c == '_' && want[i] == '-':
			f = forwardedFake
		default:
			return notForwarded
		}
	}
	return f
}

// came is what a request says of where it came from, for the upstream.
type came struct {
	chain                           []byte // X-Forwarded-For so far
	more                            bool   // there was more than one field of it
	proto, host, port, path, prefix []byte // as a trusted proxy says, nil otherwise
}

// appendFields writes the request's fields for the upstream: those of the request, and
// where it came from.
func (x *Exchange) appendFields(to []byte) []byte {
	var c came
	fields := x.Request.Fields
	for i := range fields.Len() {
		f := fields.At(i)
		switch forwardedField(f.Name) {
		case notForwarded:
			to = f.AppendLine(to)
		case forwardedRFC:
			if x.Trusted {
				to = f.AppendLine(to)
			}
		case xForwardedFor:
			c.more = c.more || c.chain != nil
			c.chain = f.Value
		case xForwardedProto:
			c.proto = f.Value
		case xForwardedHost:
			c.host = f.Value
		case xForwardedPort:
			c.port = f.Value
		case xForwardedPath:
			c.path = f.Value
		case xForwardedPrefix:
			c.prefix = f.Value
		}
	}
	if !x.Trusted {
		c.proto, c.host, c.port, c.path, c.prefix = nil, nil, nil, nil, nil
	}
	return x.appendCame(to, &c)
}

// appendCame writes the forwarding fields as Kong does: X-Forwarded-For is continued, the
// others are taken over from a trusted proxy or said anew.
func (x *Exchange) appendCame(to []byte, c *came) []byte {
	var text [48]byte
	peer := x.Peer.Addr().Unmap().AppendTo(text[:0])
	to = append(to, "X-Forwarded-For: "...)
	switch {
	case c.more:
		for _, v := range x.Request.Fields.Values("X-Forwarded-For") {
			to = append(append(to, v...), ", "...)
		}
	case len(c.chain) > 0:
		to = append(append(to, c.chain...), ", "...)
	}
	to = append(append(to, peer...), "\r\n"...)
	to = append(to, "X-Real-IP: "...)
	to = append(x.Client.AppendTo(to), "\r\n"...)
	to = appendEither(to, "X-Forwarded-Proto", c.proto, x.scheme())
	to = appendEither(to, "X-Forwarded-Host", c.host, hostName(x.Request.Host))
	if c.port != nil {
		to = h1.AppendField(to, "X-Forwarded-Port", c.port)
	} else {
		to = append(to, "X-Forwarded-Port: "...)
		to = append(strconv.AppendUint(to, uint64(x.ServerPort), 10), "\r\n"...)
	}
	to = appendEither(to, "X-Forwarded-Path", c.path, x.Request.Path)
	if x.Target.Prefix != "" || c.prefix != nil {
		to = appendEither(to, "X-Forwarded-Prefix", c.prefix, x.Target.Prefix)
	}
	if x.server.options.Headers.RequestID {
		to = append(to, "X-Kong-Request-Id: "...)
		to = append(append(to, x.idBytes()...), "\r\n"...)
	}
	if x.server.options.Headers.Via {
		to = append(to, "Via: "...)
		to = append(append(to, x.via()...), "\r\n"...)
	}
	return to
}

func appendEither(to []byte, name string, given []byte, own string) []byte {
	if given != nil {
		return h1.AppendField(to, name, given)
	}
	return h1.AppendField(to, name, own)
}

// scheme is that of the connection itself.
func (x *Exchange) scheme() string {
	if x.TLS != nil {
		return "https"
	}
	return "http"
}

// hostName is the host without its port.
func hostName(authority string) string {
	if len(authority) > 0 && authority[0] == '[' {
		if end := strings.IndexByte(authority, ']'); end > 0 {
			return authority[:end+1]
		}
	}
	if i := strings.IndexByte(authority, ':'); i >= 0 {
		return authority[:i]
	}
	return authority
}

// via is the received protocol and who passed it on (RFC 9110 section 7.6.3).
func (x *Exchange) via() string {
	switch {
	case x.Request.Major == 2:
		return "2 perdure"
	case x.Request.Minor == 0:
		return "1.0 perdure"
	}
	return "1.1 perdure"
}

// eachField calls f with the fields for an upstream that is not spoken to by HTTP/1.1.
func (x *Exchange) eachField(f func(name, value string)) {
	lines := x.appendFields(h1.Buffer())
	defer h1.PutBuffer(lines)
	for rest := string(lines); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, _ := strings.Cut(line, ": ")
		f(name, value)
	}
}
