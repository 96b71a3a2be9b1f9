package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/store/storetest"
	"github.com/perdure/perdure/internal/unit"
)

// TestNothingIsLostOrDoneTwiceWhenTheStoreFails appends events while a function handles
// them, some of which fail, and lets the i-th operation of the store fail, for every i.
// Then the store is opened again. Each event must have been handled once, in the order
// of its key.
func TestNothingIsLostOrDoneTwiceWhenTheStoreFails(t *testing.T) {
	t.Parallel()
	for _, fault := range []storetest.Fault{storetest.Refuse, storetest.Lose, storetest.Keep} {
		for _, batch := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, batch %v", fault, batch), func(t *testing.T) {
				t.Parallel()
				storetest.Sweep(t, fault, func(t *testing.T, inject func(store.Store) *storetest.Faulty) {
					synctest.Test(t, func(t *testing.T) { surviveFault(t, batch, inject) })
				})
			})
		}
	}
}

func surviveFault(t *testing.T, batch bool, inject func(store.Store) *storetest.Faulty) {
	inner := memory.New(nil)
	faulty := inject(inner)
	f := fails(map[string]int{"a=1": 3, "b=2": 2})
	g := consumer.Group{Handle: f.handle}
	if batch {
		g = consumer.Group{HandleBatch: f.handleBatch, Batch: consumer.Batch{Size: 3}}
	}
	events := []string{"a=1", "b=1", "a=2", "b=2", "c=1", "b=3", "a=3"}
	var acknowledged []string

	broken := life(t, faulty, g)
	if err := broken.begin(); err == nil {
		for i, e := range events {
			err := broken.try(func(u *unit.Unit) error {
				key, _, _ := strings.Cut(e, "=")
				return records.AppendEvents(u, "s", &records.Event{Key: key, Time: noon, Data: fmt.Appendf(nil, "%q", e)})
			})
			if err != nil {
				break // it may be there or not
			}
			acknowledged = append(acknowledged, e)
			if i == 3 {
				<-time.After(time.Second)
			}
		}
	}
	<-time.After(time.Hour)
	if err := broken.end(context.Background()); err != nil {
		t.Error(err)
	}
	broken.committer.Close()

	w := life(t, inner, g)
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Hour)
	var stored []string
	for i, e := range events {
		if i < len(acknowledged) || i == len(acknowledged) && strings.Contains(w.kept()+" ", fmt.Sprint(i+1, " ")) {
			stored = append(stored, e)
		}
	}
	for _, key := range []string{"a", "b", "c"} {
		var want []string
		for _, e := range stored {
			if strings.HasPrefix(e, key) {
				want = append(want, e)
			}
		}
		w.expect(key, w.handled(key), strings.Join(want, " "))
	}
	w.expect("dead letters", w.letters(), "[]")
	w.expect("lag", w.lag(), 0)
	if err := w.end(context.Background()); err != nil {
		t.Error(err)
	}
	w.committer.Close()
	if err := inner.Close(); err != nil {
		t.Error(err)
	}
}

// life is one life of a process on a store.
func life(t *testing.T, s store.Store, g consumer.Group) *world {
	w := onStore(t, s, clock.System())
	w.prepare(func(c *consumer.Config) { c.SweepEvery = 20 * time.Minute }, g)
	return w
}

// TestLivesOnADisk lets a process stop at any moment, again and again, while events are
// appended and handled, some of which fail. Each must be handled once, in the order of
// its key.
func TestLivesOnADisk(t *testing.T) {
	t.Parallel()
	const keys, lives, perLife = 5, 5, 40
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	f := fails(map[string]int{})
	next := map[string]int{}
	g := consumer.Group{
		Partitions: 3, Handle: f.handle,
		Policy: delivery.Policy{Attempts: 100, Backoff: delivery.Backoff{Initial: time.Millisecond, Max: 5 * time.Millisecond}},
	}
	for range lives {
		s, err := pebble.Open(filepath.Join(dir, "data"), nil)
		if err != nil {
			t.Fatal(err)
		}
		w := onStore(t, s, clock.System())
		w.prepare(func(c *consumer.Config) { c.Log = slog.New(slog.DiscardHandler) }, g)
		if err := w.begin(); err != nil {
			t.Fatal(err)
		}
		for range perLife {
			var events []string
			for range 1 + rng.IntN(4) {
				key := fmt.Sprint("k", rng.IntN(keys))
				event := fmt.Sprintf("%s=%d", key, next[key])
				next[key]++
				events = append(events, event)
				if rng.IntN(10) == 0 {
					f.mu.Lock()
					f.times[event] = 1 + rng.IntN(4)
					f.mu.Unlock()
				}
			}
			w.append(3, events...)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what runs is cut off
		_ = w.end(ctx)
		w.committer.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := pebble.Open(filepath.Join(dir, "data"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := onStore(t, s, clock.System())
	defer w.committer.Close()
	w.start(nil, g)
	for key, n := range next {
		want := make([]string, n)
		for i := range want {
			want[i] = fmt.Sprintf("%s=%d", key, i)
		}
		for w.settle(); len(strings.Fields(w.handled(key))) < n && t.Context().Err() == nil; w.settle() {
			wait := time.NewTimer(5 * time.Millisecond) // until those that wait are due
			<-wait.C
		}
		w.expect(key, w.handled(key), strings.Join(want, " "))
	}
	w.expect("dead letters", w.letters(), "[]")
	if err := w.end(context.Background()); err != nil {
		t.Error(err)
	}
}

// An event over which the process died is run apart from the others, and given up when
// the process dies over it again and again.
func TestAnEventThatKillsTheProcess(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	path := filepath.Join(t.TempDir(), "running.journal")
	w.append(1, "a=1", "deadly=1", "b=1", "deadly=2")
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	for death := 1; death <= 4; death++ {
		journal, err := poison.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		died := make(chan struct{})
		w.start(func(c *consumer.Config) { c.Journal = journal }, consumer.Group{
			Handle: func(ctx context.Context, e *consumer.Event) error {
				if text(e) == "deadly=1" {
					close(died)
					<-end // the process dies here: the journal is left as it is
				}
				return note(ctx, e)
			},
		})
		if death == 4 { // three deaths were enough
			w.settle()
			break
		}
		<-died
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.end(ctx)
	}
	w.expect("a", w.handled("a"), "a=1")
	w.expect("b", w.handled("b"), "b=1")
	w.expect("deadly", w.handled("deadly"), "")
	w.expect("dead letters", w.letters(), "[deadly=1]")
	letters, _, err := w.dispatcher.DeadLetters("f", "", 0)
	if err != nil || letters[0].Cause != records.ProcessDied || letters[0].ProcessDeaths != 3 {
		t.Errorf("%+v, %v", letters, err)
	}
}
