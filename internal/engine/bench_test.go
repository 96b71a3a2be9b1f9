package engine_test

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/unit"
)

// BenchmarkSequence runs instances of five activities one after another, side by side.
func BenchmarkSequence(b *testing.B) {
	s, err := pebble.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var e *engine.Engine
	committer := store.NewCommitter(s, store.CommitterOptions{Busy: func() bool { return e != nil && e.Busy() }})
	defer committer.Close()
	env := &unit.Env{Snapshot: s.Snapshot, Now: time.Now}
	e, err = engine.New(engine.Options{Store: s, Committer: committer, Env: env, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	env.Orchestrator = e
	for _, impl := range []durable.Implementation{
		work.Impl(func(_ context.Context, n int) (int, error) { return n + 1, nil }),
		flow.Impl(func(ctx *durable.Context, n int) (int, error) {
			for range 5 {
				v, err := work.Call(ctx, n)
				if err != nil {
					return 0, err
				}
				n = v
			}
			return n, nil
		}),
	} {
		if err := impl.Register(e); err != nil {
			b.Fatal(err)
		}
	}
	if err := e.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer e.Stop(context.Background())
	client := durable.NewClient(e)
	b.ReportAllocs()
	b.SetParallelism(50)
	before, stats := cpuTime(b), committer.Stats()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if n, err := flow.RunWith(b.Context(), client, 0); n != 5 || err != nil {
				b.Error(n, err)
			}
		}
	})
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
	now := committer.Stats()
	b.ReportMetric(float64(now.Transactions-stats.Transactions)/float64(max(now.Groups-stats.Groups, 1)), "txns/group")
}

// cpuTime returns the processor time that the process has used. Beside others it says
// more than the time on the wall.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
