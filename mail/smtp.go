package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"time"
)

// TLSPolicy says how the connection to a server is protected.
type TLSPolicy int

const (
	// TLSMandatory: STARTTLS, and nothing is sent when the server does not offer it. It is
	// the default.
	TLSMandatory TLSPolicy = iota
	// TLSImplicit: TLS from the first byte on, which is what port 465 speaks.
	TLSImplicit
	// TLSNone: no protection. The server is on this machine's loopback.
	TLSNone
)

// SMTPConfig is how messages are sent by SMTP. Address and From are needed.
type SMTPConfig struct {
	// Address is "host:port" of the server; without a port it is 587, with TLSImplicit 465,
	// with TLSNone 25.
	Address string
	// From is the sender of all messages: an address, or "Name <address>".
	From string
	// Username, unless empty, is sent with the password, by SCRAM-SHA-256, PLAIN or LOGIN.
	Username string
	// Password belongs to Username.
	Password string
	// PasswordFunc, unless nil, is asked for the password for each message, in place of
	// Password: for one that changes.
	PasswordFunc func(context.Context) (string, error)
	// TLS is how the connection is protected; default TLSMandatory.
	TLS TLSPolicy
	// RootCAs, unless nil, are trusted instead of those of the system.
	RootCAs *x509.CertPool
	// HELO is the name by which the server is greeted; default the machine's.
	HELO string
	// Timeout bounds the sending of a message, from connecting to the last answer; default
	// one minute.
	Timeout time.Duration
}

// Format implements fmt.Formatter: no verb prints the password.
func (c SMTPConfig) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "SMTP server %q, from %q", c.Address, c.From)
}

// SMTP sends messages by an SMTP server, each on a connection of its own. It is safe for
// concurrent use.
type SMTP struct {
	config SMTPConfig
	host   string
	port   int
	from   *mail.Address
	tls    *tls.Config
}

// NewSMTP returns a sender. It does not connect. Its error matches ErrConfig.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	s := &SMTP{config: c}
	if s.config.Timeout == 0 {
		s.config.Timeout = time.Minute
	}
	if err := errors.Join(s.address(), s.sender(), s.credentials(), s.protection(), s.rest()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return s, nil
}

// Format implements fmt.Formatter: no verb prints the password.
func (s *SMTP) Format(f fmt.State, verb rune) { s.config.Format(f, verb) }

func (s *SMTP) address() error {
	host, port, err := net.SplitHostPort(s.config.Address)
	if err != nil { // no port
		host = strings.Trim(s.config.Address, "[]")
		port = map[TLSPolicy]string{TLSImplicit: "465", TLSNone: "25"}[s.config.TLS]
		if port == "" {
			port = "587"
		}
	}
	if !isDomain(host) && net.ParseIP(host) == nil {
		return fmt.Errorf(`Address is %q: want "host:port"`, s.config.Address)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf(`Address has the port %q: want 1 to 65535`, port)
	}
	s.host, s.port = host, int(n)
	return nil
}

func (s *SMTP) sender() (err error) {
	if s.from, err = parseAddress("From", s.config.From); err != nil {
		return fmt.Errorf("From is %q: want an address", s.config.From)
	}
	return nil
}

func (s *SMTP) credentials() error {
	switch c := s.config; {
	case c.Username == "" && (c.Password != "" || c.PasswordFunc != nil):
		return errors.New("Password is given, but no Username")
	case c.Username != "" && (c.Password == "") == (c.PasswordFunc == nil):
		return errors.New("Username needs one of Password and PasswordFunc")
	case strings.ContainsFunc(c.Username+c.Password, isControl):
		return errors.New("Username or Password has a control character")
	}
	return nil
}

func (s *SMTP) protection() error {
	switch s.config.TLS {
	case TLSNone:
		if ip := net.ParseIP(s.host); s.host != "localhost" && !(ip != nil && ip.IsLoopback()) {
			return fmt.Errorf("TLS is TLSNone, which is for a server on loopback, not for %q", s.host)
		}
	case TLSMandatory, TLSImplicit:
		s.tls = &tls.Config{ServerName: s.host, RootCAs: s.config.RootCAs, MinVersion: tls.VersionTLS12}
	default:
		return fmt.Errorf("TLS is %d: want TLSMandatory, TLSImplicit or TLSNone", s.config.TLS)
	}
	return nil
}

func (s *SMTP) rest() error {
	if s.config.Timeout < 0 {
		return fmt.Errorf("Timeout is %v: want more than 0", s.config.Timeout)
	}
	if h := s.config.HELO; h != "" && !isDomain(h) {
		return fmt.Errorf("HELO is %q: want a host name", h)
	}
	return nil
}

var (
	_ Sender        = (*SMTP)(nil)
	_ fmt.Formatter = SMTPConfig{}
	_ io.Closer     = (*connection)(nil)
)
