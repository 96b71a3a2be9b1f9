package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"syscall"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/perdure/perdure/internal/clock"
)

// maxAnswer bounds what an error repeats of a server's answer, in bytes.
const maxAnswer = 300

// Send sends a message and returns when the server has taken it. When the connection breaks
// after the last byte, the server may have taken it as well: then the error is temporary, and
// who sends it again gives it the same ID.
func (s *SMTP) Send(ctx context.Context, m *Message) error {
	if err := m.Validate(); err != nil {
		return err
	}
	msg, err := s.compose(m, clock.From(ctx).Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	conn := &connection{ctx: ctx}
	defer func() { _ = conn.Close() }()
	client, err := s.client(ctx, conn)
	if err != nil {
		return err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return s.failure(ctx, "connect", err, false)
	}
	err = client.SendWithSMTPClient(session, msg)
	if msg.IsDelivered() {
		_ = client.CloseWithSMTPClient(session) // the message is taken, whatever comes now
		return nil
	}
	return s.failure(ctx, "send", err, true)
}

// compose makes the message as it is sent.
func (s *SMTP) compose(m *Message, date time.Time) (*gomail.Msg, error) {
	to, err := parseAddress("To", m.To)
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	errs := []error{msg.From(s.from.String()), msg.To(to.String())}
	if m.ReplyTo != "" {
		var reply *netmail.Address
		if reply, err = parseAddress("ReplyTo", m.ReplyTo); err != nil {
			return nil, err
		}
		errs = append(errs, msg.ReplyTo(reply.String()))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &fieldError{"To", "or ReplyTo is no address"}
	}
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(s.messageID(m.ID))
	msg.SetDateWithValue(date)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answers of absence, please
	switch {
	case m.HTML == "":
		msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	case m.Text == "":
		msg.SetBodyString(gomail.TypeTextHTML, m.HTML)
	default:
		msg.SetBodyString(gomail.TypeTextPlain, m.Text)
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// messageID completes an ID by the domain of the sender.
func (s *SMTP) messageID(id string) string {
	if id == "" {
		id = NewID()
	}
	if !strings.Contains(id, "@") {
		id += s.from.Address[strings.LastIndexByte(s.from.Address, '@'):]
	}
	return id
}

// client returns a client whose connection is conn.
func (s *SMTP) client(ctx context.Context, conn *connection) (*gomail.Client, error) {
	options := []gomail.Option{
		// Its own deadline is a second one: that of ctx tells why it ended.
		gomail.WithPort(s.port), gomail.WithTimeout(2 * s.config.Timeout), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			return s.dial(ctx, conn, network, address)
		}),
	}
	switch s.config.TLS {
	case TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case TLSImplicit:
		options = append(options, gomail.WithSSL(), gomail.WithTLSConfig(s.tls.Clone()))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithTLSConfig(s.tls.Clone()))
	}
	if s.config.HELO != "" {
		options = append(options, gomail.WithHELO(s.config.HELO))
	}
	if s.config.Username != "" {
		password := s.config.Password
		if s.config.PasswordFunc != nil {
			var err error
			if password, err = s.config.PasswordFunc(ctx); err != nil {
				return nil, fmt.Errorf("mail: password of %q: %w", s.config.Username, err)
			}
		}
		options = append(options, gomail.WithSMTPAuthCustom(&login{
			username: s.config.Username, password: password, host: s.host, unprotected: s.config.TLS == TLSNone,
		}))
	}
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return client, nil
}

// connection is the connection of one message. It is closed when its context ends, whatever
// the client is waiting for.
type connection struct {
	ctx context.Context
	net.Conn
	stop func() bool
}

func (c *connection) Close() error {
	if c.Conn == nil {
		return nil
	}
	c.stop()
	return c.Conn.Close()
}

// dial connects, and keeps what it made in conn.
func (s *SMTP) dial(ctx context.Context, conn *connection, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{}
	if s.config.TLS == TLSNone {
		dialer.Control = loopbackOnly // a name may lead elsewhere
	}
	raw, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn.Conn = raw
	conn.stop = context.AfterFunc(conn.ctx, func() { _ = raw.Close() })
	if s.config.TLS != TLSImplicit {
		return raw, nil
	}
	secure := tls.Client(raw, s.tls)
	return secure, secure.HandshakeContext(ctx)
}

// loopbackOnly refuses to connect to another machine.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not on loopback, and nothing protects the connection", address)
	}
	return nil
}

// failure says what went wrong, and whether it is the message that did.
func (s *SMTP) failure(ctx context.Context, stage string, err error, sending bool) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("mail: %s: %s: %w", s.host, stage, cause)
	}
	f := &serverError{server: s.host, stage: stage, text: "the connection broke off"}
	if err != nil {
		f.text = cut(err.Error())
	}
	var answer *textproto.Error
	var refused *gomail.SendError
	switch {
	case errors.As(err, &refused):
		f.stage, f.code = refused.Reason.String(), refused.ErrorCode()
		f.text = cut(firstAnswer(refused))
	case errors.As(err, &answer):
		f.code, f.text = answer.Code, cut(answer.Msg)
	}
	f.permanent = sending && f.code >= 500 && f.code < 600 && !aboutLogin(f.code)
	return f
}

// aboutLogin reports whether a code complains of missing or wrong credentials: the operator
// mends those, and then the same message can be sent.
func aboutLogin(code int) bool {
	return code == 530 || code == 534 || code == 535 || code == 538
}

// firstAnswer is what a server said, without the addresses and ids that the client adds.
func firstAnswer(e *gomail.SendError) string {
	text, _, _ := strings.Cut(e.Error(), ", affected ")
	text = strings.TrimPrefix(text, e.Reason.String()+": ")
	if code := e.ErrorCode(); code != 0 {
		text = strings.TrimSpace(strings.TrimPrefix(text, fmt.Sprint(code)))
	}
	return text
}

// cut bounds what comes from outside.
func cut(s string) string {
	if len(s) > maxAnswer {
		s = strings.ToValidUTF8(s[:maxAnswer], "") + "…"
	}
	return s
}
