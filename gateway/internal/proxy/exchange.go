package proxy

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"time"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// Body is a body that is being received, of a request or of a response.
type Body interface {
	// Next returns bytes that have come, at least one, and waits for them if need be.
	// They are valid until the next call. At the end it returns io.EOF.
	Next() ([]byte, error)
	// Read is io.Reader's.
	Read(p []byte) (int, error)
	// Buffered reports whether Next would return at once.
	Buffered() bool
	// Done reports whether the end was read.
	Done() bool
	// Limit makes a body of more than n bytes end with h1.ErrBodyTooLarge.
	Limit(n int64)
	// Trailers are the fields after the body, once its end was read.
	Trailers() *h1.Fields
}

// Request is what the client asks. Strings may be kept; what Fields return as bytes is
// valid until the exchange ends.
type Request struct {
	Method string
	// Scheme is "http" or "https": that of the connection, or what a trusted proxy says.
	Scheme string
	// Host is the authority, with the port if it was given.
	Host string
	// Path is the path as it was sent, escapes included.
	Path string
	// Query is what follows the "?"; HasQuery tells an empty one from none.
	Query    string
	HasQuery bool
	// Major and Minor are the version of HTTP.
	Major, Minor int
	// Fields are the header fields without those that are for one connection alone, and
	// without Host. Changes go to the upstream.
	Fields *h1.Fields
	// Length is the Content-Length, -1 if it is not known, 0 without a body.
	Length int64
	// Body is the body.
	Body Body
	// Upgrade is the protocol to which the client asks to switch, "" for none.
	Upgrade string
}

// Response is what is answered. It is there once a response has come, or Answer was
// called.
type Response struct {
	Status int
	Reason []byte
	// Fields are the header fields without those that are for one connection alone.
	// Changes go to the client.
	Fields *h1.Fields
	// Length is the Content-Length, -1 if it is not known.
	Length int64
}

// Target is how the upstream is asked. A route changes it; it begins as the request.
type Target struct {
	// Host is the Host field; "" is that of the endpoint.
	Host string
	// Path, Query and HasQuery are the request-target.
	Path, Query string
	HasQuery    bool
	// Prefix is the part of the path that was stripped, for X-Forwarded-Prefix.
	Prefix string
}

// Timing is when the parts of an exchange happened, since its start.
type Timing struct {
	// Access is when the plugins had decided; Sent when the last attempt to reach an
	// upstream began; Head when the response's head had come; End when all was written.
	Access, Sent, Head, End time.Duration
}

// Note is a reason that is remembered for explain.
type Note struct {
	// Who decided: a plugin, the router, the balancer.
	Who string
	// Reason is what and why, in words.
	Reason string
	// Refusal says that the request was answered for this reason.
	Refusal bool
}

// Exchange is a request and its answer. It is used by one goroutine, and not valid after
// Handler.Serve has returned.
type Exchange struct {
	Request  Request
	Response Response
	Target   Target

	// Peer is who the connection is from; Client who the request is from, behind trusted
	// proxies. ServerPort is the port that the client has connected to.
	Peer       netip.AddrPort
	Client     netip.Addr
	ServerPort uint16
	// TLS is the state of the connection, nil without TLS.
	TLS *tls.ConnectionState
	// CertificateAsked says that the client was asked for a certificate in TLS's handshake.
	CertificateAsked bool
	// Trusted says that the peer is a trusted proxy.
	Trusted bool

	// Start is when the request's head had come.
	Start time.Time
	// Timing is how long its parts took.
	Timing Timing

	// Route, Service, Consumer and Credential are what the router and the plugins have
	// found; nil is none.
	Route, Service, Consumer, Credential any
	// Principal is who is asking, for handlers in this process.
	Principal any
	// Endpoint is the endpoint of the last attempt, and Attempts how many there were.
	Endpoint *Endpoint
	Attempts int
	// Balancer, unless nil, chooses the endpoints of this exchange instead of that of its
	// chain: a plugin sends it elsewhere.
	Balancer Balancer
	// Err is why there was no response, or why it ended early.
	Err error
	// Sent is how many bytes of the response's body were given to the client.
	Sent int64

	// DryRun says that the request was not sent by anybody, and must not be counted.
	DryRun bool
	// Explain says that notes are wanted.
	Explain bool
	// Notes are the reasons given so far.
	Notes []Note

	server   *Server
	down     downstream
	base     time.Duration // Start by the monotonic clock
	id       [32]byte
	hasID    bool
	answered bool
	answer   []byte // the body of a local answer
	local    h1.Fields
	reply    h1.Reply // kept here, so that it is not allocated for each answer
	whole    bool     // the request's body is all there
	body     []byte
	ctx      context.Context
	cancel   context.CancelFunc
	values   []value
	added    []field
	chain    *Chain
	proxied  bool // the response is an upstream's
	// wantsTrailers says that the client takes trailer fields (TE: trailers).
	wantsTrailers bool
	// conn is the connection to an HTTP/1.1 upstream; broken says that it cannot be used
	// again.
	conn   *h1.ClientConn
	broken bool
}

