package proxy_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

// exchanger sends one request after another through a gateway, and allocates nothing
// itself.
type exchanger struct {
	client  net.Conn
	request []byte
	buf     []byte
	want    int // bytes of the answer
}

func newExchanger(t testing.TB, o proxy.Options, request string) *exchanger {
	up, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := up.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf, answer := make([]byte, 16<<10), []byte(hello)
		for n := 0; ; {
			k, err := nc.Read(buf[n:])
			if err != nil {
				return
			}
			n += k
			if !bytes.Contains(buf[:n], []byte("\r\n\r\n")) {
				continue
			}
			n = 0
			if _, err := nc.Write(answer); err != nil {
				return
			}
		}
	}()
	g := newGateway(t, o, nil)
	g.to(t, proxy.EndpointOptions{Address: up.Addr().String()}, nil)
	c := g.dial(t)
	t.Cleanup(func() {
		c.Close()
		up.Close()
	})
	e := &exchanger{client: c.Conn, request: []byte(request), buf: make([]byte, 16<<10)}
	c.send(request)
	n, err := io.ReadAtLeast(c.Conn, e.buf, 40)
	if err != nil {
		t.Fatal(err)
	}
	e.want = n
	return e
}

func (e *exchanger) exchange(t testing.TB) {
	if _, err := e.client.Write(e.request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(e.client, e.buf[:e.want]); err != nil {
		t.Fatal(err)
	}
}

const plain = "GET /api/things?id=7 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b\r\n\r\n"

func BenchmarkExchange(b *testing.B) {
	e := newExchanger(b, proxy.Options{Headers: proxy.KongHeaders}, plain)
	b.ReportAllocs()
	for b.Loop() {
		e.exchange(b)
	}
}
