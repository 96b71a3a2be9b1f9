package guides_test

import (
	"context"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/smtptest"
	"github.com/perdure/perdure/mail"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/table"
)

// What follows is in the guide, word for word.

var Mails = mail.NewOutbox("mails")

func sender() (*mail.SMTP, error) {
	return mail.NewSMTP(mail.SMTPConfig{
		Address: "smtp.example.com:587", From: "Shop <orders@example.com>",
		Username: "orders", PasswordFunc: func(context.Context) (string, error) {
			b, err := os.ReadFile("/run/secrets/smtp-password")
			return strings.TrimSpace(string(b)), err
		},
	})
}

func mailing(sender mail.Sender) perdure.Part {
	return perdure.OnQueue(Mails.Queue(), Mails.Deliver(sender), perdure.Policy{
		Attempts: 20, Concurrency: 4,
		Initial: 10 * time.Second, Max: time.Hour,
		Rate: perdure.Rate{PerSecond: 10, Burst: 20},
	})
}

type Member struct{ Name string }

var Members = table.Of[Member]("members")

type joinIn struct {
	Mail string `path:"mail"`
	Name string `query:"name"`
}

type joinOut struct {
	Status int           `status:"201"`
	Member *Member       `bind:"members/{mail}"`
	Mail   *mail.Message `bind:"mails"`
}

func join(_ context.Context, in *joinIn) (*joinOut, error) {
	return &joinOut{Member: &Member{in.Name}, Mail: &mail.Message{
		To: in.Mail, Subject: "Welcome, " + in.Name, Text: "It lasts.\n", HTML: "<p>It <b>lasts</b>.</p>\n",
	}}, nil
}

func remindByMail(ctx context.Context, order, to string) error {
	return Mails.Send(ctx, &mail.Message{ID: "reminder-" + order, To: to, Subject: "Your order " + order, Text: "It waits.\n"})
}

func TestJoinIsMailed(t *testing.T) {
	memory := mail.NewMemory()
	app := perduretest.Start(t, perdure.Config{}, Members, perdure.HTTP("PUT /members/{mail}", join), mailing(memory))
	app.Do("PUT", "/members/ada@example.org?name=Ada", nil).Want(201)
	if sent := memory.Messages(); len(sent) != 1 || sent[0].Subject != "Welcome, Ada" {
		t.Errorf("sent %+v", sent)
	}
}

// Here the guide's words end.

func TestGuideMail(t *testing.T) {
	t.Parallel()
	if _, err := sender(); err != nil {
		t.Fatal(err)
	}
	var refuse atomic.Bool
	s := smtptest.Start(t, smtptest.Options{Fault: func(at smtptest.Stage) error {
		if at == smtptest.Rcpt && refuse.Load() {
			return smtptest.Answer(550, "no such user")
		}
		return nil
	}})
	smtp, err := mail.NewSMTP(mail.SMTPConfig{Address: s.Name, From: "orders@example.com", RootCAs: s.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	app := perduretest.Start(t, perdure.Config{}, mailing(smtp))
	app.Unit(func(ctx context.Context) error { return remindByMail(ctx, "17", "ada@example.org") })
	if taken := s.Messages(); len(taken) != 1 || !strings.Contains(string(taken[0].Data), "<reminder-17@example.com>") {
		t.Errorf("took %+v", taken)
	}
	refuse.Store(true)
	app.Unit(func(ctx context.Context) error { return remindByMail(ctx, "18", "bob@example.org") })
	if letters := app.DeadLetters(); len(letters) != 1 || !strings.Contains(letters[0].Reason, "no such user") {
		t.Errorf("dead letters %+v", letters)
	}
}
