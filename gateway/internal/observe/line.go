package observe

import (
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// appendLine appends the line of an exchange. The fields are, in this order, those without a value left out:
//
//	time         when the head had come (RFC 3339, UTC)
//	id           of the request, 32 hexadecimal digits
//	client       address, behind trusted proxies
//	peer         address of the trusted proxy, if there is one
//	method, scheme, host, path (without the query), protocol
//	status       that the client was answered with; 499: it had left
//	bytes        of the answer's body
//	duration_ms  from the head to the last byte; plugins_ms until the plugins had decided; upstream_ms from the beginning of the
//	             last attempt to the head of its answer
//	route, service  their names
//	upstream     address of the last attempt
//	attempts     how many there were
//	consumer     its name
//	credential   its id, never a secret
//	refused_by   who refused it, and reason why
//	error        why there was no answer, or why it ended early
//	trace_id     of W3C Trace Context
func appendLine(b []byte, x *proxy.Exchange) []byte {
	q := &x.Request
	b = append(b, `{"time":"`...)
	b = x.Start.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","id":"`...)
	b = x.AppendID(b)
	b = append(b, '"')
	if x.Client.IsValid() {
		b = append(b, `,"client":"`...)
		b = append(x.Client.WithZone("").AppendTo(b), '"')
	}
	if peer := x.Peer.Addr().Unmap(); x.Trusted && peer != x.Client {
		b = append(b, `,"peer":"`...)
		b = append(peer.WithZone("").AppendTo(b), '"')
	}
	b = appendText(b, "method", q.Method, maxValue)
	b = appendText(b, "scheme", q.Scheme, maxValue)
	b = appendText(b, "host", q.Host, maxValue)
	b = appendText(b, "path", scrub(q.Path), maxPath)
	b = append(b, `,"protocol":"HTTP/`...)
	b = strconv.AppendInt(b, int64(q.Major), 10)
	if q.Major < 2 {
		b = append(b, '.')
		b = strconv.AppendInt(b, int64(q.Minor), 10)
	}
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(x.Response.Status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, x.Sent, 10)
	b = appendMilliseconds(b, "duration_ms", x.Timing.End)
	b = appendMilliseconds(b, "plugins_ms", x.Timing.Access)
	if x.Timing.Head > 0 {
		b = appendMilliseconds(b, "upstream_ms", x.Timing.Head-x.Timing.Sent)
	}
	return append(appendDecisions(b, x), "}\n"...)
}

func appendDecisions(b []byte, x *proxy.Exchange) []byte {
	if r, ok := x.Route.(*entity.Route); ok && r != nil {
		b = appendText(b, "route", r.Label(), maxValue)
	}
	if s, ok := x.Service.(*entity.Service); ok && s != nil {
		b = appendText(b, "service", s.Label(), maxValue)
	}
	if x.Endpoint != nil {
		if a := x.Endpoint.Address(); a != "" {
			b = appendText(b, "upstream", a, maxValue)
		} else {
			b = appendText(b, "upstream", inProcess, maxValue)
		}
	}
	b = append(b, `,"attempts":`...)
	b = strconv.AppendInt(b, int64(x.Attempts), 10)
	if c := plugin.Consumer(x); c != nil {
		b = appendText(b, "consumer", c.Label(), maxValue)
	}
	if id := plugin.CredentialKey(x); id != "" {
		b = appendText(b, "credential", id, maxValue)
	}
	for i := range x.Notes {
		if n := &x.Notes[i]; n.Refusal {
			b = appendText(b, "refused_by", n.Who, maxValue)
			b = appendText(b, "reason", clean(x, n.Reason), maxReason)
			break
		}
	}
	if x.Err != nil {
		b = appendText(b, "error", clean(x, x.Err.Error()), maxReason)
	}
	if id := traceID(x); id != nil {
		b = append(b, `,"trace_id":"`...)
		b = append(append(b, id...), '"')
	}
	return b
}

// clean removes the query and what looks like a token from a reason or an error, which may have the URL in it.
func clean(x *proxy.Exchange, text string) string {
	for _, q := range [...]string{x.Request.Query, x.Target.Query} {
		if strings.Contains(q, "=") { // else it may be any word
			text = strings.ReplaceAll(text, q, hidden)
		}
	}
	return scrub(text)
}

// traceID returns the trace of a request, nil if it has none: what traceparent says, which Traces have set if they are made.
func traceID(x *proxy.Exchange) []byte {
	if x.Request.Fields == nil || x.Response.Status == http.StatusSwitchingProtocols { // a tunnel has used the buffer of the fields
		return nil
	}
	const begin, end = len("00-"), len("00-") + 32
	p := x.Request.Fields.Peek("Traceparent")
	if len(p) < 55 || p[2] != '-' || p[end] != '-' {
		return nil
	}
	for _, c := range p[begin:end] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil
		}
	}
	return p[begin:end]
}

// appendRefused appends the line of a request that broke the rules.
func appendRefused(b []byte, now time.Time, peer net.Addr, err *h1.ProtocolError) []byte {
	b = append(b, `{"time":"`...)
	b = now.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	if host, _, e := net.SplitHostPort(peer.String()); e == nil {
		b = appendText(b, "client", host, maxValue)
	} else {
		b = appendText(b, "client", peer.String(), maxValue)
	}
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(err.Status), 10)
	return append(appendText(appendText(b, "refused_by", "http", maxValue), "reason", err.Reason, maxReason), "}\n"...)
}

// appendMilliseconds appends a time with three digits behind the point.
func appendMilliseconds(b []byte, name string, d time.Duration) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendFloat(b, math.Round(float64(max(d, 0))/1e3)/1e3, 'f', -1, 64)
}

// appendText appends a field, unless it is empty. Whatever is in the text, it is valid JSON.
func appendText(b []byte, name, text string, most int) []byte {
	if text == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":"`...)
	b = appendEscaped(b, text, most)
	return append(b, '"')
}

func appendEscaped(b []byte, s string, most int) []byte {
	const digits = "0123456789abcdef"
	end := len(b) + most
	for i := 0; i < len(s); {
		if len(b) >= end {
			return append(b, "…"...)
		}
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if r >= 0x80 && r < 0xa0 || r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
				r = utf8.RuneError
			}
			b = utf8.AppendRune(b, r)
			i += size
		}
	}
	return b
}
