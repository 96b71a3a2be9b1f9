package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/perdure/perdure/gateway/internal/h1"
)

// DryRun has the Handler of the day decide about a request that nobody has sent, and
// returns the exchange with its notes. Nothing reaches an upstream, no filter and no log
// runs; x.DryRun tells plugins not to count it. Client is who would have sent it; if that
// is a trusted proxy, the request's forwarding fields count.
func (s *Server) DryRun(ctx context.Context, r *http.Request, client netip.Addr) *Exchange {
	d := &nullDown{ctx: ctx}
	x := &d.x
	x.server, x.down = s, d
	x.Start, x.base = s.clock.Now(), monotonic()
	x.DryRun, x.Explain = true, true
	x.Peer, x.TLS = netip.AddrPortFrom(client.Unmap(), 0), r.TLS
	d.fields = new(h1.Fields)
	for name, values := range r.Header {
		for _, v := range values {
			d.fields.Add(name, v)
		}
	}
	d.fields.RemoveHopByHop()
	d.fields.RemoveHost()
	q := &x.Request
	q.Method, q.Host, q.Path, q.Query = r.Method, r.Host, r.URL.EscapedPath(), r.URL.RawQuery
	if q.Path == "" {
		q.Path = "/"
	}
	q.HasQuery = r.URL.RawQuery != "" || r.URL.ForceQuery
	q.Major, q.Minor = 1, 1
	q.Fields, q.Length = d.fields, r.ContentLength
	q.Body = newReaderBody(strings.NewReader(""))
	s.serve(x)
	return x
}

// nullDown is the client's side of an exchange without a client.
type nullDown struct {
	x      Exchange
	ctx    context.Context
	fields *h1.Fields
}

func (d *nullDown) inform(int, *h1.Fields) error                         { return nil }
func (d *nullDown) respond(*h1.Reply)                                    {}
func (d *nullDown) write(p []byte) (int, error)                          { return len(p), nil }
func (d *nullDown) flush() error                                         { return nil }
func (d *nullDown) finish(*h1.Fields) error                              { return nil }
func (d *nullDown) abort()                                               {}
func (d *nullDown) withdraw() bool                                       { return true }
func (d *nullDown) begun() bool                                          { return false }
func (d *nullDown) close()                                               {}
func (d *nullDown) buffered() ([]byte, bool)                             { return nil, true }
func (d *nullDown) stopBody()                                            {}
func (d *nullDown) interruptBody()                                       {}
func (d *nullDown) watch(h1.Abandoner)                                   {}
func (d *nullDown) switchTo(*h1.ClientConn, *h1.Fields, *Exchange) error { return errNoUpgrade }
func (d *nullDown) context() context.Context                             { return d.ctx }
