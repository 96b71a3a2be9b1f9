package login

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// issuerTimeout bounds a request to the issuer.
	issuerTimeout = 10 * time.Second
	// maxIssuerAnswer bounds what the issuer answers.
	maxIssuerAnswer = 1 << 20
)

var errAnswerTooLarge = errors.New("login: the answer of the issuer is too large")

// issuerClient returns a client whose answers are bounded, and that never sends a form on to where it was
// redirected: forms hold codes and secrets.
func issuerClient(given *http.Client) *http.Client {
	client := http.Client{Timeout: issuerTimeout}
	if given != nil {
		client = *given
	}
	client.Transport = boundedTransport{client.Transport}
	follow := client.CheckRedirect
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		switch {
		case via[0].Method != http.MethodGet:
			return http.ErrUseLastResponse
		case via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
			return errors.New("login: the issuer redirects to plain http")
		case follow != nil:
			return follow(r, via)
		case len(via) > 3:
			return errors.New("login: the issuer redirects too often")
		}
		return nil
	}
	return &client
}

// boundedTransport bounds the bodies of answers.
type boundedTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxIssuerAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errAnswerTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
