package balance

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// prober asks one target at a time how it is.
type prober struct {
	check   *entity.ActiveCheck
	timeout time.Duration
	host    string // the Host field, "" is the target's address
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tls.Config // nil without TLS
	http2   bool
}

// defaultProbe is the time for a check whose timeout is 0.
const defaultProbe = time.Minute

func (s *Set) newProber(u *entity.Upstream) *prober {
	a := &u.Healthchecks.Active
	p := &prober{check: a, timeout: seconds(a.Timeout), host: u.HostHeader, dial: s.o.Dial, http2: strings.HasPrefix(a.Type, "grpc")}
	if p.timeout <= 0 {
		p.timeout = defaultProbe
	}
	if a.Type == "https" || a.Type == "grpcs" {
		t := &tlsSettings{verify: a.HTTPSVerifyCertificate, depth: -1, client: u.ClientCertificate.To}
		p.tls = t.config(s.o.RootCAs, a.HTTPSSNI)
	}
	return p
}

// probe makes one check.
func (p *prober) probe(ctx context.Context, address string) (outcome, string, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	o, why, err := p.ask(ctx, address)
	var timeout net.Error
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		o, why = timedOut, "no answer within "+p.timeout.String()
	default:
		o, why = broken, err.Error()
	}
	return o, why, err
}

func (p *prober) ask(ctx context.Context, address string) (outcome, string, error) {
	if p.check.Type == "tcp" {
		nc, err := p.dial(ctx, "tcp", address)
		if err != nil {
			return 0, "", err
		}
		return good, "", nc.Close()
	}
	transport := p.transport(address)
	defer transport.CloseIdleConnections()
	if p.http2 {
		return p.askGRPC(ctx, transport, address)
	}
	request := p.request(ctx, http.MethodGet, address, p.check.HTTPPath, nil)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	why := fmt.Sprintf("status %d", response.StatusCode)
	_ = response.Body.Close() // the status says it
	switch {
	case slices.Contains(p.check.Healthy.HTTPStatuses, response.StatusCode):
		return good, why, nil
	case slices.Contains(p.check.Unhealthy.HTTPStatuses, response.StatusCode):
		return httpFailure, why, nil
	}
	return neither, why, nil
}

// transport opens a connection for one request: whether one can be opened is a part of what is checked.
func (p *prober) transport(address string) *http.Transport {
	t := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) { return p.dial(ctx, network, address) },
	}
	if p.tls != nil {
		t.TLSClientConfig = p.tls.Clone()
		if t.TLSClientConfig.ServerName == "" {
			t.TLSClientConfig.ServerName = hostOf(p.hostFor(address))
		}
	}
	if p.http2 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP2(p.tls != nil)
		t.Protocols.SetUnencryptedHTTP2(p.tls == nil)
	}
	return t
}

func (p *prober) hostFor(address string) string {
	if p.host != "" {
		return p.host
	}
	return address
}

func (p *prober) request(ctx context.Context, method, address, path string, body io.Reader) *http.Request {
	scheme := "http"
	if p.tls != nil {
		scheme = "https"
	}
	r := &http.Request{
		Method: method, URL: &url.URL{Scheme: scheme, Host: address, Opaque: path}, Host: p.hostFor(address),
		Header: http.Header{"User-Agent": {"perdure-gateway (health check)"}},
	}
	for name, values := range p.check.Headers {
		if http.CanonicalHeaderKey(name) == "Host" && len(values) > 0 {
			r.Host = values[0]
			continue
		}
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if body != nil {
		r.Body = io.NopCloser(body)
	}
	return r.WithContext(ctx)
}

// What is asked of a gRPC server, and what it answers: the protocol grpc.health.v1.
const (
	grpcMethod        = "/grpc.health.v1.Health/Check"
	grpcServing       = 1
	grpcUnimplemented = "12"
)

// askGRPC asks by gRPC's health checking protocol. A server that does not have it is there, at least.
func (p *prober) askGRPC(ctx context.Context, transport *http.Transport, address string) (outcome, string, error) {
	request := p.request(ctx, http.MethodPost, address, grpcMethod, bytes.NewReader(make([]byte, 5))) // an empty message
	request.Header["Content-Type"], request.Header["Te"] = []string{"application/grpc"}, []string{"trailers"}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	const largest = 4 << 10
	message, err := io.ReadAll(io.LimitReader(response.Body, largest))
	if err != nil {
		return 0, "", err
	}
	status := response.Trailer.Get("Grpc-Status")
	if status == "" {
		status = response.Header.Get("Grpc-Status")
	}
	switch {
	case response.StatusCode != http.StatusOK:
		return httpFailure, fmt.Sprintf("status %d", response.StatusCode), nil
	case status == grpcUnimplemented:
		return good, "", nil
	case status != "0":
		return httpFailure, "grpc-status " + status, nil
	case len(message) >= 7 && message[5] == 0x08 && message[6] == grpcServing: // field 1, a varint
		return good, "", nil
	}
	return httpFailure, "the server says that it is not serving", nil
}
