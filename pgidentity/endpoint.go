package pgidentity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
)

const (
	// The environment variables by which a program under "perdure identity exec" knows its endpoint, those of Azure App
	// Service.
	EndpointVariable = "IDENTITY_ENDPOINT"
	SecretVariable   = "IDENTITY_HEADER"

	pathToken, pathCertificate = "/perdure/identity/token", "/perdure/identity/certificate"
	maxAnswer                  = 256 << 10 // bytes
)

// ErrNoIdentity: the program was not given a managed identity.
var ErrNoIdentity = errors.New("pgidentity: no managed identity: " + EndpointVariable + " and " + SecretVariable + " are not set; start the program by: perdure identity exec -- COMMAND")

// Endpoint is the loopback endpoint of managed identities. It is a Signer.
type Endpoint struct {
	// URL is that of IDENTITY_ENDPOINT: of the tokens, or of the certificates, which are beside them. It has a loopback
	// address, or https.
	URL string
	// Secret is that of IDENTITY_HEADER.
	Secret string
	// ClientID chooses one of several identities that the program has; empty for the first.
	ClientID string
	// Client sends the requests; nil for one that goes through no proxy and follows no redirect.
	Client *http.Client
}

// EndpointFrom returns the endpoint that the environment names; getenv is os.Getenv. ErrNoIdentity: it names none.
func EndpointFrom(getenv func(string) string) (*Endpoint, error) {
	e := &Endpoint{URL: getenv(EndpointVariable), Secret: getenv(SecretVariable)}
	if e.URL == "" || e.Secret == "" {
		return nil, ErrNoIdentity
	}
	_, err := e.address("", "")
	return e, err
}

// address is the URL that a certificate is asked at.
func (e *Endpoint) address(server, lease string) (string, error) {
	u, err := url.Parse(e.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return "", errors.New("pgidentity: the endpoint of managed identities is not a URL")
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return "", errors.New("pgidentity: the endpoint of managed identities is not on this machine")
	}
	if before, ok := strings.CutSuffix(u.Path, pathToken); ok {
		u.Path = before + pathCertificate
	}
	q := url.Values{"server": {server}}
	if lease != "" {
		q.Set("lease", lease)
	}
	if e.ClientID != "" {
		q.Set("client_id", e.ClientID)
	}
	u.RawQuery, u.Fragment = q.Encode(), ""
	return u.String(), nil
}

// direct sends a secret to this machine: through no proxy, and nowhere that an answer leads.
var direct = &http.Client{
	Transport:     &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 2, IdleConnTimeout: fetchTime},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Sign implements Signer.
func (e *Endpoint) Sign(ctx context.Context, server, lease string, request []byte) (*Answer, error) {
	address, err := e.address(server, lease)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-IDENTITY-HEADER", e.Secret)
	r.Header.Set("Content-Type", "application/pkcs10")
	client := e.Client
	if client == nil {
		client = direct
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, &RefusedError{Status: response.StatusCode, Detail: detail(response.Header.Get("Content-Type"), body)}
	}
	var a Answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("%w: not JSON", ErrAnswer)
	}
	return &a, nil
}

// RefusedError is an answer of the endpoint that has no certificate. A Status of 403 says that the identity has no rights on
// the database server.
type RefusedError struct {
	Status int
	Detail string
}

// Error implements error.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("refused with status %d", e.Status)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// detail is what a problem (RFC 9457) says.
func detail(contentType string, body []byte) string {
	var p struct {
		Detail string `json:"detail"`
	}
	if kind, _, err := mime.ParseMediaType(contentType); err != nil || kind != "application/problem+json" || json.Unmarshal(body, &p) != nil {
		return ""
	}
	if len(p.Detail) > 500 {
		p.Detail = p.Detail[:500]
	}
	return strings.ToValidUTF8(p.Detail, "?")
}
