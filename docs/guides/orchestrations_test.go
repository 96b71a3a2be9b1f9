package guides_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/durable/durabletest"
)

// Order is what the guide's shop is asked for.
type Order struct {
	ID    string
	Items []string
}

// Receipt says what was paid for.
type Receipt struct{ OrderID, Number string }

// Approval is what a person decided about an order.
type Approval struct {
	Yes bool
	By  string
}

// What follows is in the guide, word for word.

var (
	Charge   = durable.NewActivity[Order, Receipt]("Charge")
	Approved = durable.NewEvent[Approval]("Approved")
	Process  = durable.NewOrchestration[Order, Receipt]("Process")
)

func charge(ctx context.Context, o Order) (Receipt, error) {
	return Receipt{OrderID: o.ID, Number: "R-" + o.ID}, nil
}

func process(ctx *durable.Context, o Order) (Receipt, error) {
	d, err := Approved.Wait(ctx, durable.Within(72*time.Hour))
	if err != nil {
		return Receipt{}, err
	}
	if !d.Yes {
		return Receipt{}, durable.NewError("refused", "%s refused order %s", d.By, o.ID)
	}
	return Charge.Call(ctx, o, durable.Retry{Attempts: 5})
}

var Pay = durable.NewActivity[Order, Receipt]("Pay", durable.Retry{Attempts: 3})

func pay(ctx context.Context, o Order) (Receipt, error) {
	info, _ := durable.Info(ctx)
	number, err := bank.Transfer(ctx, info.IdempotencyKey, o.ID)
	if errors.Is(err, errNoMoney) {
		return Receipt{}, durable.Final(durable.NewError("no money", "order %s: %v", o.ID, err))
	}
	return Receipt{o.ID, number}, err
}

func payOrAsk(ctx *durable.Context, o Order) (string, error) {
	receipt, err := Pay.Call(ctx, o, durable.StartToClose(time.Minute))
	if errors.Is(err, &durable.Error{Code: "no money"}) {
		return "ask for money", nil
	}
	return receipt.Number, err
}

var Pack = durable.NewActivity[Order, int]("Pack", durable.HeartbeatWithin(30*time.Second), durable.Retry{Attempts: 10})

func pack(ctx context.Context, o Order) (int, error) {
	packed := 0
	if info, _ := durable.Info(ctx); info.Progress != nil {
		if err := json.Unmarshal(info.Progress, &packed); err != nil {
			return 0, err
		}
	}
	for ; packed < len(o.Items); packed++ {
		if err := durable.Heartbeat(ctx, packed); err != nil {
			return packed, err // canceled, or out of time
		}
	}
	return packed, nil
}

var Sign = durable.NewActivity[string, string]("Sign", durable.StartToClose(24*time.Hour))

func sign(ctx context.Context, document string) (string, error) {
	token, err := durable.Token(ctx)
	if err != nil {
		return "", err
	}
	askForSignature(document, token)
	return "", durable.ErrPending
}

func numberOrder(ctx *durable.Context, o Order) (string, error) {
	return durable.Step(ctx, "number", func(ctx context.Context) (string, error) {
		return fmt.Sprintf("%s-%d", o.ID, len(o.Items)), nil
	})
}

func remind(ctx *durable.Context, o Order) (bool, error) {
	answer := Approved.Await(ctx)
	for range 3 {
		d, err := answer.WaitFor(ctx, 24*time.Hour)
		if !errors.Is(err, durable.ErrTimeout) {
			return d.Yes, err
		}
		if _, err := Remind.Call(ctx, o); err != nil {
			return false, err
		}
	}
	return false, nil
}

var PackItem = durable.NewActivity[string, string]("PackItem")

func packAll(ctx *durable.Context, o Order) ([]string, error) {
	tasks := make([]*durable.Task[string], len(o.Items))
	for i, item := range o.Items {
		tasks[i] = PackItem.Start(ctx, item)
	}
	return durable.All(ctx, tasks...)
}

func firstOf(ctx *durable.Context, o Order) (string, error) {
	approved, late := Approved.Await(ctx), ctx.Timer(time.Hour)
	switch durable.Select(ctx, approved, late) {
	case 0:
		ctx.CancelTask(late)
		d, err := approved.Wait(ctx)
		return "approved by " + d.By, err
	default:
		ctx.CancelTask(approved) // a later event is for a later wait
		return "late", nil
	}
}

var (
	Parcel = durable.NewOrchestration[string, string]("Parcel")
	Send   = durable.NewOrchestration[Order, []string]("Send")
)

