package mail_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/smtptest"
	"github.com/perdure/perdure/mail"
)

func TestSendOverEachProtection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server smtptest.Options
		tls    mail.TLSPolicy
	}{
		"STARTTLS": {smtptest.Options{Username: "app", Password: "geheim"}, mail.TLSMandatory},
		"implicit": {smtptest.Options{Username: "app", Password: "geheim", Implicit: true}, mail.TLSImplicit},
		"none":     {smtptest.Options{Username: "app", Password: "geheim", Plain: true}, mail.TLSNone},
		"no login": {smtptest.Options{}, mail.TLSMandatory},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := smtptest.Start(t, c.server)
			sender := newSender(t, s, func(config *mail.SMTPConfig) {
				config.TLS, config.Username, config.Password = c.tls, c.server.Username, c.server.Password
			})
			ctx := clock.With(t.Context(), clock.NewManual(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)))
			if err := sender.Send(ctx, hello()); err != nil {
				t.Fatal(err)
			}
			got := one(t, s)
			if got.From != "app@example.com" || got.To != "ada@example.org" || got.User != c.server.Username || got.TLS != (c.tls != mail.TLSNone) {
				t.Errorf("%+v", got)
			}
			m := parse(t, got.Data)
			if f := m.header.Get("From"); f != `"Perdure" <app@example.com>` {
				t.Errorf("from %q", f)
			}
			if d := m.header.Get("Date"); d != "Wed, 04 Mar 2026 12:00:00 +0000" {
				t.Errorf("date %q", d)
			}
			if m.header.Get("Auto-Submitted") != "auto-generated" || m.header.Get("User-Agent") != "" {
				t.Errorf("header %v", m.header)
			}
			if !slices.Equal(m.kinds, []string{"text/plain"}) || m.bodies[0] != "It lasts.\n" {
				t.Errorf("%q: %q", m.kinds, m.bodies)
			}
		})
	}
}

func TestMessageIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	s := smtptest.Start(t, smtptest.Options{})
	sender := newSender(t, s, nil)
	for _, c := range []struct {
		m     mail.Message
		kinds []string
		to    string
		id    string
	}{
		{mail.Message{ID: "welcome-42", To: "ada@example.org", Subject: "Grüße 👋 " + strings.Repeat("lang ", 40), Text: ".\n..\nend.\n"},
			[]string{"text/plain"}, "<ada@example.org>", "<welcome-42@example.com>"},
		{mail.Message{ID: "x@other.example", To: `"Løvelace, Ada" <ada+tag@example.org>`, Subject: "s", HTML: "<p>Größe</p>\n"},
			[]string{"text/html"}, `"Løvelace, Ada" <ada+tag@example.org>`, "<x@other.example>"},
		{mail.Message{To: "ada@bücher.example", ReplyTo: "Bob <bob@example.org>", Subject: strings.Repeat("x", mail.MaxSubject), Text: "long " + strings.Repeat("é", 2000), HTML: "<b>x</b>"},
			[]string{"multipart/alternative", "text/plain", "text/html"}, "<ada@xn--bcher-kva.example>", ""},
	} {
		before := len(s.Messages())
		if err := sender.Send(t.Context(), &c.m); err != nil {
			t.Fatal(err)
		}
		m := parse(t, s.Messages()[before].Data)
		if got := m.decoded(t, "Subject"); got != c.m.Subject {
			t.Errorf("subject %q, want %q", got, c.m.Subject)
		}
		if !slices.Equal(m.kinds, c.kinds) {
			t.Errorf("kinds %q, want %q", m.kinds, c.kinds)
		}
		var want []string
		for _, body := range []string{c.m.Text, c.m.HTML} {
			if body != "" {
				want = append(want, body)
			}
		}
		if !slices.Equal(m.bodies, want) {
			t.Errorf("bodies %q, want %q", m.bodies, want)
		}
		to, err := m.header.AddressList("To")
		if err != nil || len(to) != 1 || strings.Trim(fmt.Sprintf("%q <%s>", to[0].Name, to[0].Address), `" `) != strings.Trim(c.to, `" `) {
			t.Errorf("to %v, %v; want %s", to, err, c.to)
		}
		if id := m.header.Get("Message-ID"); c.id != "" && id != c.id || !strings.HasSuffix(id, ".com>") && c.id == "" {
			t.Errorf("id %q, want %q", id, c.id)
		}
		if c.m.ReplyTo != "" && m.header.Get("Reply-To") != `"Bob" <bob@example.org>` {
			t.Errorf("reply to %q", m.header.Get("Reply-To"))
		}
		for line := range strings.SplitSeq(string(s.Messages()[before].Data), "\r\n") {
			if len(line) > 998 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	}
}

