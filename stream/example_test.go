package stream_test

import (
	"context"
	"fmt"

	"github.com/perdure/perdure/stream"
)

// Order is an event of the example.
type Order struct {
	Customer string
	Item     string
}

var Orders = stream.Of[Order]("orders",
	stream.Partitions(4),
	stream.KeyBy(func(o Order) string { return o.Customer }))

// What a function appends is there when it has ended well. The events of one customer
// are in one partition, in order.
func ExampleStream() {
	app := startApp()
	defer app.stop()

	err := app.Unit(context.Background(), func(ctx context.Context) error {
		return Orders.Append(ctx, Order{"ada", "pen"}, Order{"ada", "paper"})
	})
	if err != nil {
		fmt.Println(err)
	}

	err = app.Unit(context.Background(), func(ctx context.Context) error {
		for partition := range 4 {
			events, err := Orders.Read(ctx, partition, stream.FromStart, 10)
			if err != nil {
				return err
			}
			for _, e := range events {
				fmt.Println(e.Position, e.Key, e.Value.Item)
			}
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 ada pen
	// 2 ada paper
}
