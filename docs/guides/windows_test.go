package guides_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/stream"
	"github.com/perdure/perdure/table"
	"github.com/perdure/perdure/window"
)

// What follows is in the guide, word for word.

type Visit struct {
	Page, Visitor string
	At            time.Time
}

var Visits = stream.Of[Visit]("visits", stream.Partitions(4), stream.KeyBy(func(v Visit) string { return v.Page }))

type Minute struct {
	Page   string
	Begin  time.Time
	Visits int
}

var Minutes = table.Of[Minute]("minutes")

func visitsByPage() perdure.Part {
	return perdure.OnWindow(Visits, window.Tumbling(time.Minute),
		func(v Visit) string { return v.Page }, window.Count,
		window.ToTable(Minutes, func(r window.Result[string, int]) (string, *Minute) {
			key := table.Key{Partition: r.Key, Row: r.Start.Format(time.RFC3339)}
			return key.String(), &Minute{Page: r.Key, Begin: r.Start, Visits: r.Value}
		}))
}

type Traffic struct{ Visits, Visitors int }

func traffic() perdure.Part {
	return perdure.OnWindow(Visits, window.Hopping(time.Hour, 10*time.Minute),
		func(v Visit) string { return v.Page },
		window.Struct(
			window.Into(window.Count[Visit], func(t *Traffic, n int) { t.Visits = n }),
			window.Into(window.Distinct(func(v Visit) string { return v.Visitor }), func(t *Traffic, n int) { t.Visitors = n }),
		),
		show, perdure.FunctionName("traffic"))
}

func pages() perdure.Part {
	return perdure.OnWindow(Visits, window.Session(30*time.Minute),
		func(v Visit) string { return v.Visitor },
		window.Fold(
			func() []string { return nil },
			func(pages []string, v Visit) []string { return append(pages, v.Page) },
			func(a, b []string) []string { return append(a, b...) },
		),
		sitting, perdure.FunctionName("sittings"))
}

var byTheirTime = window.Tumbling(time.Minute,
	window.EventTime(func(v Visit) time.Time { return v.At }),
	window.OutOfOrder(10*time.Second),
	window.Idle(time.Minute),
	window.Lateness(time.Hour),
	window.Late(func(ctx context.Context, v Visit) error { return TooLate.Append(ctx, v) }))

// Here the guide's words end.

var TooLate = stream.Of[Visit]("too-late")

// shown are the results of show and sitting.
var shown struct {
	sync.Mutex
	lines []string
}

func show(_ context.Context, r window.Result[string, Traffic]) error {
	shown.Lock()
	defer shown.Unlock()
	shown.lines = append(shown.lines, fmt.Sprint(r.Key, r.Start.Format(" 15:04 "), r.Value.Visits, " by ", r.Value.Visitors))
	return nil
}

func sitting(_ context.Context, r window.Result[string, []string]) error {
	shown.Lock()
	defer shown.Unlock()
	slices.Sort(r.Value)
	shown.lines = append(shown.lines, r.Key+" saw "+strings.Join(r.Value, " "))
	return nil
}

func TestWindowsGuide(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 4, 12, 0, 1, 0, time.UTC)
	now := clock.NewManual(noon)
	late := perdure.OnWindow(Visits, byTheirTime, func(v Visit) bool { return true }, window.Count,
		func(context.Context, window.Result[bool, int]) error { return nil }, perdure.FunctionName("late"))
	app := perdure.New(perdure.Config{Store: "memory:", Listen: "none", Hosts: []string{"localhost"}})
	app.Add(visitsByPage(), traffic(), pages(), late, Minutes, TooLate)
	if err := app.Start(clock.With(t.Context(), now)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := app.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	settle := func() {
		if err := app.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	in := func(fn func(context.Context) error) {
		t.Helper()
		if err := app.Unit(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	in(func(ctx context.Context) error {
		return Visits.Append(ctx, Visit{"home", "ann", noon}, Visit{"home", "bob", noon}, Visit{"home", "ann", noon}, Visit{"about", "ann", noon})
	})
	settle()
	now.Advance(2 * time.Hour)
	settle()
	in(func(ctx context.Context) error {
		return Visits.Append(ctx, Visit{"home", "ann", noon.Add(-24 * time.Hour)})
	})
	settle()
	in(func(ctx context.Context) error {
		row, err := Minutes.Get(ctx, table.Key{Partition: "home", Row: "2026-03-04T12:00:00Z"}.String())
		if err != nil {
			return err
		}
		if row.Visits != 3 {
			t.Errorf("%+v, want 3 visits", row)
		}
		events, err := TooLate.Read(ctx, 0, stream.FromStart, 10)
		if err == nil && len(events) != 1 {
			t.Errorf("%d events are too late, want 1", len(events))
		}
		return err
	})
	shown.Lock()
	defer shown.Unlock()
	for _, line := range []string{"home 11:10 3 by 2", "home 12:00 3 by 2", "about 12:00 1 by 1", "ann saw about home home", "bob saw home"} {
		if !slices.Contains(shown.lines, line) {
			t.Errorf("%q, want %q among them", shown.lines, line)
		}
	}
}
