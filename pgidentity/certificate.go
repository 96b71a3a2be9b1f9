package pgidentity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Certificate is a client certificate with what is needed to use it.
type Certificate struct {
	// TLS has the certificate and its key.
	TLS tls.Certificate
	// Authorities are those of the database server; they vouch for nobody else.
	Authorities *x509.CertPool
	// Role is who the certificate logs in as.
	Role string
	// Host and Port are where the server is. Its certificate is for that host.
	Host string
	Port int
	// NotAfter is when the certificate ends.
	NotAfter time.Time
}

// Source gives certificates for database servers, which are named as they were registered. It is safe for concurrent
// use. Each call is a new one.
type Source interface {
	Certificate(ctx context.Context, server string) (*Certificate, error)
}

// Signer gets a certificate for the public key of a certificate request (PKCS #10 in DER). Lease is the id of a leased role,
// or empty for that of the identity. An Endpoint is one; so is, in the app itself, what asks the authority without a request.
type Signer interface {
	Sign(ctx context.Context, server, lease string, request []byte) (*Answer, error)
}

// SignerFunc is a function as a Signer.
type SignerFunc func(ctx context.Context, server, lease string, request []byte) (*Answer, error)

// Sign implements Signer.
func (f SignerFunc) Sign(ctx context.Context, server, lease string, request []byte) (*Answer, error) {
	return f(ctx, server, lease, request)
}

// Answer is what a Signer returns: the JSON of the endpoint.
type Answer struct {
	Certificate string    `json:"certificate"` // PEM
	CA          string    `json:"ca"`          // PEM, one or more
	Role        string    `json:"role"`
	Host        string    `json:"host"`
	Port        int       `json:"port"`
	NotAfter    time.Time `json:"not_after"`
}

// ErrAnswer: what a Signer returned is not a certificate for the key that was asked for.
var ErrAnswer = errors.New("pgidentity: unusable answer")

// NewSource returns a source of certificates for the identity of s. It makes a key for each.
func NewSource(s Signer) Source { return source{signer: s} }

// Leased is NewSource for the role of a lease, which ends at a time.
func Leased(s Signer, lease string) Source { return source{s, lease} }

type source struct {
	signer Signer
	lease  string
}

// Certificate implements Source.
func (s source) Certificate(ctx context.Context, server string) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	answer, err := s.signer.Sign(ctx, server, s.lease, request)
	if err != nil {
		return nil, fmt.Errorf("pgidentity: certificate for database server %q: %w", server, err)
	}
	c, err := answer.use(key)
	if err != nil {
		return nil, fmt.Errorf("%w: for database server %q: %w", ErrAnswer, server, err)
	}
	return c, nil
}

// use checks an answer and joins it with the key.
func (a *Answer) use(key crypto.Signer) (*Certificate, error) {
	c := &Certificate{Role: a.Role, Host: a.Host, Port: a.Port, Authorities: x509.NewCertPool(), TLS: tls.Certificate{PrivateKey: key}}
	for rest := []byte(a.Certificate); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		c.TLS.Certificate = append(c.TLS.Certificate, b.Bytes)
	}
	if len(c.TLS.Certificate) == 0 {
		return nil, errors.New("no certificate")
	}
	leaf, err := x509.ParseCertificate(c.TLS.Certificate[0])
	if err != nil {
		return nil, errors.New("no certificate")
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		return nil, errors.New("a certificate for another key")
	}
	if a.Role == "" || leaf.Subject.CommonName != a.Role {
		return nil, errors.New("a certificate for another role")
	}
	if a.Host == "" || a.Port < 1 || a.Port > 65535 {
		return nil, errors.New("no address")
	}
	if !c.Authorities.AppendCertsFromPEM([]byte(a.CA)) {
		return nil, errors.New("no certificate authority")
	}
	c.TLS.Leaf, c.NotAfter = leaf, leaf.NotAfter
	return c, nil
}
