package balance

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// description is all that makes an endpoint what it is: those of the same description are one, and are kept over
// reloads.
type description struct {
	address, host        string
	connect, read, write time.Duration
	http2, app           bool
	tls                  string // the settings' digest, "" without TLS
}

// tlsSettings say how a server is spoken to by TLS.
type tlsSettings struct {
	verify bool
	depth  int // how many authorities may be between the server and a trusted one; negative: any number
	trust  []*entity.CACertificate
	client *entity.Certificate
}

func (t *tlsSettings) digest() string {
	if t == nil {
		return ""
	}
	h := sha256.New()
	fmt.Fprintln(h, t.verify, t.depth)
	for _, ca := range t.trust {
		fmt.Fprintln(h, "ca", ca.Cert)
	}
	if t.client != nil && t.client.Pair != nil {
		for _, der := range t.client.Pair.Certificate {
			fmt.Fprintf(h, "client %x\n", der)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (t *tlsSettings) config(roots *x509.CertPool, name string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name, RootCAs: roots, InsecureSkipVerify: !t.verify} //nolint:gosec // Kong's default; the gateway's setting says otherwise
	if len(t.trust) > 0 {
		c.RootCAs = x509.NewCertPool()
		for _, ca := range t.trust {
			c.RootCAs.AppendCertsFromPEM([]byte(ca.Cert))
		}
	}
	if t.client != nil && t.client.Pair != nil {
		c.Certificates = []tls.Certificate{*t.client.Pair}
	}
	if t.verify && t.depth >= 0 {
		c.VerifyConnection = func(state tls.ConnectionState) error {
			for _, chain := range state.VerifiedChains {
				if len(chain)-2 <= t.depth { // without the server and the trusted one
					return nil
				}
			}
			return errTooDeep
		}
	}
	return c
}

var errTooDeep = errors.New("certificate of the upstream server: the chain is longer than tls_verify_depth allows")

// slot is the place of an endpoint in a balancer.
type slot struct {
	plan     *Plan
	d        description
	tls      *tlsSettings
	endpoint atomic.Pointer[proxy.Endpoint]
}

func (s *slot) get() *proxy.Endpoint {
	if e := s.endpoint.Load(); e != nil {
		return e
	}
	s.endpoint.CompareAndSwap(nil, s.plan.set.open(s.plan, s.d, s.tls))
	return s.endpoint.Load()
}

// newSlot describes the endpoint of a service at an address, which is a target's if upstream is not nil.
func (p *Plan) newSlot(s *entity.Service, upstream *entity.Upstream, host string, port int) *slot {
	host = strings.Trim(host, "[]")
	made := &slot{plan: p, d: description{
		address: net.JoinHostPort(host, strconv.Itoa(port)), host: withPort(host, port, s.TLS()),
		connect: milliseconds(s.ConnectTimeout), read: milliseconds(s.ReadTimeout), write: milliseconds(s.WriteTimeout),
		http2: s.Protocol == "grpc" || s.Protocol == "grpcs", app: host == AppHost,
	}}
	if upstream != nil && upstream.HostHeader != "" {
		made.d.host = upstream.HostHeader
		if _, _, err := net.SplitHostPort(made.d.host); err != nil { // the port is the target's, as in Kong
			made.d.host = withPort(made.d.host, port, s.TLS())
		}
	}
	if s.TLS() {
		t := &tlsSettings{verify: p.set.o.TLSVerify, depth: -1, trust: s.Trust, client: s.ClientCertificate.To}
		if s.TLSVerify != nil {
			t.verify = *s.TLSVerify
		}
		if s.TLSVerifyDepth != nil {
			t.depth = *s.TLSVerifyDepth
		}
		if t.client == nil && upstream != nil {
			t.client = upstream.ClientCertificate.To
		}
		made.tls, made.d.tls = t, t.digest()
	}
	p.used[made.d] = true
	return made
}

// endpointOptions says how the endpoint of a description is spoken to.
func (s *Set) endpointOptions(d description, t *tlsSettings) proxy.EndpointOptions {
	o := proxy.EndpointOptions{
		Address: d.address, Host: d.host, HTTP2: d.http2, Connect: d.connect, Read: d.read, Write: d.write,
		Limits: s.o.Limits, Dial: s.o.Dial, Sweeper: s.o.Sweeper,
	}
	if d.app {
		return proxy.EndpointOptions{Host: d.host, Handler: s.o.App}
	}
	if t != nil {
		o.TLS = t.config(s.o.RootCAs, hostOf(d.host))
	}
	return o
}

// withPort is a Host field: without the port if it is the protocol's.
func withPort(host string, port int, secure bool) string {
	if port == 80 && !secure || port == 443 && secure {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// hostOf is the host of an authority.
func hostOf(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return strings.Trim(authority, "[]")
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }
