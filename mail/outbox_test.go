package mail_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/smtptest"
	"github.com/perdure/perdure/mail"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/queue"
)

var mails = mail.NewOutbox("mails", queue.Deduplicate(func(m mail.Message) string { return m.ID }, time.Hour))

// idsOf returns the Message-IDs of what a server took.
func idsOf(t *testing.T, s *smtptest.Server) []string {
	t.Helper()
	var ids []string
	for _, m := range s.Messages() {
		p := parse(t, m.Data)
		ids = append(ids, p.header.Get("Message-ID"))
	}
	return ids
}

func TestOutboxSendsAfterTheCommit(t *testing.T) {
	t.Parallel()
	s := smtptest.Start(t, smtptest.Options{})
	app := perduretest.Start(t, perdure.Config{}, perdure.OnQueue(mails.Queue(), mails.Deliver(newSender(t, s, nil))))
	failed := errors.New("changed my mind")
	err := app.TryUnit(func(ctx context.Context) error {
		if err := mails.Send(ctx, hello()); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) || len(s.Messages()) != 0 {
		t.Errorf("%v, and %d were sent", err, len(s.Messages()))
	}
	if err := mails.Send(t.Context(), hello()); !errors.Is(err, queue.ErrNoUnit) {
		t.Errorf("without a unit: %v", err)
	}
	app.Unit(func(ctx context.Context) error {
		bad := hello()
		bad.To = "nobody"
		if err := mails.Send(ctx, bad); !errors.Is(err, mail.ErrInvalid) {
			t.Errorf("an invalid message: %v", err)
		}
		if err := mails.Send(ctx, nil); !errors.Is(err, mail.ErrInvalid) {
			t.Errorf("none: %v", err)
		}
		named := hello()
		named.ID = "welcome-42"
		return errors.Join(mails.Send(ctx, named), mails.Send(ctx, named), mails.Send(ctx, hello()))
	})
	app.Settle()
	ids := idsOf(t, s)
	slices.Sort(ids)
	if len(ids) != 2 || !slices.Contains(ids, "<welcome-42@example.com>") || ids[0] == ids[1] {
		t.Errorf("sent %q", ids)
	}
}

// A message that could not be sent comes again with the ID that it had at first, and is sent
// once.
func TestOutboxTriesAgain(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	s := smtptest.Start(t, smtptest.Options{Fault: func(at smtptest.Stage) error {
		if at == smtptest.Data && tries.Add(1) <= 2 {
			return smtptest.Answer(450, "greylisted")
		}
		return nil
	}})
	var seen []string
	sender := newSender(t, s, nil)
	noting := senderFunc(func(ctx context.Context, m *mail.Message) error {
		seen = append(seen, m.ID)
		return sender.Send(ctx, m)
	})
	app := perduretest.Start(t, perdure.Config{}, perdure.OnQueue(mails.Queue(), mails.Deliver(noting), perdure.Policy{Concurrency: 1}))
	app.Unit(func(ctx context.Context) error { return mails.Send(ctx, hello()) })
	app.Advance(time.Hour)
	ids := idsOf(t, s)
	if len(seen) != 3 || seen[0] == "" || seen[0] != seen[1] || seen[1] != seen[2] || len(ids) != 1 || ids[0] != "<"+seen[0]+"@example.com>" {
		t.Errorf("tried %q, sent %q", seen, ids)
	}
}

type senderFunc func(context.Context, *mail.Message) error

func (f senderFunc) Send(ctx context.Context, m *mail.Message) error { return f(ctx, m) }

// What the server will never take becomes a dead letter at the first attempt, with its reason.
func TestOutboxBuriesWhatIsRefused(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	var refuse atomic.Bool
	refuse.Store(true)
	s := smtptest.Start(t, smtptest.Options{Fault: func(at smtptest.Stage) error {
		if at == smtptest.Rcpt && refuse.Load() {
			tries.Add(1)
			return smtptest.Answer(550, "no such user here")
		}
		return nil
	}})
	app := perduretest.Start(t, perdure.Config{}, perdure.OnQueue(mails.Queue(), mails.Deliver(newSender(t, s, nil))))
	app.Unit(func(ctx context.Context) error { return mails.Send(ctx, hello()) })
	app.Advance(time.Hour)
	letters := app.DeadLetters()
	if len(letters) != 1 || tries.Load() != 1 {
		t.Fatalf("%d dead letters after %d tries", len(letters), tries.Load())
	}
	if l := letters[0]; l.Function != "queue/mails" || !strings.Contains(l.Reason, "no such user here") {
		t.Errorf("%+v", l)
	}
	refuse.Store(false)
	if err := app.App.DeadLetters().Resend(t.Context(), letters[0].Function, letters[0].ID); err != nil {
		t.Fatal(err)
	}
	app.Settle()
	if len(s.Messages()) != 1 {
		t.Errorf("sent again: %d", len(s.Messages()))
	}
}

type welcomed struct {
	Mail  *mail.Message  `bind:"mails"`
	Mails []mail.Message `bind:"mails"`
}

// What a function returns goes into the outbox, completed and checked as by Send.
func TestOutboxIsBound(t *testing.T) {
	t.Parallel()
	memory := mail.NewMemory()
	app := perduretest.Start(t, perdure.Config{},
		perdure.OnQueue(mails.Queue(), mails.Deliver(memory)),
		perdure.HTTP("POST /welcome", func(context.Context, *struct{}) (*welcomed, error) {
			return &welcomed{Mail: hello(), Mails: []mail.Message{*hello(), *hello()}}, nil
		}),
		perdure.HTTP("POST /bad", func(context.Context, *struct{}) (*welcomed, error) {
			return &welcomed{Mails: []mail.Message{*hello(), {To: "x"}}}, nil
		}),
	)
	if r := app.Do("POST", "/welcome", nil); r.Status >= 300 {
		t.Errorf("%+v", r)
	}
	if r := app.Do("POST", "/bad", nil); r.Status != 500 {
		t.Errorf("%+v", r)
	}
	app.Settle()
	ids := map[string]bool{}
	for _, m := range memory.Messages() {
		ids[m.ID] = true
	}
	if len(ids) != 3 || ids[""] {
		t.Errorf("ids %v", ids)
	}
}

func TestOutboxDeclaration(t *testing.T) {
	t.Parallel()
	if err := mails.Validate(); err != nil {
		t.Error(err)
	}
	if err := mail.NewOutbox("1").Validate(); err == nil {
		t.Error("a bad name is taken")
	}
}