// Each step of a session can fail. Only what is wrong with the message is permanent.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, stage := range []smtptest.Stage{smtptest.Hello, smtptest.Auth, smtptest.Mail, smtptest.Rcpt, smtptest.Data} {
		about := stage == smtptest.Mail || stage == smtptest.Rcpt || stage == smtptest.Data
		for _, c := range []struct {
			fault     error
			permanent bool
			says      string
		}{
			{smtptest.Answer(421, "come back later"), false, "come back later"},
			{smtptest.Answer(450, "mailbox busy"), false, "mailbox busy"},
			{smtptest.Answer(550, "no such user"), about, "no such user"},
			{smtptest.Answer(554, "spam: "+strings.Repeat("x", 400)), about, "xxx"},
			{smtptest.Answer(535, "bad credentials"), false, "bad credentials"},
			{smtptest.ErrDrop, false, ""},
		} {
			t.Run(fmt.Sprintf("%s %v", stage, c.fault)[:12], func(t *testing.T) {
				t.Parallel()
				var failing atomic.Bool
				failing.Store(true)
				s := smtptest.Start(t, smtptest.Options{Username: "app", Password: "geheim", Fault: func(at smtptest.Stage) error {
					if at == stage && failing.Load() {
						return c.fault
					}
					return nil
				}})
				sender := newSender(t, s, func(config *mail.SMTPConfig) {
					config.Username, config.Password = "app", "geheim"
				})
				err := sender.Send(t.Context(), hello())
				if err == nil || errors.Is(err, mail.ErrPermanent) != c.permanent || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v; want permanent %v", err, c.permanent)
				}
				if strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "ada@") || len(err.Error()) > 450 {
					t.Errorf("too much in %q", err)
				}
				if n := len(s.Messages()); n != 0 {
					t.Errorf("%d were taken", n)
				}
				failing.Store(false)
				if err := sender.Send(t.Context(), hello()); err != nil {
					t.Errorf("after that: %v", err)
				}
			})
		}
	}
}

func TestWrongPasswordIsTheOperatorsToMend(t *testing.T) {
	t.Parallel()
	s := smtptest.Start(t, smtptest.Options{Username: "app", Password: "new"})
	passwords := []string{"geheim", "new"}
	sender := newSender(t, s, func(c *mail.SMTPConfig) {
		c.Username = "app"
		c.PasswordFunc = func(context.Context) (string, error) {
			if len(passwords) == 0 {
				return "", errors.New("no vault")
			}
			p := passwords[0]
			passwords = passwords[1:]
			return p, nil
		}
	})
	err := sender.Send(t.Context(), hello())
	if err == nil || errors.Is(err, mail.ErrPermanent) || !strings.Contains(err.Error(), "535") || strings.Contains(err.Error(), "geheim") {
		t.Errorf("%v", err)
	}
	if err := sender.Send(t.Context(), hello()); err != nil {
		t.Errorf("with the new one: %v", err)
	}
	if err := sender.Send(t.Context(), hello()); err == nil || !strings.Contains(err.Error(), "no vault") {
		t.Errorf("without: %v", err)
	}
	anonymous := newSender(t, s, nil)
	if err := anonymous.Send(t.Context(), hello()); err == nil || errors.Is(err, mail.ErrPermanent) {
		t.Errorf("not logged in: %v", err)
	}
}

