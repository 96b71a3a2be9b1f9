package certs

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync/atomic"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

// Source gives handshakes the plan of the day. It is safe for concurrent use.
type Source struct {
	plan   atomic.Pointer[Plan]
	config *tls.Config
}

// New returns a source with a plan; nil is one without certificates.
func New(plan *Plan) *Source {
	none := &Plan{clients: &clientAuth{}}
	s := &Source{config: none.config()}
	s.config.GetConfigForClient = s.choose
	if plan == nil {
		plan = none
	}
	s.plan.Store(plan)
	return s
}

// Swap makes another plan the one of the handshakes that begin from now on. Those that have begun, and connections,
// are not touched.
func (s *Source) Swap(plan *Plan) { s.plan.Store(plan) }

// Config returns the configuration of a server: TLS 1.2 or later, HTTP/2 and HTTP/1.1 (RFC 7301), sessions that can
// be resumed. It follows Swap, is the same at each call, and must not be changed.
func (s *Source) Config() *tls.Config { return s.config }

// choose implements tls.Config.GetConfigForClient. The keys of session tickets are those of s.config, whichever
// configuration is returned, so that sessions outlive a reload.
func (s *Source) choose(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	plan := s.plan.Load()
	config := plan.config()
	ask := plan.clients.find(hello.ServerName)
	if ask == nil {
		return config, nil
	}
	proxy.CertificateAsked(hello.Context())
	config.ClientAuth = tls.RequestClientCert
	if ask.send {
		config.ClientCAs = x509.NewCertPool()
		for _, c := range ask.authorities {
			config.ClientCAs.AddCert(c)
		}
	}
	config.WrapSession, config.UnwrapSession = s.wrap, s.unwrap
	return config, nil
}

func (p *Plan) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: p.certificate}
}

// wasAsked marks the sessions of clients that were asked for a certificate.
const wasAsked = "perdure: asked for a certificate"

// wrap marks a session.
func (s *Source) wrap(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
	session.Extra = append(session.Extra, []byte(wasAsked))
	return s.config.EncryptTicket(cs, session)
}

// unwrap has sessions resumed whose client was asked for a certificate, and no others: within a resumed session
// nobody is asked, so that a client from before a reload would have none for as long as its ticket is good.
func (s *Source) unwrap(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	session, err := s.config.DecryptTicket(identity, cs)
	if session == nil || err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(session.Extra, func(b []byte) bool { return string(b) == wasAsked }) {
		return nil, nil //nolint:nilnil // a full handshake
	}
	return session, nil
}
