package perduretest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/table"
)

// An order is paid, then shipped by hand within a day; its blob is the receipt.
type order struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Charged int    `json:"charged"`
	Shipped int    `json:"shipped"`
}

var (
	orders   = table.Of[order]("orders")
	receipts = blob.Container("receipts")
	shipped  = durable.NewEvent[string]("shipped")
	charge   = durable.NewActivity[string, string]("charge")
	handle   = durable.NewOrchestration[string, string]("handle")
)

type orderIn struct {
	Body order `body:""`
}

type orderOut struct {
	Status int    `status:"201"`
	Row    *order `bind:"orders/{body.id}"`
}

func addOrder(ctx context.Context, in *orderIn) (*orderOut, error) {
	in.Body.State = "new"
	if _, err := receipts.Write(ctx, in.Body.ID, strings.NewReader("receipt of "+in.Body.ID)); err != nil {
		return nil, err
	}
	return &orderOut{Row: &in.Body}, nil
}

type arrival struct {
	ID string `path:"id"`
}

func begin(ctx context.Context, in *arrival) (*struct{}, error) {
	_, err := handle.Start(ctx, in.ID, durable.ID(in.ID))
	return nil, err
}

func handleOrder(ctx *durable.Context, id string) (string, error) {
	if _, err := charge.Call(ctx, id); err != nil {
		return "", err
	}
	_, err := shipped.Wait(ctx, durable.Within(24*time.Hour))
	if errors.Is(err, durable.ErrTimeout) {
		return "late", nil
	}
	return "shipped", err
}

func chargeOrder(ctx context.Context, id string) (string, error) {
	return "", orders.Update(ctx, id, func(o *order) error {
		o.State = "charged"
		o.Charged++
		return nil
	})
}

func parts() []perdure.Part {
	return []perdure.Part{
		orders, receipts,
		perdure.HTTP("POST /orders", addOrder),
		perdure.OnBlob(receipts, "{id}", begin),
		handle.Impl(handleOrder), charge.Impl(chargeOrder),
	}
}

func read(app *perduretest.App, id string) (o order) {
	app.Unit(func(ctx context.Context) error {
		row, err := orders.Get(ctx, id)
		if err == nil {
			o = *row
		}
		return err
	})
	return o
}

// ended returns how the order's orchestration has ended.
func ended(t *testing.T, app *perduretest.App, id string) string {
	t.Helper()
	out, err := handle.WaitWith(t.Context(), app.Durable(), id)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestVirtualTime(t *testing.T) {
	t.Parallel()
	app := perduretest.Start(t, perdure.Config{}, parts()...)
	began := app.Now()
	app.Do("POST", "/orders", order{ID: "7"}).Want(201)
	if o := read(app, "7"); o.State != "charged" {
		t.Errorf("at rest the order is %+v", o)
	}
	app.Advance(23 * time.Hour)
	if i, err := app.Durable().Get(t.Context(), "7"); err != nil || i.State.Ended() {
		t.Errorf("after 23 hours the instance is %+v, %v", i, err)
	}
	app.Advance(time.Hour)
	if out := ended(t, app, "7"); out != "late" {
		t.Errorf("the order ended as %q", out)
	}
	if got := app.Now().Sub(began); got != 24*time.Hour {
		t.Errorf("the time went on by %v", got)
	}
	app.WantNoDeadLetters()
}

func TestRestartAndKill(t *testing.T) {
	t.Parallel()
	app := perduretest.Start(t, perdure.Config{}, parts()...)
	app.Do("POST", "/orders", order{ID: "7"}).Want(201)
	before := app.App
	app.Restart()
	if app.App == before {
		t.Error("Restart kept the app")
	}
	app.Kill()
	app.Advance(23 * time.Hour)
	app.Unit(func(ctx context.Context) error { return shipped.Raise(ctx, "7", "by air") })
	if out := ended(t, app, "7"); out != "shipped" {
		t.Errorf("the order ended as %q", out)
	}
}

func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	runs := 0
	perduretest.CrashEverywhere(t, perdure.Config{}, parts, func(t *testing.T, app *perduretest.App) {
		runs++
		app.Do("POST", "/orders", order{ID: "7"}).Want(201)
		app.Unit(func(ctx context.Context) error {
			return errors.Join(
				shipped.Raise(ctx, "7", "by air"),
				orders.Update(ctx, "7", func(o *order) error { o.Shipped++; return nil }),
			)
		})
		if out := ended(t, app, "7"); out != "shipped" {
			t.Errorf("the order ended as %q", out)
		}
		if o := read(app, "7"); o.State != "charged" || o.Charged != 1 || o.Shipped != 1 {
			t.Errorf("the order is %+v, want it charged and shipped once", o)
		}
		app.WantNoDeadLetters()
	})
	if runs < 8 { // at least the upload, its delivery, two turns and the event, lost and kept
		t.Errorf("%d runs", runs)
	}
}