func send(ctx *durable.Context, o Order) ([]string, error) {
	first, err := Parcel.Call(ctx, o.Items[0], durable.ID(o.ID+"-first"))
	if err != nil {
		return nil, err
	}
	second := Parcel.Begin(ctx, o.Items[1])
	third := Parcel.Begin(ctx, o.Items[2])
	rest, err := durable.All(ctx, second, third)
	return append([]string{first}, rest...), err
}

var Meter = durable.NewOrchestration[int, int]("Meter")

func meter(ctx *durable.Context, days int) (int, error) {
	if err := ctx.Sleep(24 * time.Hour); err != nil {
		return days, err
	}
	if days++; days == 365 {
		return days, nil
	}
	return Meter.ContinueAsNew(days)
}

var Refund = durable.NewActivity[Receipt, Receipt]("Refund", durable.Retry{Attempts: 20})

func buy(ctx *durable.Context, o Order) (Receipt, error) {
	receipt, err := Charge.Call(ctx, o)
	if err != nil {
		return Receipt{}, err
	}
	ctx.OnFailure("refund", func(ctx *durable.Context) error {
		_, err := Refund.Call(ctx, receipt)
		return err
	})
	if _, err := Pack.Call(ctx, o); err != nil {
		return Receipt{}, err
	}
	return receipt, ctx.Sleep(14 * 24 * time.Hour) // until then it can be given back
}

func TestProcess(t *testing.T) {
	env := durabletest.New(t, Process.Impl(process), Charge.Impl(charge))

	id := durabletest.Start(env, Process, Order{ID: "17"})
	durabletest.Raise(env, Approved, id, Approval{Yes: true})
	if r, err := durabletest.Wait(env, Process, id); err != nil || r.Number != "R-17" {
		t.Errorf("got %v, %v", r, err)
	}

	id = durabletest.Start(env, Process, Order{ID: "18"})
	env.Restart()               // a deploy
	env.Advance(73 * time.Hour) // nobody decides
	if _, err := durabletest.Wait(env, Process, id); !errors.Is(err, durable.ErrTimeout) {
		t.Errorf("got %v, want %v", err, durable.ErrTimeout)
	}
}

// Here the guide's words end.

var errNoMoney = errors.New("no money")

// bank is the outside world.
var bank = struct {
	Transfer func(ctx context.Context, key, order string) (string, error)
}{func(_ context.Context, key, order string) (string, error) {
	if order == "poor" {
		return "", errNoMoney
	}
	return "T-" + order, nil
}}

var tokens = make(chan string, 1)

func askForSignature(_, token string) { tokens <- token }

// Remind reminds whoever is to decide.
var Remind = durable.NewActivity[Order, bool]("Remind")

// run runs one orchestration of the guide on its activities.
func run[Out any](t *testing.T, f func(*durable.Context, Order) (Out, error), o Order, during func(env *durabletest.Env, id string), activities ...durable.Implementation) (Out, error) {
	t.Helper()
	own := durable.NewOrchestration[Order, Out]("own")
	env := durabletest.New(t, append(activities, own.Impl(f))...)
	id := durabletest.Start(env, own, o)
	if during != nil {
		during(env, id)
	}
	return durabletest.Wait(env, own, id)
}

func TestGuideErrors(t *testing.T) {
	t.Parallel()
	if got, err := run(t, payOrAsk, Order{ID: "rich"}, nil, Pay.Impl(pay)); got != "T-rich" || err != nil {
		t.Errorf("rich: %q, %v", got, err)
	}
	if got, err := run(t, payOrAsk, Order{ID: "poor"}, nil, Pay.Impl(pay)); got != "ask for money" || err != nil {
		t.Errorf("poor: %q, %v", got, err)
	}
}

func TestGuideProgress(t *testing.T) {
	t.Parallel()
	n, err := run(t, func(ctx *durable.Context, o Order) (int, error) { return Pack.Call(ctx, o) }, Order{Items: []string{"a", "b"}}, nil, Pack.Impl(pack))
	if n != 2 || err != nil {
		t.Errorf("packed %d, %v", n, err)
	}
}

func TestGuideCompletion(t *testing.T) {
	t.Parallel()
	signed, err := run(t, func(ctx *durable.Context, o Order) (string, error) { return Sign.Call(ctx, o.ID) }, Order{ID: "contract"},
		func(env *durabletest.Env, _ string) {
			if err := env.Client.Complete(t.Context(), <-tokens, "signed by Ada"); err != nil {
				t.Error(err)
			}
		}, Sign.Impl(sign))
	if signed != "signed by Ada" || err != nil {
		t.Errorf("got %q, %v", signed, err)
	}
}

