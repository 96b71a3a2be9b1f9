package proxy

import (
	"strconv"
	"time"
)

// serverToken is the Server field of answers that are the gateway's own.
const serverToken = "perdure"

// Headers say which of Kong's fields are added.
type Headers struct {
	// Via adds Via to requests and responses.
	Via bool
	// Latency adds X-Kong-Upstream-Latency and X-Kong-Proxy-Latency to responses, or
	// X-Kong-Response-Latency to local answers, in milliseconds.
	Latency bool
	// RequestID adds X-Kong-Request-Id to requests and responses.
	RequestID bool
}

// KongHeaders are what Kong adds unless told otherwise.
var KongHeaders = Headers{Via: true, Latency: true, RequestID: true}

// addHeaders adds the fields to the head of a response.
func (x *Exchange) addHeaders() {
	h, fields := x.server.options.Headers, x.Response.Fields
	if h.Latency {
		if x.proxied {
			fields.Set("X-Kong-Upstream-Latency", milliseconds(x.Timing.Head-x.Timing.Sent))
			fields.Set("X-Kong-Proxy-Latency", milliseconds(x.Timing.Sent))
		} else {
			fields.Set("X-Kong-Response-Latency", milliseconds(x.Elapsed()))
		}
	}
	if h.Via && x.proxied {
		fields.Add("Via", x.via())
	}
	if h.RequestID {
		fields.Del("X-Kong-Request-Id")
		fields.AddBytes("X-Kong-Request-Id", x.idBytes())
	}
}

// milliseconds are whole ones; small numbers, which most are, cost no allocation.
func milliseconds(d time.Duration) string { return strconv.Itoa(int(d / time.Millisecond)) }
