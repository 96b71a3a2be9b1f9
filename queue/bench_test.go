package queue_test

import (
	"context"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/queue"
)

// BenchmarkQueue measures messages of 200 bytes from 100 senders, each in a unit of its
// own, until all are handled by a function that writes nothing. Every commit is synced.
func BenchmarkQueue(b *testing.B) {
	for name, keys := range map[string]int{"no order": 0, "1000 keys": 1000, "10 keys": 10} {
		b.Run(name, func(b *testing.B) { benchmarkQueue(b, keys) })
	}
}

func benchmarkQueue(b *testing.B, keys int) {
	const senders = 100
	s, err := pebble.Open(filepath.Join(b.TempDir(), "store"), nil)
	if err != nil {
		b.Fatal(err)
	}
	committer := store.NewCommitter(s, store.CommitterOptions{})
	env := &unit.Env{Snapshot: s.Snapshot, Now: time.Now}
	d, err := delivery.New(delivery.Config{Env: env, Committer: committer})
	if err != nil {
		b.Fatal(err)
	}
	env.Deliver = d.Deliver
	err = d.Register(delivery.Function{
		Name: "queue/bench", Handle: func(context.Context, *delivery.Delivery) error { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	if err := d.Start(ctx); err != nil {
		b.Fatal(err)
	}
	q := queue.Of[[]byte]("bench")
	message := make([]byte, 150) // 200 as JSON
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer() // not b.Loop: handling what was sent last counts as well
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				var options []queue.SendOption
				if keys > 0 {
					options = []queue.SendOption{queue.Key(strconv.Itoa(int(n) % keys))}
				}
				err := unit.Run(ctx, env, committer, 1, func(ctx context.Context) error {
					return q.Send(ctx, message, options...)
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	sending.Wait()
	if err := d.Idle(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	if err := d.Stop(ctx); err != nil {
		b.Error(err)
	}
	committer.Close()
	if err := s.Close(); err != nil {
		b.Error(err)
	}
}
