package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

var fOfS = records.Group{Stream: "s", Function: "f"}

func TestWhereAGroupBegins(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from records.Place
		want string
	}{
		{records.Place{}, "a=1 a=2 a=3 a=4"},
		{records.PlaceNow(), "a=4"},
		{records.PlaceAt(noon.Add(time.Minute)), "a=2 a=3 a=4"},
		{records.PlaceOf(3), "a=3 a=4"},
		{records.PlaceOf(10), ""},
	} {
		t.Run(c.from.String(), func(t *testing.T) {
			t.Parallel()
			w, clock := newWorld(t)
			w.append(1, "a=1")
			clock.Advance(time.Minute)
			w.append(1, "a=2", "a=3")
			g := consumer.Group{From: c.from, Handle: note}
			w.start(nil, g)
			w.append(1, "a=4")
			w.settle()
			w.expect("handled", w.handled("a"), c.want)
			g.From = records.Place{}
			w.restart(g) // it has begun: from where counts no more
			w.settle()
			w.expect("after a restart", w.handled("a"), c.want)
		})
	}
}

// Partitions that were added are read from their start, those that were taken away to
// their end.
func TestThePartitionsOfAStreamChange(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	fill := func(n int, value string) {
		for _, k := range keys {
			w.append(n, k+"="+value)
		}
	}
	fill(2, "1")
	w.start(nil, consumer.Group{Partitions: 2, From: records.PlaceNow(), Handle: note})
	w.settle()
	if err := w.end(context.Background()); err != nil {
		t.Fatal(err)
	}
	fill(8, "2")
	w.start(nil, consumer.Group{Partitions: 8, From: records.PlaceNow(), Handle: note})
	w.settle()
	if err := w.end(context.Background()); err != nil {
		t.Fatal(err)
	}
	fill(8, "3")
	w.start(nil, consumer.Group{Partitions: 1, Handle: note})
	w.settle()
	for _, k := range keys {
		w.expect(k, w.handled(k), k+"=2 "+k+"=3")
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	ctx := context.Background()
	w.start(nil, consumer.Group{Handle: note})
	w.append(1, "a=1", "a=2")
	clock.Advance(time.Minute)
	w.append(1, "a=3")
	w.settle()
	if err := w.Replay(ctx, fOfS, records.PlaceOf(2)); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.expect("from a position", w.handled("a"), "a=1 a=2 a=3 a=2 a=3")
	if err := w.Replay(ctx, fOfS, records.PlaceAt(noon.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.expect("from a time", w.handled("a"), "a=1 a=2 a=3 a=2 a=3 a=3")
	if err := w.Replay(ctx, fOfS, records.PlaceNow()); err != nil {
		t.Fatal(err)
	}
	w.append(1, "a=4")
	w.settle()
	w.expect("from now", w.handled("a"), "a=1 a=2 a=3 a=2 a=3 a=3 a=4")
	if err := w.Replay(ctx, records.Group{Stream: "s", Function: "nobody"}, records.PlaceNow()); !errors.Is(err, consumer.ErrNoGroup) {
		t.Errorf("of nobody: %v", err)
	}
}

// Setting the cursor back while events are being handled loses neither.
func TestReplayWhileEventsAreHandled(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	w.clock = systemClock
	begun, release := make(chan struct{}, 10), make(chan struct{})
	w.append(1, "a=1", "a=2")
	w.start(nil, consumer.Group{Handle: func(ctx context.Context, e *consumer.Event) error {
		begun <- struct{}{}
		<-release
		return note(ctx, e)
	}})
	<-begun
	if err := w.Replay(context.Background(), fOfS, records.PlaceOf(2)); err != nil {
		t.Fatal(err)
	}
	close(release)
	w.settle()
	w.expect("handled", w.handled("a"), "a=2") // what ran meanwhile did not commit
}

func TestProgress(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	stop := make(chan struct{})
	w.start(nil, consumer.Group{Handle: func(ctx context.Context, e *consumer.Event) error {
		if text(e) == "a=2" {
			<-stop
		}
		return note(ctx, e)
	}})
	w.append(1, "a=1")
	w.settle()
	clock.Advance(time.Minute)
	w.append(1, "a=2", "a=3")
	all, err := w.Progress("s")
	if err != nil {
		t.Fatal(err)
	}
	want := consumer.Progress{Stream: "s", Function: "f", Position: 1, Last: 3, Lag: 2, Oldest: noon.Add(time.Minute)}
	w.expect("progress", all, []consumer.Progress{want})
	close(stop)
	w.settle()
	w.expect("lag", w.lag(), 0)
}

func TestForget(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	ctx := context.Background()
	w.start(nil, consumer.Group{Handle: note})
	if err := w.Forget(ctx, fOfS); err == nil {
		t.Error("a group of the program was forgotten")
	}
	w.restart()
	if log := w.log.String(); !strings.Contains(log, "a function that this program does not have") {
		t.Errorf("the log does not tell of the group: %s", log)
	}
	if err := w.Forget(ctx, fOfS); err != nil {
		t.Error(err)
	}
	if err := w.Forget(ctx, fOfS); !errors.Is(err, consumer.ErrNoGroup) {
		t.Errorf("twice: %v", err)
	}
}

// kept returns the positions of the only partition that are there.
func (w *world) kept() (kept string) {
	w.t.Helper()
	snap, err := w.store.Snapshot()
	if err != nil {
		w.t.Fatal(err)
	}
	defer snap.Close()
	err = records.ScanEvents(snap, records.Partition{Stream: "s"}, 0, func(e *records.Event) bool {
		kept += fmt.Sprint(e.Position, " ")
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(kept)
}

func TestRetentionByAge(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	w.start(nil)
	trim := func() {
		t.Helper()
		if err := w.Trim(context.Background(), consumer.Retention{Stream: "s", Age: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	w.append(1, "a=1", "a=2")
	clock.Advance(59 * time.Minute)
	w.append(1, "a=3")
	trim()
	w.expect("within the hour", w.kept(), "1 2 3")
	clock.Advance(2 * time.Minute)
	trim()
	w.expect("after the hour", w.kept(), "3")
	clock.Advance(time.Hour)
	trim()
	w.expect("an hour later", w.kept(), "")
	w.append(1, "a=4")
	w.expect("positions go on", w.kept(), "4")
}

func TestRetentionInTheBackground(t *testing.T) {
	t.Parallel()
	w, clock := newWorld(t)
	w.prepare(nil, consumer.Group{Handle: note})
	w.Retain(consumer.Retention{Stream: "s", Age: time.Hour})
	w.Retain(consumer.Retention{Stream: "other"}) // nothing to do
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	w.append(1, "a=1", "a=2")
	w.settle()
	for w.kept() != "" {
		clock.Advance(30 * time.Second)
	}
	if now := clock.Now(); now.Sub(noon) < time.Hour {
		t.Errorf("removed after %v", now.Sub(noon))
	}
	if err := w.end(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestRetentionBySize(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	w.start(nil)
	w.append(1, "a=1", "a=2", "a=3", "a=4")
	size := w.size()
	if err := w.Trim(context.Background(), consumer.Retention{Stream: "s", Bytes: size / 2}); err != nil {
		t.Fatal(err)
	}
	w.expect("half of it", w.kept(), "3 4")
	w.expect("its size", w.size(), size/2)
	if err := w.Trim(context.Background(), consumer.Retention{Stream: "s", Bytes: size/2 - 1}); err != nil {
		t.Fatal(err)
	}
	w.expect("one byte less", w.kept(), "4")
}

func (w *world) size() (size int64) {
	w.t.Helper()
	w.unit(func(u *unit.Unit) error {
		s, err := records.GetStreamState(u, records.Partition{Stream: "s"})
		size = s.Bytes
		return err
	})
	return size
}

func TestRetentionWaitsForGroups(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t)
	ctx := context.Background()
	g := consumer.Group{Handle: note}
	w.start(nil, g)
	w.append(1, "a=1", "a=2")
	w.settle()
	if err := w.end(ctx); err != nil {
		t.Fatal(err)
	}
	w.append(1, "a=3", "a=4")
	w.start(nil) // a program without the function
	all := consumer.Retention{Stream: "s", Bytes: 1}
	if err := w.Trim(ctx, all); err != nil {
		t.Fatal(err)
	}
	w.expect("what the group has still to read is kept", w.kept(), "3 4")
	all.Hard = true
	if err := w.Trim(ctx, all); err != nil {
		t.Fatal(err)
	}
	w.expect("unless it is hard", w.kept(), "")
	w.append(1, "a=5")
	w.restart(g)
	w.settle()
	w.expect("the group passes over what is gone", w.handled("a"), "a=1 a=2 a=5")
	if log := w.log.String(); !strings.Contains(log, "events were removed before a function had read them") {
		t.Errorf("the log does not tell of it: %s", log)
	}
	w.expect("lag", w.lag(), 0)
}
