package guides_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/perduretest"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/table"
)

// What follows is in the guide, word for word.

type Shipment struct {
	Order    string `json:"order"`
	Customer string `json:"customer"`
}

var Shipments = queue.Of[Shipment]("shipments",
	queue.OrderBy(func(s Shipment) string { return s.Customer }),
	queue.Deduplicate(func(s Shipment) string { return s.Order }, time.Hour))

func orderShipment(ctx context.Context, s Shipment) error {
	return Shipments.Send(ctx, s, queue.Delay(time.Minute), queue.Priority(5))
}

type Shipped struct{ Attempt int }

var ShippedOrders = table.Of[Shipped]("shipped")

type shipIn struct {
	Shipment queue.Received[Shipment] `body:""`
}

type shipOut struct {
	Shipped *Shipped `bind:"shipped/{body.value.order}"`
}

func ship(ctx context.Context, in *shipIn) (*shipOut, error) {
	if err := perdure.Extend(ctx, 10*time.Minute); err != nil { // this may take a while
		return nil, err
	}
	if err := carrier.Ship(ctx, in.Shipment.Value); err != nil {
		return nil, err
	}
	return &shipOut{Shipped: &Shipped{Attempt: in.Shipment.Attempt}}, nil
}

func shipping() perdure.Part {
	return perdure.OnQueue(Shipments, ship, perdure.Policy{
		Attempts: 8, Concurrency: 10,
		Rate:  perdure.Rate{PerSecond: 50, Burst: 10},
		Break: perdure.Break{After: 20, Pause: time.Minute},
	})
}

// Here the guide's words end.

// carrier is the outside world. It fails once.
var carrier = struct {
	Ship func(ctx context.Context, s Shipment) error
}{}

func TestGuideQueues(t *testing.T) {
	t.Parallel()
	var shipped []string
	failed := false
	carrier.Ship = func(_ context.Context, s Shipment) error {
		if !failed {
			failed = true
			return errors.New("no truck")
		}
		shipped = append(shipped, s.Order)
		return nil
	}
	app := perduretest.Start(t, perdure.Config{}, shipping(), ShippedOrders)
	app.Unit(func(ctx context.Context) error {
		return errors.Join(
			orderShipment(ctx, Shipment{"1", "ada"}), orderShipment(ctx, Shipment{"2", "ada"}), orderShipment(ctx, Shipment{"1", "ada"}))
	})
	app.Advance(2 * time.Minute)
	if want := []string{"1", "2"}; !slices.Equal(shipped, want) {
		t.Errorf("shipped %v, want %v", shipped, want)
	}
	app.Unit(func(ctx context.Context) error {
		row, err := ShippedOrders.Get(ctx, "1")
		if err == nil && row.Attempt != 2 {
			t.Errorf("shipped at attempt %d", row.Attempt)
		}
		return err
	})
}
