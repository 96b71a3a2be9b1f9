package windows_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/internal/windows"
	"github.com/perdure/perdure/window"
)

// BenchmarkBatch aggregates batches of 1,000 events and commits each on Pebble with a
// sync. There are 2,000 events for a second of event time, so a window of five seconds
// closes with each tenth batch.
func BenchmarkBatch(b *testing.B) {
	for _, keys := range []int{26, 1000} {
		for name, w := range map[string]window.Windows{
			"tumbling": window.Tumbling(5*time.Second, window.EventTime(visit.time)),
			"hopping":  window.Hopping(10*time.Second, 5*time.Second, window.EventTime(visit.time)),
			"session":  window.Session(2*time.Second, window.EventTime(visit.time)),
		} {
			b.Run(fmt.Sprintf("%s/keys=%d", name, keys), func(b *testing.B) { benchmarkBatch(b, w, keys) })
		}
	}
}

func benchmarkBatch(b *testing.B, cut window.Windows, keys int) {
	const size = 1000
	s, err := pebble.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	committer := store.NewCommitter(s, store.CommitterOptions{})
	defer committer.Close()
	env := &unit.Env{Snapshot: s.Snapshot, Now: time.Now}
	results := 0
	f, err := windows.New(config{
		Name: functionName, Stream: streamName, Partitions: 1, Windows: cut,
		Key: func(v visit) string { return v.Who }, Aggregate: window.Count[visit],
		Handle: func(ctx context.Context, r result) error { results++; return nil },
		Env:    env, Committer: committer,
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	batches := make([][]*records.Event, b.N)
	begin := int64(time.Since(start)/time.Second) - int64(b.N)*5 - 3600
	for i := range batches {
		for j := range size {
			n := i*size + j
			data, err := json.Marshal(visit{ID: n, Who: fmt.Sprintf("name-%d", n%keys), At: begin + int64(n/2000)})
			if err != nil {
				b.Fatal(err)
			}
			batches[i] = append(batches[i], &records.Event{Position: uint64(n), Time: time.Now(), Data: data})
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, events := range batches {
		err := unit.Run(b.Context(), env, committer, 20, func(ctx context.Context) error { return f.Batch(ctx, 0, events) })
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Idle(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(results)/float64(b.N), "results/op")
	if err := f.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
}
