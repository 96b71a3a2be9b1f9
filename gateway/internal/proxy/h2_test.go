package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

// h2Upstream is an HTTP/2 server: with TLS, or by prior knowledge without.
func h2Upstream(t *testing.T, secure bool, h http.Handler) (address string, pool *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if secure {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	t.Cleanup(s.Close)
	pool = x509.NewCertPool()
	if secure {
		pool.AddCert(s.Certificate())
	}
	return s.Listener.Addr().String(), pool
}

// certificate is httptest's.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}, pool
}

// h2Client speaks HTTP/2 to the gateway.
func h2Client(t *testing.T, pool *x509.CertPool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "example.com"}}
	transport.Protocols.SetHTTP2(pool != nil)
	transport.Protocols.SetUnencryptedHTTP2(pool == nil)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// rpc answers as a gRPC server does: a body, and the status in a trailer.
func rpc(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("X-Te", r.Header.Get("Te"))
	w.Header().Set("X-Seen", r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-Forwarded-For")+" "+r.Proto)
	_ = http.NewResponseController(w).Flush() // no length, so that trailers can follow
	_, _ = w.Write(body)
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"tls", "prior knowledge"} {
		for _, out := range []string{"h2 by TLS", "h2 by prior knowledge", "h1", "handler"} {
			t.Run(in+" to "+out, func(t *testing.T) {
				t.Parallel()
				var config *tls.Config
				var roots *x509.CertPool
				scheme := "http"
				if in == "tls" {
					config, roots = certificate(t)
					scheme = "https"
				}
				g := newGateway(t, proxy.Options{}, config)
				var o proxy.EndpointOptions
				switch out {
				case "h2 by TLS":
					address, pool := h2Upstream(t, true, http.HandlerFunc(rpc))
					o = proxy.EndpointOptions{Address: address, HTTP2: true, TLS: &tls.Config{RootCAs: pool, ServerName: "example.com"}}
				case "h2 by prior knowledge":
					address, _ := h2Upstream(t, false, http.HandlerFunc(rpc))
					o = proxy.EndpointOptions{Address: address, HTTP2: true}
				case "h1":
					s := httptest.NewServer(http.HandlerFunc(rpc))
					t.Cleanup(s.Close)
					o = proxy.EndpointOptions{Address: s.Listener.Addr().String()}
				case "handler":
					o = proxy.EndpointOptions{Handler: http.HandlerFunc(rpc)}
				}
				g.to(t, o, nil)
				client := h2Client(t, roots)
				for _, size := range []int{0, 10, 200 << 10} {
					data := strings.Repeat("x", size)
					request, err := http.NewRequestWithContext(t.Context(), "POST", scheme+"://"+g.address+"/pkg.Service/Method?q", strings.NewReader(data))
					if err != nil {
						t.Fatal(err)
					}
					request.Header.Set("Content-Type", "application/grpc")
					request.Header.Set("Te", "trailers")
					r, err := client.Do(request)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(r.Body)
					if err != nil || string(body) != data {
						t.Errorf("answered %d bytes, %v, want %d", len(body), err, size)
					}
					r.Body.Close()
					if r.ProtoMajor != 2 || r.Trailer.Get("Grpc-Status") != "0" {
						t.Errorf("answered by %s with trailers %v", r.Proto, r.Trailer)
					}
					seen := r.Header.Get("X-Seen")
					if !strings.HasPrefix(seen, "POST /pkg.Service/Method?q 127.0.0.1 HTTP/") {
						t.Errorf("the upstream saw %q", seen)
					}
					if strings.HasPrefix(out, "h2") && (r.Header.Get("X-Te") != "trailers" || !strings.HasSuffix(seen, "HTTP/2.0")) {
						t.Errorf("the upstream saw %q and TE %q", seen, r.Header.Get("X-Te"))
					}
				}
			})
		}
	}
}

func TestHTTP1ToHTTP2(t *testing.T) {
	t.Parallel()
	address, _ := h2Upstream(t, false, http.HandlerFunc(rpc))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: address, HTTP2: true}, nil)
	c := g.dial(t)
	data := strings.Repeat("x", 100<<10)
	for range 2 {
		c.send(lines("POST /x HTTP/1.1", "Host: a", "Content-Length: 5") + "hello")
		if r, body := c.response("POST"); body != "hello" || r.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("answered %q, trailers %v", body, r.Trailer)
		}
		go c.send(lines("POST /x HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(data), data))
		if r, body := c.response("POST"); body != data {
			t.Errorf("answered %d, %d bytes", r.StatusCode, len(body))
		}
	}
}

