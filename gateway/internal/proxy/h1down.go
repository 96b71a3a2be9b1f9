package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// h1Down is the client's side of an exchange on HTTP/1.1. There is one for each
// connection, with an exchange that is used again and again.
type h1Down struct {
	x    Exchange
	c    *h1.ServerConn
	line string // Host and target of the last request, of which the strings of its parts are
	host int    // length of Host in line
}

// h1Handler adapts the server to h1.
type h1Handler struct{ s *Server }

// ServeH1 implements h1.Handler.
func (h h1Handler) ServeH1(c *h1.ServerConn) {
	d, ok := c.State.(*h1Down)
	if !ok {
		d = h.s.newH1Down(c)
		c.State = d
	}
	d.take()
	h.s.serve(&d.x)
}

// Refuse implements h1.Handler.
func (h h1Handler) Refuse(c *h1.ServerConn, err *h1.ProtocolError) {
	if h.s.options.Refused != nil {
		h.s.options.Refused(c.NetConn().RemoteAddr(), err)
	}
}

// ServeH2 implements h1.Handler.
func (h h1Handler) ServeH2(c net.Conn) bool { return h.s.serveH2(c) }

func (s *Server) newH1Down(c *h1.ServerConn) *h1Down {
	d := &h1Down{c: c}
	d.x.server, d.x.down = s, d
	nc := c.NetConn()
	d.x.Peer, d.x.ServerPort = addrs(nc)
	if tc, ok := nc.(*tls.Conn); ok {
		state := tc.ConnectionState()
		d.x.TLS = &state
		_, d.x.CertificateAsked = s.asked.Load(tc)
	}
	return d
}

// addrs returns who the peer is, and the port it has connected to. A peer on a Unix
// socket is this machine.
func addrs(nc net.Conn) (peer netip.AddrPort, port uint16) {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		peer = a.AddrPort()
		peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	} else {
		peer = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	}
	if a, ok := nc.LocalAddr().(*net.TCPAddr); ok {
		port = a.AddrPort().Port()
	}
	return peer, port
}

// take makes an exchange of the connection's request.
func (d *h1Down) take() {
	x, r := &d.x, &d.c.Request
	x.reset()
	x.Start, x.base = d.x.server.clock.Now(), monotonic()
	d.remember(r)
	q := &x.Request
	q.Method, q.Major, q.Minor = r.Method, 1, r.Minor
	q.Host = d.line[:d.host]
	target := d.line[d.host:]
	q.Path = target[:len(r.Path)]
	if q.HasQuery = r.HasQuery; r.HasQuery {
		q.Query = target[len(r.Path):]
	}
	if isWebSocket(r) {
		q.Upgrade = "websocket"
	}
	r.Fields.RemoveHopByHop()
	r.Fields.RemoveHost()
	q.Fields = &r.Fields
	q.Length = r.Length
	q.Body = &d.c.Body
}

// isWebSocket reports whether the client asks to switch to WebSocket, the one protocol to
// which the gateway switches. Behind another one, such as h2c, requests would pass that
// nobody has looked at. A request with a body does not switch: it, and what comes through the tunnel, would be read by two
// at once.
func isWebSocket(r *h1.Request) bool {
	return r.Method == http.MethodGet && r.Length == 0 && strings.EqualFold(string(r.Upgrade()), "websocket")
}

// remember makes strings of what the exchange has as strings; none are made when the
// client asks for the same again.
func (d *h1Down) remember(r *h1.Request) {
	if n := len(r.Host) + len(r.Path) + len(r.Query); len(d.line) == n && d.host == len(r.Host) {
		rest := d.line[d.host:]
		if d.line[:d.host] == string(r.Host) && rest[:len(r.Path)] == string(r.Path) && rest[len(r.Path):] == string(r.Query) {
			return
		}
	}
	var short [256]byte
	line := append(short[:0], r.Host...)
	line = append(line, r.Path...)
	line = append(line, r.Query...)
	d.line, d.host = string(line), len(r.Host)
}

func (d *h1Down) inform(status int, fields *h1.Fields) error { return d.c.Inform(status, fields) }
func (d *h1Down) respond(r *h1.Reply)                        { d.c.Respond(r) }
func (d *h1Down) write(p []byte) (int, error)                { return d.c.Write(p) }
func (d *h1Down) flush() error                               { return d.c.Flush() }
func (d *h1Down) finish(trailers *h1.Fields) error           { return d.c.Finish(trailers) }
func (d *h1Down) abort()                                     { d.c.Abort() }
func (d *h1Down) withdraw() bool                             { return d.c.Withdraw() }
func (d *h1Down) begun() bool                                { return d.c.Begun() }
func (d *h1Down) close()                                     { d.c.Close() }
func (d *h1Down) buffered() ([]byte, bool)                   { return d.c.Buffered() }
func (d *h1Down) stopBody()                                  { d.c.StopBody() }
func (d *h1Down) interruptBody()                             { d.c.InterruptBody() }
func (d *h1Down) watch(a h1.Abandoner)                       { d.c.Watch(a) }
func (d *h1Down) context() context.Context                   { return d.x.server.context }

func (d *h1Down) switchTo(up *h1.ClientConn, fields *h1.Fields, x *Exchange) error {
	return d.c.Switch(up, fields, x.Endpoint.o.Read)
}
