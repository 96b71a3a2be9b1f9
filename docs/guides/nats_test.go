package guides_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/jetstream/natstest"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/stream"
)

// What follows is in the guide, word for word.

type Fare struct {
	Customer string
	Cents    int
}

var Fares = stream.Of[Fare]("fares",
	stream.Partitions(4),
	stream.KeyBy(func(f Fare) string { return f.Customer }))

var Bills = queue.Of[Fare]("bills")

func onNATS(host string) perdure.Config {
	return perdure.Config{
		Streams: map[string]string{"fares": "nats://" + host + "/shop.fares?stream=FARES"},
		Queues:  map[string]string{"bills": "nats://" + host + "/shop.bills?stream=BILLS&replicas=1"},
	}
}

type fareIn struct {
	Fare Fare `body:""`
}

type fareOut struct {
	Bill *Fare `bind:"bills"`
}

func takeFare(_ context.Context, in *fareIn) (*fareOut, error) {
	return &fareOut{Bill: &in.Fare}, nil
}

func publishFare(ctx context.Context, js jetstream.JetStream, customer, fare string) error {
	m := nats.NewMsg("shop.fares")
	m.Header.Set("Perdure-Key", customer)
	m.Data = []byte(fare)
	_, err := js.PublishMsg(ctx, m)
	return err
}

// Here the guide's words end.

func TestGuideNATS(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	billed := make(chan Fare, 2)
	write := func(_ context.Context, in *fareIn) (*struct{}, error) {
		billed <- in.Fare
		return nil, nil
	}
	app := startApp(t, onNATS(server.Host()), perdure.OnStream(Fares, takeFare), perdure.OnQueue(Bills, write))
	err := app.Unit(t.Context(), func(ctx context.Context) error { return Fares.Append(ctx, Fare{Customer: "ada"}) })
	if err != nil {
		t.Fatal(err)
	}
	if got := <-billed; got.Customer != "ada" {
		t.Errorf("billed %+v", got)
	}
	if err := publishFare(t.Context(), server.Connect(), "grace", `{"Customer":"grace"}`); err != nil {
		t.Fatal(err)
	}
	if got := <-billed; got.Customer != "grace" {
		t.Errorf("billed %+v", got)
	}
}
