package guides_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
)

// What follows is in the guide, word for word.

var Invoices = blob.Container("invoices")

type bookIn struct {
	ID   string `path:"id"`
	Text string `bind:"invoices/{id}"`
}

func book(ctx context.Context, in *bookIn) (*struct{}, error) {
	amount, err := parseAmount(in.Text)
	if err != nil {
		return nil, perdure.Permanent(fmt.Errorf("invoice %q: %w", in.ID, err))
	}
	return nil, ledger.Book(ctx, in.ID, amount)
}

func invoices() perdure.Part {
	return perdure.OnBlob(Invoices, "{id}", book, perdure.FunctionName("bookInvoices"),
		perdure.Policy{Attempts: 8, Initial: time.Second, Max: time.Hour, Timeout: time.Minute, Concurrency: 4})
}

func resendAll(ctx context.Context, app *perdure.App, function string) error {
	for cursor, more := "", true; more; more = cursor != "" {
		letters, next, err := app.DeadLetters().List(ctx, function, cursor, 100)
		if err != nil {
			return err
		}
		for _, l := range letters {
			fmt.Println(l.Function, l.ID, l.Cause, l.Reason)
			if err := app.DeadLetters().Resend(ctx, function, l.ID); err != nil {
				return err
			}
		}
		cursor = next
	}
	return nil
}

// Here the guide's words end.

func parseAmount(text string) (amount int, err error) {
	if strings.HasPrefix(text, "mended") {
		return 1, nil
	}
	return 0, errors.New("no amount")
}

var booked = make(chan string, 1)

// ledger is the outside world.
var ledger = struct {
	Book func(ctx context.Context, id string, amount int) error
}{func(_ context.Context, id string, _ int) error {
	booked <- id
	return nil
}}

func TestGuideDeadLetters(t *testing.T) {
	t.Parallel()
	dead := make(chan perdure.DeadLetter, 1)
	app := startApp(t, perdure.Config{OnDeadLetter: func(l perdure.DeadLetter) { dead <- l }}, invoices())
	write := func(text string) {
		err := app.Unit(t.Context(), func(ctx context.Context) error {
			_, err := Invoices.Write(ctx, "7", strings.NewReader(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	write("torn")
	if l := <-dead; l.Function != "bookInvoices" || !strings.Contains(l.Reason, `invoice "7": no amount`) {
		t.Fatalf("dead letter %+v", l)
	}
	counts, err := app.DeadLetters().Count(t.Context(), "")
	if err != nil || len(counts) != 1 || counts[0].Count != 1 {
		t.Errorf("counts %+v, %v", counts, err)
	}
	write("mended")
	<-booked // by the new blob's own event
	if err := resendAll(t.Context(), app, "bookInvoices"); err != nil {
		t.Fatal(err)
	}
	if id := <-booked; id != "7" {
		t.Errorf("booked %q", id)
	}
	counts, err = app.DeadLetters().Count(t.Context(), "")
	if err != nil || len(counts) != 0 {
		t.Errorf("afterwards %+v, %v", counts, err)
	}
}
