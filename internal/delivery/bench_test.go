package delivery_test

import (
	"context"
	"testing"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/unit"
)

// BenchmarkEvents measures events from their publication, 100 in a unit, until
// all are handled by a function that writes nothing.
func BenchmarkEvents(b *testing.B) {
	env, committer, done, err := open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	d, err := delivery.New(delivery.Config{Env: env, Committer: committer})
	if err != nil {
		b.Fatal(err)
	}
	err = d.Register(delivery.Function{
		Name: "f", Topics: []string{"t"}, Policy: delivery.Policy{Concurrency: 128},
		Handle: func(context.Context, *delivery.Delivery) error { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	if err := d.Start(ctx); err != nil {
		b.Fatal(err)
	}
	event := make([]byte, 200)
	b.ReportAllocs()
	b.ResetTimer() // not b.Loop: handling what was published last counts as well
	for n := 0; n < b.N; n += 100 {
		err := unit.Run(ctx, env, committer, 1, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			for range 100 {
				if err == nil {
					err = d.Publish(u, "t", event)
				}
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := d.Idle(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if err := d.Stop(ctx); err != nil {
		b.Error(err)
	}
	if err := done(); err != nil {
		b.Error(err)
	}
}
