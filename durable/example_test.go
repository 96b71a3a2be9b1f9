package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
)

// The names an application is made of. They hold no code, so they can be declared
// anywhere and faked in a test.
var (
	Charge   = durable.NewActivity[int, string]("Charge")
	Approved = durable.NewEvent[bool]("Approved")
	Purchase = durable.NewOrchestration[int, string]("Purchase")
)

// purchase waits up to three days for a person, then takes the money.
func purchase(ctx *durable.Context, amount int) (string, error) {
	ok, err := Approved.Wait(ctx, durable.Within(72*time.Hour))
	if errors.Is(err, durable.ErrTimeout) {
		return "nobody decided", nil
	} else if err != nil {
		return "", err
	} else if !ok {
		return "rejected", nil
	}
	return Charge.Call(ctx, amount, durable.Retry{Attempts: 5})
}

func charge(_ context.Context, amount int) (string, error) {
	return fmt.Sprintf("charged %d", amount), nil
}

// Example is a whole program: an app with an orchestration that waits for a person.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "purchase")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	app := perdure.New(perdure.Config{Data: dir, Logger: slog.New(slog.DiscardHandler)})
	app.Add(Purchase.Impl(purchase), Charge.Impl(charge))
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer app.Stop(ctx)

	id, err := Purchase.StartWith(ctx, app.Durable(), 100)
	if err != nil {
		log.Fatal(err)
	}
	if err := Approved.RaiseWith(ctx, app.Durable(), id, true); err != nil {
		log.Fatal(err)
	}
	fmt.Println(Purchase.WaitWith(ctx, app.Durable(), id))
	// Output: charged 100 <nil>
}
