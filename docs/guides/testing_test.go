package guides_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/table"
)

// What follows is in the guide, word for word.

type Loan struct {
	Reader   string `json:"reader"`
	Reminded int    `json:"reminded"`
}

type Reminder struct {
	Book string `json:"book"`
}

var (
	Loans     = table.Of[Loan]("loans")
	Reminders = queue.Of[Reminder]("reminders")
)

type lendIn struct {
	Book   string `path:"book"`
	Reader string `query:"reader,required"`
}

type lendOut struct {
	Status   int                      `status:"201"`
	Loan     *Loan                    `bind:"loans/{book}"`
	Reminder *queue.Message[Reminder] `bind:"reminders"`
}

func lend(_ context.Context, in *lendIn) (*lendOut, error) {
	return &lendOut{
		Loan:     &Loan{Reader: in.Reader},
		Reminder: &queue.Message[Reminder]{Value: Reminder{in.Book}, Delay: 3 * time.Hour},
	}, nil
}

type remindIn struct {
	Reminder Reminder `body:""`
	Loan     *Loan    `bind:"loans/{body.book}"`
}

type remindOut struct {
	Loan *Loan `bind:"loans/{body.book}"`
}

func remindReader(ctx context.Context, in *remindIn) (*remindOut, error) {
	if err := mailer.Send(ctx, in.Loan.Reader, "Bring back "+in.Reminder.Book); err != nil {
		return nil, err
	}
	in.Loan.Reminded++
	return &remindOut{in.Loan}, nil
}

func library() []perdure.Part {
	return []perdure.Part{
		Loans,
		perdure.HTTP("POST /loans/{book}", lend),
		perdure.OnQueue(Reminders, remindReader, perdure.Policy{Attempts: 3}),
	}
}

func TestReminder(t *testing.T) {
	app := perduretest.Start(t, perdure.Config{}, library()...)
	app.Do("POST", "/loans/dune?reader=ada", nil).Want(201)
	if n := reminded(t, app, "dune"); n != 0 {
		t.Errorf("reminded %d times at once", n)
	}
	app.Advance(3 * time.Hour)
	if n := reminded(t, app, "dune"); n != 1 {
		t.Errorf("reminded %d times", n)
	}
	app.WantNoDeadLetters()
}

func reminded(t *testing.T, app *perduretest.App, book string) (times int) {
	t.Helper()
	app.Unit(func(ctx context.Context) error {
		loan, err := Loans.Get(ctx, book)
		if err == nil {
			times = loan.Reminded
		}
		return err
	})
	return times
}

func TestReminderOutlivesCrashes(t *testing.T) {
	perduretest.CrashEverywhere(t, perdure.Config{}, library, func(t *testing.T, app *perduretest.App) {
		app.Do("POST", "/loans/dune?reader=ada", nil).Want(201)
		app.Advance(3 * time.Hour)
		if n := reminded(t, app, "dune"); n != 1 {
			t.Errorf("reminded %d times", n)
		}
		app.WantNoDeadLetters()
	})
}

func TestReminderIsGivenUp(t *testing.T) {
	app := perduretest.Start(t, perdure.Config{}, library()...)
	app.Do("POST", "/loans/dune?reader=nobody", nil).Want(201)
	app.Advance(4 * time.Hour) // three attempts
	letters := app.DeadLetters()
	if len(letters) != 1 || letters[0].Function != "queue/reminders" {
		t.Fatalf("dead letters %+v", letters)
	}
	app.Unit(func(ctx context.Context) error { // somebody mends it
		return Loans.Put(ctx, "dune", &Loan{Reader: "ada"})
	})
	if err := app.App.DeadLetters().Resend(t.Context(), letters[0].Function, letters[0].ID); err != nil {
		t.Fatal(err)
	}
	app.Settle()
	if n := reminded(t, app, "dune"); n != 1 {
		t.Errorf("reminded %d times", n)
	}
}

// Here the guide's words end.

// mailer is the outside world. It does not know everybody.
var mailer = struct {
	Send func(ctx context.Context, to, text string) error
}{func(_ context.Context, to, _ string) error {
	if to == "nobody" {
		return errors.New("no such reader")
	}
	return nil
}}
