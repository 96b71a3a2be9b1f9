package durabletest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/durable/durabletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	Charge   = durable.NewActivity[int, string]("Charge")
	Approved = durable.NewEvent[bool]("Approved")
	Purchase = durable.NewOrchestration[int, string]("Purchase")
)

func purchase(ctx *durable.Context, amount int) (string, error) {
	if ok, err := Approved.Wait(ctx, durable.Within(72*time.Hour)); err != nil || !ok {
		return "", err
	}
	return Charge.Call(ctx, amount)
}

// TestVirtualTime: three days pass at once, and not before they are advanced.
func TestVirtualTime(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, Purchase.Impl(purchase), Charge.Impl(func(context.Context, int) (string, error) { return "paid", nil }))
	begin := env.Now()
	id := durabletest.Start(env, Purchase, 1)
	env.Advance(71 * time.Hour)
	if in, err := env.Client.Get(t.Context(), id); err != nil || in.State != durable.Running {
		t.Fatalf("got %+v, %v", in, err)
	}
	durabletest.Raise(env, Approved, id, true)
	if out, err := durabletest.Wait(env, Purchase, id); out != "paid" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
	if d := env.Now().Sub(begin); d != 71*time.Hour {
		t.Errorf("%v have passed", d)
	}
	if _, err := durabletest.Run(env, Purchase, 1); !errors.Is(err, durable.ErrTimeout) {
		t.Errorf("nobody approves: %v", err)
	}
}

// TestReplayAfterEachTurn: code that is not deterministic shows itself.
func TestReplayAfterEachTurn(t *testing.T) {
	t.Parallel()
	runs := 0
	env := durabletest.New(t, Charge.Impl(func(context.Context, int) (string, error) { return "", nil }),
		Purchase.Impl(func(ctx *durable.Context, amount int) (string, error) {
			if runs++; runs > 1 { // what the code should not look at
				ctx.SetStatus(runs)
			}
			return Charge.Call(ctx, amount)
		}))
	id := durabletest.Start(env, Purchase, 1)
	if in, err := env.Client.Get(t.Context(), id); err != nil || in.State != durable.Stalled {
		t.Errorf("got %+v, %v", in, err)
	}
}

// TestFakeAndRestart: an activity is faked by another implementation of its name; Restart is a
// deploy.
func TestFakeAndRestart(t *testing.T) {
	t.Parallel()
	fake := func(answer string) durable.Implementation {
		return Charge.Impl(func(_ context.Context, amount int) (string, error) { return fmt.Sprint(answer, amount), nil })
	}
	env := durabletest.New(t, Purchase.Impl(purchase), fake("old"))
	id := durabletest.Start(env, Purchase, 5)
	env.Restart(Purchase.Impl(purchase), fake("new"))
	durabletest.Raise(env, Approved, id, true)
	if out, err := durabletest.Wait(env, Purchase, id); out != "new5" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
}

// TestUnit: a unit that fails starts nothing.
func TestUnit(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, Purchase.Impl(purchase))
	boom := errors.New("boom")
	for _, want := range []error{boom, nil} {
		err := env.Unit(func(ctx context.Context) error {
			_, err := Purchase.Start(ctx, 1, durable.ID("a"))
			return errors.Join(err, want)
		})
		if !errors.Is(err, want) {
			t.Fatal(err)
		}
		env.Settle()
		if _, err := env.Client.Get(t.Context(), "a"); errors.Is(err, durable.ErrNotFound) != (want != nil) {
			t.Errorf("a unit that ended with %v: %v", want, err)
		}
	}
}