func TestHTTP2StreamsOfEvents(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	address, _ := h2Upstream(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
			}
		}
	}))
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: address, HTTP2: true}, nil)
	r, err := h2Client(t, nil).Get("http://" + g.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	event := make([]byte, 9)
	for range 3 {
		if _, err := io.ReadFull(r.Body, event); err != nil {
			t.Fatal(err)
		}
		next <- struct{}{}
	}
}

func TestHTTP2ClientThatLeaves(t *testing.T) {
	t.Parallel()
	asked, gone := make(chan struct{}), make(chan struct{})
	up := newUpstream(t, func(_ net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		close(asked)
		_, _ = r.ReadByte()
		close(gone)
	})
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Address: up.address()}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+g.address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if r, err := h2Client(t, nil).Do(request); err == nil {
			r.Body.Close()
			t.Error("answered")
		}
	}()
	<-asked
	cancel()
	<-gone
	<-done
}

func TestTLS(t *testing.T) {
	t.Parallel()
	config, roots := certificate(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto"), " ", r.Proto)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	g := newGateway(t, proxy.Options{}, config)
	g.to(t, proxy.EndpointOptions{Address: s.Listener.Addr().String(), TLS: &tls.Config{RootCAs: pool, ServerName: "example.com"}}, nil)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	for range 3 {
		r, err := client.Get("https://" + g.address + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if string(body) != "https HTTP/1.1" || err != nil {
			t.Errorf("answered %q, %v", body, err)
		}
	}
	g.to(t, proxy.EndpointOptions{Address: s.Listener.Addr().String(), TLS: &tls.Config{ServerName: "example.com"}}, nil)
	r, err := client.Get("https://" + g.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusBadGateway {
		t.Errorf("an upstream whose certificate nobody trusts answered %d", r.StatusCode)
	}
}

func TestHandlerInThisProcess(t *testing.T) {
	t.Parallel()
	g := newGateway(t, proxy.Options{}, nil)
	g.to(t, proxy.EndpointOptions{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := proxy.FromContext(r.Context())
		if x == nil {
			t.Error("no exchange in the context")
			return
		}
		switch r.URL.Path {
		case "/empty":
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/stream":
			for range 3 {
				_, _ = io.WriteString(w, "abc")
				_ = http.NewResponseController(w).Flush()
			}
		default:
			body, err := io.ReadAll(r.Body)
			w.Header().Set("Connection", "X-Private")
			w.Header().Set("X-Private", "1")
			fmt.Fprint(w, r.Host, " ", r.RequestURI, " ", string(body), " ", err, " ", r.Header.Get("X-Forwarded-For"), " ", r.RemoteAddr[:10], " ", x.Principal)
		}
	})}, func(c *proxy.Chain) {
		c.Access = []proxy.Access{accessFunc(func(x *proxy.Exchange) { x.Principal = "me" })}
	})
	c := g.dial(t)
	c.send(lines("POST /a%2Fb?q HTTP/1.1", "Host: a", "Content-Length: 5") + "hello")
	r, body := c.response("POST")
	if want := "a /a%2Fb?q hello <nil> 127.0.0.1 127.0.0.1: me"; body != want || r.Header.Get("X-Private") != "" || r.Header.Get("Content-Type") == "" {
		t.Errorf("answered %q %v, want %q", body, r.Header, want)
	}
	c.send(lines("GET /empty HTTP/1.1", "Host: a"))
	if r, body := c.response("GET"); body != "" || r.StatusCode != http.StatusOK || r.ContentLength != 0 {
		t.Errorf("answered %d %q", r.StatusCode, body)
	}
	c.send(lines("GET /stream HTTP/1.1", "Host: a"))
	if _, body := c.response("GET"); body != "abcabcabc" {
		t.Errorf("answered %q", body)
	}
	c.send(lines("GET /panic HTTP/1.1", "Host: a"))
	c.closed()
}
