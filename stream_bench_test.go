package perdure_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/perdure/perdure"
)

// BenchmarkOnStream measures events that wait in four partitions until a function has
// handled all of them.
func BenchmarkOnStream(b *testing.B) {
	app := perdure.New(perdure.Config{Data: b.TempDir(), Listen: "none", Hosts: []string{"example.com"}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	started := make(chan struct{})
	app.Add(items, perdure.OnStream(readings, func(_ context.Context, in *readingIn) (*struct{}, error) {
		<-started
		return nil, nil
	}))
	if err := app.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	for n := 0; n < b.N; n += 1000 {
		err := app.Unit(b.Context(), func(ctx context.Context) error {
			some := make([]reading, min(1000, b.N-n))
			for i := range some {
				some[i] = reading{Sensor: string(rune('a' + i%26)), Value: i}
			}
			return readings.Append(ctx, some...)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	close(started)
	if err := app.Settle(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if err := app.Stop(context.Background()); err != nil {
		b.Error(err)
	}
}
