// Package smtptest runs an SMTP server inside a test: with STARTTLS, logins, and answers that
// fail as the test says. It listens on loopback and keeps what it takes.
package smtptest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/perdure/perdure/internal/keystore"
)

// Stage is a step of a session.
type Stage string

// The stages, in their order.
const (
	Hello Stage = "hello"
	Auth  Stage = "auth"
	Mail  Stage = "mail"
	Rcpt  Stage = "rcpt"
	Data  Stage = "data" // when all of it has come
)

// ErrDrop is the fault that closes the connection.
var ErrDrop = errors.New("smtptest: connection dropped")

// Answer is the fault that answers with a code.
func Answer(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: text}
}

// Options are the server's configuration.
type Options struct {
	// Username and Password, when set, are needed to send.
	Username, Password string
	// Implicit speaks TLS from the first byte on; otherwise there is STARTTLS.
	Implicit bool
	// Plain offers no TLS at all.
	Plain bool
	// Fault, unless nil, is asked at each stage. It may be called at any time, several times
	// at once.
	Fault func(Stage) error
}

// Message is what the server took.
type Message struct {
	From, To string
	Data     []byte
	User     string // who was logged in
	TLS      bool
}

// Server is an SMTP server.
type Server struct {
	// Addr is "127.0.0.1:port"; Name the same with localhost.
	Addr, Name string

	options Options
	ca      *keystore.CA
	server  *smtp.Server

	mu    sync.Mutex
	taken []Message
}

// New starts a server, which runs until Close.
func New(o Options) (*Server, error) {
	s := &Server{options: o}
	var err error
	if s.ca, err = keystore.OpenCA(keystore.NewMemory()); err != nil {
		return nil, err
	}
	config, err := s.ca.TLSConfig()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Addr = listener.Addr().String()
	s.Name = fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	s.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		one := &session{server: s, conn: c}
		return one, one.fault(Hello)
	}))
	s.server.Domain, s.server.MaxMessageBytes = "localhost", 4<<20
	s.server.AllowInsecureAuth = o.Plain
	s.server.ReadTimeout, s.server.WriteTimeout = time.Minute, time.Minute
	s.server.ErrorLog = quiet{}
	switch {
	case o.Implicit:
		listener = tls.NewListener(listener, config)
	case !o.Plain:
		s.server.TLSConfig = config
	}
	go func() { _ = s.server.Serve(listener) }()
	return s, nil
}

// Start starts a server that runs until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Close ends the server.
func (s *Server) Close() { _ = s.server.Close() }

// Pool is what a client trusts to reach the server.
func (s *Server) Pool() *x509.CertPool { return s.ca.Pool() }

// Messages returns what the server took, oldest first.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken)
}

// session is one of a client.
type session struct {
	server  *Server
	conn    *smtp.Conn
	message Message
	user    string
}

// fault returns what goes wrong at a stage.
func (s *session) fault(at Stage) error {
	if s.server.options.Fault == nil {
		return nil
	}
	err := s.server.options.Fault(at)
	if errors.Is(err, ErrDrop) {
		_ = s.conn.Conn().Close()
	}
	return err
}

func (s *session) Reset() { s.message = Message{} }

func (s *session) Logout() error { return nil }

func (s *session) AuthMechanisms() []string {
	if s.server.options.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if err := s.fault(Auth); err != nil {
			return err
		}
		if username != s.server.options.Username || password != s.server.options.Password {
			return smtp.ErrAuthFailed
		}
		s.user = username
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.options.Username != "" && s.user == "" {
		return Answer(530, "log in first")
	}
	_, secure := s.conn.TLSConnectionState()
	s.message = Message{From: from, User: s.user, TLS: secure}
	return s.fault(Mail)
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.message.To = to
	return s.fault(Rcpt)
}

func (s *session) Data(r io.Reader) (err error) {
	if s.message.Data, err = io.ReadAll(r); err != nil {
		return err
	}
	if err := s.fault(Data); err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.taken = append(s.server.taken, s.message)
	return nil
}

// quiet drops the server's log: what goes wrong is what the test wants.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}