// errorLog is a log that takes no failures.
type errorLog struct {
	slog.Handler
	t *testing.T
}

func (l errorLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			l.t.Errorf("logged: %s: %v", r.Message, a.Value)
		}
		return true
	})
	return nil
}

func (l errorLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// A process that was killed says no more.
func TestNothingIsLoggedAfterACrash(t *testing.T) {
	t.Parallel()
	log := slog.New(errorLog{slog.NewTextHandler(io.Discard, nil), t})
	perduretest.CrashEverywhere(t, perdure.Config{Logger: log}, parts, func(_ *testing.T, app *perduretest.App) {
		app.Do("POST", "/orders", order{ID: "7"}).Want(201)
		app.Advance(25 * time.Hour)
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	app := perduretest.Start(t, perdure.Config{},
		perdure.OnBlob(receipts, "{id}", func(context.Context, *arrival) (*struct{}, error) {
			return nil, errors.New("no paper")
		}, perdure.Policy{Attempts: 3, Initial: time.Minute}))
	failed := errors.New("not today")
	if err := app.TryUnit(func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("TryUnit: %v", err)
	}
	app.Unit(func(ctx context.Context) error {
		_, err := receipts.Write(ctx, "7", strings.NewReader("x"))
		return err
	})
	if letters := app.DeadLetters(); len(letters) != 0 {
		t.Errorf("dead letters before the last attempt: %v", letters)
	}
	app.Advance(10 * time.Minute)
	if letters := app.DeadLetters(); len(letters) != 1 || letters[0].LastError() != "no paper" {
		t.Errorf("dead letters: %+v", letters)
	}
	app.Do("GET", "/nowhere", nil).Want(404)

	alone := perduretest.Start(t, perdure.Config{}, perdure.HTTP("POST /alone", func(context.Context, *struct{}) (*struct{}, error) {
		return nil, nil
	}, perdure.NoUnit()))
	alone.Do("POST", "/alone", nil).Want(400)
	alone.Do("POST", "/alone", nil, "Idempotency-Key", "").Want(204)
}

func ExampleApp() {
	// In a test function:
	test := func(t *testing.T) {
		app := perduretest.Start(t, perdure.Config{}, parts()...)
		app.Do("POST", "/orders", order{ID: "7"}).Want(201)
		app.Advance(24 * time.Hour)
		app.WantNoDeadLetters()
	}
	fmt.Printf("%T\n", test)
	// Output: func(*testing.T)
}

func TestFire(t *testing.T) {
	t.Parallel()
	type tickIn struct {
		Tick perdure.Tick `body:""`
	}
	app := perduretest.Start(t, perdure.Config{}, orders,
		perdure.OnTimer("nightly", "0 3 * * *", func(ctx context.Context, in *tickIn) (*struct{}, error) {
			return nil, orders.Put(ctx, "tick", &order{State: in.Tick.Scheduled.Format(time.TimeOnly)})
		}))
	app.Fire("timer/nightly", perdure.Tick{Name: "nightly", Scheduled: app.Now().Add(3 * time.Hour)})
	if o := read(app, "tick"); o.State != "03:00:00" {
		t.Errorf("the function wrote %+v", o)
	}
	app.WantNoDeadLetters()
}

// A principal needs no token, and each caller is another one.
func TestRequestsOfPrincipals(t *testing.T) {
	t.Parallel()
	type in struct{ Who auth.Principal }
	app := perduretest.Start(t, perdure.Config{},
		perdure.HTTP("POST /who", func(_ context.Context, in *in) (*auth.Principal, error) { return &in.Who, nil },
			perdure.Require(auth.Permission("ask"))))
	app.Do("POST", "/who", nil).Want(401)
	app.As(auth.Principal{}).Do("POST", "/who", nil).Want(403)
	var who auth.Principal
	app.As(auth.Principal{Permissions: []string{"other", "ask"}}).Do("POST", "/who", nil).Want(200).JSON(&who)
	if who.Subject != "test" || who.Name != "test" || who.Issuer != "https://perdure.test/" {
		t.Errorf("got %+v", who)
	}
	app.As(auth.Principal{Subject: "ada", Name: "Ada", Issuer: "https://issuer/", Permissions: []string{"ask"}}).
		Do("POST", "/who", nil).Want(200).JSON(&who)
	if who.Subject != "ada" || who.Name != "Ada" || who.Issuer != "https://issuer/" {
		t.Errorf("got %+v", who)
	}
	app.Kill()
	app.Do("POST", "/who", nil).Want(401)
}
