package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/router"
)

// Report says how a request was answered, or would be, and why. It has no secrets. Its form in JSON is stable; String is for people.
type Report = observe.Report

// Summary is a request that was refused or failed, in a list.
type Summary = observe.Summary

// Question is a request that nobody has sent, to be explained.
type Question struct {
	Method string `json:"method"`
	// URL is absolute: its host and scheme count for routes.
	URL     string      `json:"url"`
	Headers http.Header `json:"headers,omitempty"`
	// Client is the IP address that it would come from. Default: 127.0.0.1.
	Client string `json:"client,omitempty"`
}

// Validate names what is wrong.
func (q Question) Validate() error {
	_, _, err := q.request(context.Background())
	return err
}

// request makes the request, and the address of its client.
func (q Question) request(ctx context.Context) (*http.Request, netip.Addr, error) {
	client := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	u, err := url.Parse(q.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, client, fmt.Errorf("url %q: want one such as http://localhost:8000/orders", q.URL)
	}
	if q.Client != "" {
		if client, err = netip.ParseAddr(q.Client); err != nil {
			return nil, client, fmt.Errorf("client %q: want an IP address", q.Client)
		}
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, q.URL, nil)
	if err != nil {
		return nil, client, fmt.Errorf("method %q: want one such as GET", q.Method)
	}
	for name, values := range q.Headers {
		if strings.EqualFold(name, "Host") && len(values) > 0 {
			r.Host = values[0]
			continue
		}
		for _, v := range values {
			r.Header.Add(name, v)
		}
	}
	if u.Scheme == "https" {
		r.TLS = &tls.ConnectionState{ServerName: u.Hostname(), HandshakeComplete: true}
	}
	return r, client, nil
}

// Explain says how a request would be answered by the configuration in use. Nothing is sent, and nothing counted.
func (g *Gateway) Explain(ctx context.Context, q Question) (*Report, error) {
	r, client, err := q.request(ctx)
	if err != nil {
		return nil, err
	}
	x := g.server.DryRun(ctx, r, client)
	if s := settingOf(x); s != nil {
		return s.Report(x), nil
	}
	return observe.NewReport(x, &router.Explanation{}, nil), nil
}

// Explain says how a request would be answered by the declarations in files. The error is ErrConfiguration if there are errors in
// them.
func Explain(ctx context.Context, files []string, q Question, plugins ...*Plugin) (*Report, error) {
	o := newOffline(files, plugins)
	defer o.close()
	if o.made == nil {
		return nil, &configurationError{o.problems}
	}
	return o.g.Explain(ctx, q)
}
