package guides_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/stream"
	"github.com/perdure/perdure/table"
)

// What follows is in the guide, word for word.

type Payment struct {
	Account string
	Cents   int64
}

var Payments = stream.Of[Payment]("payments",
	stream.Partitions(8),
	stream.KeyBy(func(p Payment) string { return p.Account }),
	stream.Retain(30*24*time.Hour, 0))

type acceptIn struct {
	Payment Payment `body:""`
}

type acceptOut struct {
	Payment *Payment `bind:"payments"`
}

func accept(_ context.Context, in *acceptIn) (*acceptOut, error) {
	if in.Payment.Cents <= 0 {
		return nil, perdure.NewProblem(400, "a payment is more than nothing")
	}
	return &acceptOut{Payment: &in.Payment}, nil
}

type Balance struct {
	Cents int64
}

var Balances = table.Of[Balance]("balances")

type balanceIn struct {
	Payment Payment  `body:""`
	Balance *Balance `bind:"balances/{body.Account},optional"`
}

type balanceOut struct {
	Balance *Balance `bind:"balances/{body.Account}"`
}

func addUp(_ context.Context, in *balanceIn) (*balanceOut, error) {
	total := in.Payment.Cents
	if in.Balance != nil {
		total += in.Balance.Cents
	}
	return &balanceOut{Balance: &Balance{Cents: total}}, nil
}

type journalIn struct {
	Batch []stream.Event[Payment] `body:""`
}

func journal(ctx context.Context, in *journalIn) (*struct{}, error) {
	var lines strings.Builder
	for _, e := range in.Batch {
		fmt.Fprintf(&lines, "%s %s %d\n", e.Time.Format(time.RFC3339), e.Key, e.Value.Cents)
	}
	return nil, archive(ctx, lines.String())
}

func paymentParts() []perdure.Part {
	return []perdure.Part{
		Balances,
		perdure.HTTP("POST /payments", accept),
		perdure.OnStream(Payments, addUp, perdure.FunctionName("balances")),
		perdure.OnStreamBatch(Payments, journal, perdure.FunctionName("journal"),
			perdure.From(stream.FromNow), perdure.BatchSize(1000), perdure.BatchWait(time.Second)),
	}
}

func replaySince(ctx context.Context, app *perdure.App, t time.Time) error {
	return app.Streams().Replay(ctx, "payments", "journal", stream.FromTime(t))
}

func lags(app *perdure.App) error {
	all, err := app.Streams().Progress("payments")
	if err != nil {
		return err
	}
	for _, p := range all {
		fmt.Println(p.Function, p.Partition, p.Position, p.Lag, p.Oldest)
	}
	return nil
}

// Here the guide's words end.

// archived is what archive got.
var archived = make(chan string, 100)

func archive(_ context.Context, lines string) error {
	archived <- lines
	return nil
}

func TestGuideStreams(t *testing.T) {
	t.Parallel()
	app := startApp(t, perdure.Config{}, paymentParts()...)
	before := time.Now()
	err := app.Unit(t.Context(), func(ctx context.Context) error {
		return Payments.Append(ctx, Payment{"ada", 100}, Payment{"ada", 50})
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // by the function, then by the replay
		if got := <-archived; !strings.Contains(got, " ada 100\n") || !strings.Contains(got, " ada 50\n") {
			t.Errorf("archived %q", got)
		}
		if err := app.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := replaySince(t.Context(), app, before); err != nil {
			t.Fatal(err)
		}
	}
	err = app.Unit(t.Context(), func(ctx context.Context) error {
		b, err := Balances.Get(ctx, "ada")
		if err == nil && b.Cents != 150 {
			err = errors.New("the balance is not 150")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := lags(app); err != nil {
		t.Error(err)
	}
}
