package mail_test

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/smtptest"
	"github.com/perdure/perdure/mail"
)

func hello() *mail.Message {
	return &mail.Message{To: "ada@example.org", Subject: "Hello", Text: "It lasts.\n"}
}

// newSender returns a sender to s; change, unless nil, changes its configuration.
func newSender(t testing.TB, s *smtptest.Server, change func(*mail.SMTPConfig)) *mail.SMTP {
	t.Helper()
	c := mail.SMTPConfig{Address: s.Name, From: "Perdure <app@example.com>", RootCAs: s.Pool()}
	if change != nil {
		change(&c)
	}
	sender, err := mail.NewSMTP(c)
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

// sent is a message as a mail program reads it.
type sent struct {
	header netmail.Header
	kinds  []string // of its bodies
	bodies []string
}

func parse(t testing.TB, data []byte) sent {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	s := sent{header: m.Header}
	s.part(t, m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body)
	return s
}

func (s *sent) part(t testing.TB, contentType, encoding string, body io.Reader) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	s.kinds = append(s.kinds, kind)
	if strings.HasPrefix(kind, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			s.part(t, p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p)
		}
	}
	if encoding == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	s.bodies = append(s.bodies, strings.ReplaceAll(string(b), "\r\n", "\n"))
}

func (s *sent) decoded(t testing.TB, name string) string {
	t.Helper()
	v, err := new(mime.WordDecoder).DecodeHeader(s.header.Get(name))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// one returns the only message that a server took.
func one(t testing.TB, s *smtptest.Server) smtptest.Message {
	t.Helper()
	all := s.Messages()
	if len(all) != 1 {
		t.Fatalf("the server took %d messages", len(all))
	}
	return all[0]
}
