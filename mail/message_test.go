package mail_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/smtptest"
	"github.com/perdure/perdure/mail"
)

func TestInvalidMessages(t *testing.T) {
	t.Parallel()
	change := func(f func(*mail.Message)) *mail.Message {
		m := hello()
		f(m)
		return m
	}
	set := map[string]func(*mail.Message, string){
		"ID":      func(m *mail.Message, s string) { m.ID = s },
		"To":      func(m *mail.Message, s string) { m.To = s },
		"ReplyTo": func(m *mail.Message, s string) { m.ReplyTo = s },
		"Subject": func(m *mail.Message, s string) { m.Subject = s },
	}
	cases := map[*mail.Message]string{
		nil: "Message",
		change(func(m *mail.Message) { m.To = "" }):                                          "To",
		change(func(m *mail.Message) { m.Subject = "" }):                                     "Subject",
		change(func(m *mail.Message) { m.Subject = "=?utf-8?q?=0A?=" }):                      "Subject",
		change(func(m *mail.Message) { m.Text = "" }):                                        "Text",
		change(func(m *mail.Message) { m.Text = "\xff" }):                                    "Text",
		change(func(m *mail.Message) { m.HTML = "\xff" }):                                    "HTML",
		change(func(m *mail.Message) { m.HTML = strings.Repeat("x", mail.MaxBody) }):         "Text",
		change(func(m *mail.Message) { m.Subject = strings.Repeat("x", mail.MaxSubject+1) }): "Subject",
		change(func(m *mail.Message) { m.ID = strings.Repeat("x", mail.MaxID+1) }):           "ID",
		change(func(m *mail.Message) { m.To = strings.Repeat("x", mail.MaxAddress) + "@x" }): "To",
	}
	// Nothing adds a header or a command.
	for field, f := range set {
		for _, s := range []string{
			"a@b.example\r\nBcc: eve@example.org", "a@b.example\nX: y", "a\r@b.example", "a@b.example\x00", "\x1b[2J", "a\u2028b", "a\x85b", "\xff",
		} {
			cases[change(func(m *mail.Message) { f(m, s) })] = field
		}
	}
	for _, field := range []string{"To", "ReplyTo"} {
		for _, s := range []string{
			"ada", "@example.org", "ada@", "a@b.example, c@d.example", "a@b.example c@d.example", `"a> NOTIFY=NEVER <b"@example.org`, `"a b"@example.org`, `"a"b@x.example`,
			"ada@[127.0.0.1]", "ada@[IPv6:::1]", "ada@exa mple.org", "ada@-x.example", "ada@x..example", "ä@example.org", ".a@example.org",
			"=?utf-8?q?x=0D=0ABcc:_y?= <a@b.example>", "ada@" + strings.Repeat("x", 64) + ".example", strings.Repeat("x", 65) + "@b.example",
		} {
			cases[change(func(m *mail.Message) { set[field](m, s) })] = field
		}
	}
	for _, s := range []string{"<a@b>", "a b", "a@b@c", "a@", "@b", "a..b", "a>b"} {
		cases[change(func(m *mail.Message) { m.ID = s })] = "ID"
	}
	s := smtptest.Start(t, smtptest.Options{})
	smtp, memory := newSender(t, s, nil), mail.NewMemory()
	for m, field := range cases {
		for _, sender := range []mail.Sender{smtp, memory} {
			err := sender.Send(t.Context(), m)
			if !errors.Is(err, mail.ErrInvalid) || !errors.Is(err, mail.ErrPermanent) || !strings.Contains(err.Error(), "message: "+field+" ") {
				t.Errorf("%+v: %v, want one about %s", m, err, field)
			}
		}
	}
	if len(s.Messages())+len(memory.Messages()) != 0 {
		t.Error("something was sent")
	}
}

func TestValidMessages(t *testing.T) {
	t.Parallel()
	memory := mail.NewMemory()
	for _, to := range []string{"ada@example.org", "Ada <ada@example.org>", `"Dr. Ada, L." <a.d-a+x_y@sub.example.org>`, "root@localhost", "ada@bücher.example", "<ada@example.org>"} {
		m := hello()
		m.To, m.ReplyTo, m.ID = to, to, "a.b+c=d@host.example"
		if err := memory.Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
	m := hello()
	if err := memory.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	kept := memory.Messages()
	if last := kept[len(kept)-1]; last.ID == "" || m.ID != "" || last.Text != m.Text {
		t.Errorf("%+v", last)
	}
	if a, b := mail.NewID(), mail.NewID(); a == b || len(a) < 26 {
		t.Errorf("ids %q, %q", a, b)
	}
}

// What passes as an address has no part that could be another command.
func FuzzValidate(f *testing.F) {
	f.Add("ada@example.org", "subject", "id@x")
	f.Add(`"a b" <"c d"@example.org>`, "s\r\nBcc: x", "")
	f.Add("=?utf-8?q?=0A?= <a@b>", "", "a>b")
	f.Fuzz(func(t *testing.T, to, subject, id string) {
		m := mail.Message{ID: id, To: to, ReplyTo: to, Subject: subject, Text: "x"}
		if m.Validate() != nil {
			return
		}
		data, err := mail.Compose(&m)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		header, _, _ := strings.Cut(string(data), "\r\n\r\n")
		names := map[string]int{}
		for line := range strings.SplitSeq(header, "\r\n") {
			if line == "" || line[0] == ' ' || line[0] == '\t' {
				continue // goes on
			}
			name, _, ok := strings.Cut(line, ":")
			if names[name]++; !ok || !known[name] || names[name] > 1 {
				t.Errorf("%+v has the header line %q", m, line)
			}
		}
		if strings.ContainsAny(strings.ReplaceAll(header, "\r\n", ""), "\r\n\x00") {
			t.Errorf("%+v has a bare line break", m)
		}
		got := parse(t, data)
		if len(got.header["To"]) != 1 || strings.TrimSpace(got.decoded(t, "Subject")) != strings.TrimSpace(subject) {
			t.Errorf("%+v is read as %v", m, got.header)
		}
	})
}

var known = map[string]bool{
	"From": true, "To": true, "Reply-To": true, "Subject": true, "Date": true, "Message-ID": true, "MIME-Version": true,
	"Auto-Submitted": true, "Content-Type": true, "Content-Transfer-Encoding": true,
}
