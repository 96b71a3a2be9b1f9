package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/unit"
)

const benchPartitions = 4

// newBench is a world on a folder.
func newBench(b *testing.B) *world {
	s, err := pebble.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	w := onStore(b, s, clock.System())
	b.Cleanup(func() {
		w.committer.Close()
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return w
}

func benchEvent(i int) *records.Event {
	key := fmt.Sprint("key-", i%1000)
	return &records.Event{
		Key: key, Partition: records.PartitionOf(key, benchPartitions), Time: noon, Data: make([]byte, 200),
	}
}

func (w *world) appendMany(b *testing.B, n int) {
	b.Helper()
	for done := 0; done < n; done += 1000 {
		err := w.try(func(u *unit.Unit) error {
			for i := done; i < min(done+1000, n); i++ {
				if err := records.AppendEvents(u, "s", benchEvent(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConsume measures events that wait in four partitions until all are handled.
func BenchmarkConsume(b *testing.B) {
	for name, g := range map[string]consumer.Group{
		"single": {Handle: func(context.Context, *consumer.Event) error { return nil }},
		"single-counting": {Handle: func(ctx context.Context, e *consumer.Event) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			return u.Add([]byte(e.Key), 1)
		}},
		"batch": {HandleBatch: func(context.Context, []*consumer.Event) error { return nil }, Batch: consumer.Batch{Size: 500}},
	} {
		b.Run(name, func(b *testing.B) {
			w := newBench(b)
			w.appendMany(b, b.N)
			g.Stream, g.Partitions = "s", benchPartitions
			b.ReportAllocs()
			b.ResetTimer()
			w.startQuiet(b, g)
			w.settle()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			if err := w.end(context.Background()); err != nil {
				b.Error(err)
			}
		})
	}
}

func (w *world) startQuiet(b *testing.B, g consumer.Group) {
	b.Helper()
	journal, err := poison.Open("")
	if err != nil {
		b.Fatal(err)
	}
	w.prepare(func(c *consumer.Config) {
		c.Log, c.Journal = slog.New(slog.DiscardHandler), journal
	}, g)
	if err := w.begin(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppend measures units that append one event each, from 100 goroutines.
func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 100, 500} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			w := newBench(b)
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for a := range appenders {
				all.Go(func() {
					for i := a; i < b.N; i += appenders {
						if err := w.try(func(u *unit.Unit) error { return records.AppendEvents(u, "s", benchEvent(i)) }); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkStream measures events from their appending, by 100 goroutines, until all
// are handled, which goes on meanwhile.
func BenchmarkStream(b *testing.B) {
	w := newBench(b)
	w.startQuiet(b, consumer.Group{
		Stream: "s", Partitions: benchPartitions, Handle: func(context.Context, *consumer.Event) error { return nil },
	})
	const appenders = 100
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for a := range appenders {
		all.Go(func() {
			for i := a; i < b.N; i += appenders {
				if err := w.try(func(u *unit.Unit) error { return records.AppendEvents(u, "s", benchEvent(i)) }); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	w.settle()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	if err := w.end(context.Background()); err != nil {
		b.Error(err)
	}
}