func TestGuideStepsAndFanOut(t *testing.T) {
	t.Parallel()
	o := Order{ID: "1", Items: []string{"a", "b", "c"}}
	if got, err := run(t, numberOrder, o, nil); got != "1-3" || err != nil {
		t.Errorf("step: %q, %v", got, err)
	}
	item := PackItem.Impl(func(_ context.Context, s string) (string, error) { return s + "!", nil })
	if got, err := run(t, packAll, o, nil, item); strings.Join(got, "") != "a!b!c!" || err != nil {
		t.Errorf("all: %q, %v", got, err)
	}
	parcel := Parcel.Impl(func(_ *durable.Context, s string) (string, error) { return "[" + s + "]", nil })
	if got, err := run(t, send, o, nil, parcel); strings.Join(got, "") != "[a][b][c]" || err != nil {
		t.Errorf("children: %q, %v", got, err)
	}
}

func TestGuideWaits(t *testing.T) {
	t.Parallel()
	reminded := 0
	remindThem := Remind.Impl(func(context.Context, Order) (bool, error) {
		reminded++
		return true, nil
	})
	yes := func(env *durabletest.Env, id string) {
		env.Advance(25 * time.Hour)
		durabletest.Raise(env, Approved, id, Approval{Yes: true, By: "Ada"})
	}
	if got, err := run(t, remind, Order{}, yes, remindThem); !got || err != nil || reminded != 1 {
		t.Errorf("got %v, %v after %d reminders", got, err, reminded)
	}
	if got, err := run(t, remind, Order{}, nil, remindThem); got || err != nil || reminded != 4 {
		t.Errorf("nobody: got %v, %v after %d reminders", got, err, reminded)
	}
	soon := func(env *durabletest.Env, id string) { durabletest.Raise(env, Approved, id, Approval{By: "Ada"}) }
	if got, err := run(t, firstOf, Order{}, soon); got != "approved by Ada" || err != nil {
		t.Errorf("soon: %q, %v", got, err)
	}
	if got, err := run(t, firstOf, Order{}, nil); got != "late" || err != nil {
		t.Errorf("late: %q, %v", got, err)
	}
}

func TestGuideContinueAsNew(t *testing.T) {
	t.Parallel()
	env := durabletest.New(t, Meter.Impl(meter))
	if days, err := durabletest.Run(env, Meter, 360); days != 365 || err != nil {
		t.Errorf("got %d, %v", days, err)
	}
}

func TestGuideCleanUp(t *testing.T) {
	t.Parallel()
	refunded := ""
	activities := []durable.Implementation{
		Charge.Impl(charge), Pack.Impl(pack),
		Refund.Impl(func(_ context.Context, r Receipt) (Receipt, error) {
			refunded = r.Number
			return r, nil
		}),
	}
	cancel := func(env *durabletest.Env, id string) {
		if err := env.Client.Cancel(t.Context(), id, "given back", time.Hour); err != nil {
			t.Error(err)
		}
	}
	if _, err := run(t, buy, Order{ID: "1"}, cancel, activities...); !errors.Is(err, durable.ErrCanceled) || refunded != "R-1" {
		t.Errorf("got %v, refunded %q", err, refunded)
	}
}

// A deploy that does not match stalls an instance as the guide shows, and the mended one
// goes on.
func TestGuideStall(t *testing.T) {
	t.Parallel()
	right := Process.Impl(func(ctx *durable.Context, o Order) (Receipt, error) {
		receipt, err := Charge.Call(ctx, o)
		if err == nil {
			_, err = Approved.Wait(ctx)
		}
		return receipt, err
	})
	wrong := Process.Impl(func(ctx *durable.Context, o Order) (Receipt, error) {
		_, err := Pack.Call(ctx, o)
		return Receipt{}, err
	})
	activities := []durable.Implementation{Charge.Impl(charge), Pack.Impl(pack)}
	env := durabletest.New(t, append(activities, right)...)
	id := durabletest.Start(env, Process, Order{ID: "17"}, durable.ID("17"))
	env.Restart(append(activities, wrong)...)
	durabletest.Raise(env, Approved, id, Approval{Yes: true})
	in, err := env.Client.Get(t.Context(), id)
	if err != nil || in.State != durable.Stalled {
		t.Fatalf("it is %+v, %v", in, err)
	}
	guide, err := os.ReadFile("orchestrations.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(guide), in.Reason) {
		t.Errorf("the guide does not show the reason: %s", in.Reason)
	}
	env.Restart(append(activities, right)...)
	if r, err := durabletest.Wait(env, Process, id); err != nil || r.Number != "R-17" {
		t.Errorf("after the repair: %v, %v", r, err)
	}
}