// Nothing is sent over a connection that is not protected as it must be.
func TestUnprotectedServerGetsNothing(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	note := func(at smtptest.Stage) error { seen.Store(at, true); return nil }
	plain := smtptest.Start(t, smtptest.Options{Username: "app", Password: "geheim", Plain: true, Fault: note})
	secure := smtptest.Start(t, smtptest.Options{Username: "app", Password: "geheim", Fault: note})
	login := func(c *mail.SMTPConfig) { c.Username, c.Password = "app", "geheim" }
	for name, sender := range map[string]*mail.SMTP{
		"no STARTTLS": newSender(t, plain, login),
		"no TLS":      newSender(t, plain, func(c *mail.SMTPConfig) { login(c); c.TLS = mail.TLSImplicit; c.Timeout = 5 * time.Second }),
		"not trusted": newSender(t, secure, func(c *mail.SMTPConfig) { login(c); c.RootCAs = plain.Pool() }),
	} {
		if err := sender.Send(t.Context(), hello()); err == nil || errors.Is(err, mail.ErrPermanent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, stage := range []smtptest.Stage{smtptest.Auth, smtptest.Mail} {
		if _, ok := seen.Load(stage); ok {
			t.Errorf("the server came to %s", stage)
		}
	}
}

// rawServer answers connections by a script: it sends the first line, then one for each that
// it gets. "" sends nothing.
func rawServer(t *testing.T, script ...string) (address string, closed chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	closed = make(chan struct{}, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close(); closed <- struct{}{} }()
		lines := bufio.NewReader(conn)
		for _, answer := range script {
			if _, err := conn.Write([]byte(answer)); err != nil {
				return
			}
			if _, err := lines.ReadString('\n'); err != nil {
				return
			}
		}
	}()
	return l.Addr().String(), closed
}

func TestStrangeServers(t *testing.T) {
	t.Parallel()
	for name, script := range map[string][]string{
		"busy":            {"421 too many connections\r\n"},
		"no mail here":    {"554 no SMTP service here\r\n"},
		"hangs up":        {},
		"no SMTP":         {"HTTP/1.1 400 Bad Request\r\n\r\n"},
		"endless":         {"220-" + strings.Repeat("x", 1<<20)},
		"drops at DATA":   {"220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n"},
		"drops at RCPT":   {"220 x\r\n", "250 x\r\n", "250 ok\r\n"},
		"says it is sent": {"220 x\r\n", "250 x\r\n", "250 ok\r\n", "550 5.1.1 unknown\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, closed := rawServer(t, script...)
			sender, err := mail.NewSMTP(mail.SMTPConfig{Address: address, From: "a@b.example", TLS: mail.TLSNone, Timeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			err = sender.Send(t.Context(), hello())
			if err == nil || errors.Is(err, mail.ErrPermanent) != (name == "says it is sent") || len(err.Error()) > 450 {
				t.Errorf("%v", err)
			}
			<-closed
		})
	}
}

// A server that says nothing holds nobody longer than the context or the timeout lasts, and
// keeps no connection.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	for name, script := range map[string][]string{
		"at once": {""}, "after the greeting": {"220 x\r\n", ""}, "after the sender": {"220 x\r\n", "250 x\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, closed := rawServer(t, append(script, "", "")...)
			sender, err := mail.NewSMTP(mail.SMTPConfig{Address: address, From: "a@b.example", TLS: mail.TLSNone, Timeout: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if err := sender.Send(t.Context(), hello()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			<-closed

			address, _ = rawServer(t, append(script, "", "")...)
			if sender, err = mail.NewSMTP(mail.SMTPConfig{Address: address, From: "a@b.example", TLS: mail.TLSNone}); err != nil {
				t.Fatal(err)
			}
			gone := errors.New("nobody waits")
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(gone)
			if err := sender.Send(ctx, hello()); !errors.Is(err, gone) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A message that the server took was sent, however the connection ends.
func TestServerHangsUpAfterTakingIt(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		lines := bufio.NewReader(conn)
		_, _ = conn.Write([]byte("220 x\r\n"))
		for data := false; ; {
			line, err := lines.ReadString('\n')
			switch {
			case err != nil:
				return
			case line == ".\r\n":
				_, _ = conn.Write([]byte("250 taken\r\n"))
				return
			case data:
			case strings.HasPrefix(line, "DATA"):
				data = true
				_, _ = conn.Write([]byte("354 go on\r\n"))
			default:
				_, _ = conn.Write([]byte("250 ok\r\n"))
			}
		}
	}()
	sender, err := mail.NewSMTP(mail.SMTPConfig{Address: l.Addr().String(), From: "a@b.example", TLS: mail.TLSNone})
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), hello()); err != nil {
		t.Error(err)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := smtptest.Start(t, smtptest.Options{})
	sender := newSender(t, s, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			m := hello()
			m.ID = fmt.Sprint("id-", i)
			if err := sender.Send(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ids := map[string]bool{}
	for _, m := range s.Messages() {
		p := parse(t, m.Data)
		ids[p.header.Get("Message-ID")] = true
	}
	if len(ids) != 8 {
		t.Errorf("%d messages: %v", len(s.Messages()), ids)
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	password := func(context.Context) (string, error) { return "", nil }
	for says, c := range map[string]mail.SMTPConfig{
		`Address is ""`:             {From: "a@b.example"},
		`Address is "a b:25"`:       {Address: "a b:25", From: "a@b.example"},
		`Address has the port "x"`:  {Address: "mail.example:x", From: "a@b.example"},
		`Address has the port "0"`:  {Address: "mail.example:0", From: "a@b.example"},
		`From is ""`:                {Address: "mail.example"},
		`From is "a@b\r\nBcc: c@d"`: {Address: "mail.example", From: "a@b\r\nBcc: c@d"},
		"Password is given":         {Address: "mail.example", From: "a@b.example", Password: "geheim"},
		"needs one of Password":     {Address: "mail.example", From: "a@b.example", Username: "a"},
		"one of Password and Passw": {Address: "mail.example", From: "a@b.example", Username: "a", Password: "geheim", PasswordFunc: password},
		"control character":         {Address: "mail.example", From: "a@b.example", Username: "a\r\n", Password: "geheim"},
		"TLS is TLSNone":            {Address: "mail.example", From: "a@b.example", TLS: mail.TLSNone},
		"TLS is 7":                  {Address: "mail.example", From: "a@b.example", TLS: 7},
		"Timeout is -1s":            {Address: "mail.example", From: "a@b.example", Timeout: -time.Second},
		`HELO is "x y"`:             {Address: "mail.example", From: "a@b.example", HELO: "x y"},
	} {
		_, err := mail.NewSMTP(c)
		if !errors.Is(err, mail.ErrConfig) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%v, want %q", err, says)
		}
	}
	for _, address := range []string{"localhost", "127.0.0.1", "127.9.9.9:2525", "::1", "[::1]:2525"} {
		if _, err := mail.NewSMTP(mail.SMTPConfig{Address: address, From: "a@b.example", TLS: mail.TLSNone}); err != nil {
			t.Error(err)
		}
	}
	c := mail.SMTPConfig{Address: "mail.example", From: "a@b.example", Username: "u", Password: "geheim", HELO: "app.example"}
	s, err := mail.NewSMTP(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb+verb+verb, c, s, &c); strings.Contains(text, "geheim") || !strings.Contains(text, "mail.example") {
			t.Error(text)
		}
	}
}