// reset makes the exchange ready for another request.
func (x *Exchange) reset() {
	notes, local, values, added := x.Notes[:0], x.local, x.values, x.added
	local.Reset()
	clear(values)
	clear(added)
	*x = Exchange{server: x.server, down: x.down, Notes: notes, local: local, values: values[:0], added: added[:0], Peer: x.Peer, ServerPort: x.ServerPort, TLS: x.TLS, CertificateAsked: x.CertificateAsked}
}

// ID is the id of the request: 32 hexadecimal digits, random. It is valid until the
// exchange ends.
func (x *Exchange) idBytes() []byte {
	if !x.hasID {
		x.hasID = true
		var b [16]byte
		hi, lo := rand.Uint64(), rand.Uint64()
		for i := range 8 {
			b[i], b[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
		}
		hex.Encode(x.id[:], b[:])
	}
	return x.id[:]
}

// ID is the id of the request, 32 hexadecimal digits. It is made here: what a client
// sends as one does not count.
func (x *Exchange) ID() string { return string(x.idBytes()) }

// AppendID appends the id of the request.
func (x *Exchange) AppendID(to []byte) []byte { return append(to, x.idBytes()...) }

// Note remembers why something was decided, if explain wants to know.
func (x *Exchange) Note(who, reason string) {
	if x.Explain {
		x.Notes = append(x.Notes, Note{Who: who, Reason: reason})
	}
}

// value is something that is remembered under a key.
type value struct{ key, value any }

// Value returns what SetValue has set for a key: what plugins remember from one phase to
// the next.
func (x *Exchange) Value(key any) any {
	for i := range x.values { // there are few
		if x.values[i].key == key {
			return x.values[i].value
		}
	}
	return nil
}

// SetValue sets a value. The key should be of a type of the caller's own.
func (x *Exchange) SetValue(key, v any) {
	for i := range x.values {
		if x.values[i].key == key {
			x.values[i].value = v
			return
		}
	}
	x.values = append(x.values, value{key, v})
}

// field is a header field of the response that is still to come.
type field struct{ name, value string }

// AddResponse adds a field to the head of the response, whoever answers, before the filters see it.
func (x *Exchange) AddResponse(name, value string) { x.added = append(x.added, field{name, value}) }

// Elapsed is the time since Start.
func (x *Exchange) Elapsed() time.Duration { return monotonic() - x.base }

// Context is done when the exchange has ended, or the client has left.
func (x *Exchange) Context() context.Context {
	if x.ctx == nil {
		x.ctx, x.cancel = context.WithCancel(x.down.context())
	}
	return x.ctx
}

// SetContext replaces the context by one that was made of it, for handlers in this process to find something there.
func (x *Exchange) SetContext(ctx context.Context) { x.ctx = ctx }

// Answer decides the exchange: it is answered by this response instead of an upstream's.
// The first one counts.
func (x *Exchange) Answer(status int, contentType string, body []byte) {
	if x.answered {
		return
	}
	x.answered = true
	x.answer = body
	x.local.Reset()
	x.Response = Response{Status: status, Fields: &x.local, Length: int64(len(body))}
	if contentType != "" {
		x.local.Add("Content-Type", contentType)
	}
}

// AnswerMessage answers with Kong's {"message": …} and the request's id, laid out as plugin.Error does.
func (x *Exchange) AnswerMessage(status int, message string) {
	body := appendJSONString([]byte("{\n  \"message\":"), message)
	body = append(body, ",\n  \"request_id\":\""...)
	body = append(body, x.idBytes()...)
	body = append(body, "\"\n}"...)
	x.Answer(status, "application/json; charset=utf-8", body)
}

// Answered reports whether Answer was called.
func (x *Exchange) Answered() bool { return x.answered }

// Local reports whether the answer is the gateway's own.
func (x *Exchange) Local() bool { return !x.proxied }

// fail answers for an upstream that gave no answer.
func (x *Exchange) fail(err error) {
	status, message := failure(err)
	if x.Request.Body != nil && !x.Request.Body.Done() {
		x.down.close() // where the next request begins is not known
	}
	x.answered = false
	x.AnswerMessage(status, message)
}

// end releases what the exchange has.
func (x *Exchange) end() {
	x.release()
	if x.cancel != nil {
		x.cancel()
	}
}

// writeAnswer writes the local answer.
func (x *Exchange) writeAnswer() {
	x.local.Add("Server", serverToken)
	x.respond()
	if x.Request.Method != http.MethodHead {
		n, _ := x.down.write(x.answer)
		x.Sent += int64(n)
	}
	if err := x.down.finish(nil); err != nil && x.Err == nil {
		x.Err = err
	}
}

var epoch = time.Now()

// monotonic is the time since the process started; it costs half of time.Now.
func monotonic() time.Duration { return time.Since(epoch) }

func appendJSONString(to []byte, s string) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < ' ' || c == '<' || c == '>' || c == '&':
			to = append(to, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}
