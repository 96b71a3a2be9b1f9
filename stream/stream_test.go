package stream_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/stream"
)

func TestEventsOfAKeyAreInOrderInOnePartition(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for i := range 5 {
		a.run(t, func(ctx context.Context) error {
			var some []Name
			for k := range 10 {
				some = append(some, Name{Text: fmt.Sprint("key", k), Year: i})
			}
			return names.Append(ctx, some...)
		})
	}
	partitions, next := map[string]int{}, map[string]int{}
	events := all(t, a, names)
	for _, e := range events {
		if p, known := partitions[e.Key]; known && p != e.Partition {
			t.Errorf("key %q is in partitions %d and %d", e.Key, p, e.Partition)
		}
		partitions[e.Key] = e.Partition
		if e.Value.Year != next[e.Key] || e.Key != e.Value.Text || !e.Time.Equal(epoch) {
			t.Errorf("event %+v, want number %d", e, next[e.Key])
		}
		next[e.Key]++
	}
	if len(events) != 50 {
		t.Errorf("%d events", len(events))
	}
}

func TestEventsKeepKeyAndHeaders(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		return plain.AppendEvents(ctx,
			stream.Event[Name]{Value: Name{Text: "Ada"}, Key: "own", Headers: map[string]string{"a": "b"}, Position: 77, Partition: 9},
			stream.Event[Name]{Value: Name{Text: "Grace"}})
	})
	want := []stream.Event[Name]{
		{Value: Name{Text: "Ada"}, Key: "own", Headers: map[string]string{"a": "b"}, Time: epoch, Position: 1},
		{Value: Name{Text: "Grace"}, Time: epoch, Position: 2},
	}
	if got := read(t, a, plain, 0, stream.FromStart); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEventsWithoutAKeyAreSpread(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	spread := stream.Of[Name]("spread", stream.Partitions(3))
	for range 60 {
		a.run(t, func(ctx context.Context) error { return spread.Append(ctx, Name{Text: "x"}, Name{Text: "y"}) })
	}
	for p := range 3 {
		if n := len(read(t, a, spread, p, stream.FromStart)); n == 0 || n%2 != 0 {
			t.Errorf("partition %d has %d events", p, n)
		}
	}
}

func TestAppendsJoinTheTrace(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.env.Trace = func(context.Context) map[string]string { return map[string]string{"traceparent": "x"} }
	a.run(t, func(ctx context.Context) error { return plain.Append(ctx, Name{}) })
	if got := read(t, a, plain, 0, stream.FromStart); got[0].Headers["traceparent"] != "x" {
		t.Errorf("headers %v", got[0].Headers)
	}
}

func TestReadFromAPlace(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for i := range 4 {
		a.run(t, func(ctx context.Context) error { return plain.Append(ctx, Name{Year: i + 1}) })
		a.now = a.now.Add(time.Minute)
	}
	for _, c := range []struct {
		from stream.Place
		want string
	}{
		{stream.FromStart, "1 2 3 4"},
		{stream.FromPosition(3), "3 4"},
		{stream.FromPosition(5), ""},
		{stream.FromTime(epoch.Add(90 * time.Second)), "3 4"},
		{stream.FromTime(epoch.Add(time.Hour)), ""},
		{stream.FromNow, ""},
	} {
		var years []string
		for _, e := range read(t, a, plain, 0, c.from) {
			years = append(years, fmt.Sprint(e.Value.Year))
		}
		if got := strings.Join(years, " "); got != c.want {
			t.Errorf("from %v: %q, want %q", c.from, got, c.want)
		}
	}
	a.run(t, func(ctx context.Context) error {
		if err := plain.Append(ctx, Name{Year: 5}); err != nil {
			return err
		}
		two, err := plain.Read(ctx, 0, stream.FromStart, 2)
		none, err2 := plain.Read(ctx, 0, stream.FromPosition(5), 0)
		own, err3 := plain.Read(ctx, 0, stream.FromPosition(5), 10)
		if len(two) != 2 || len(none) != 0 || len(own) != 0 {
			t.Errorf("limits: %d, %d; the unit's own: %d", len(two), len(none), len(own))
		}
		if _, err := plain.Read(ctx, -1, stream.FromStart, 1); err == nil {
			t.Error("there is a partition -1")
		}
		return errors.Join(err, err2, err3)
	})
}

func TestLag(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error { return plain.Append(ctx, Name{}, Name{}, Name{}) })
	lag := func() (n int64) {
		a.run(t, func(ctx context.Context) (err error) { n, err = plain.Lag(ctx, "f"); return err })
		return n
	}
	if n := lag(); n != 3 {
		t.Errorf("of a function that has read nothing: %d", n)
	}
	a.run(t, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		return errors.Join(err, records.PutCursor(u, records.Group{Stream: "plain", Function: "f"}, 0, 2))
	})
	if n := lag(); n != 1 {
		t.Errorf("of a function that has read two: %d", n)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	long := strings.Repeat("x", stream.MaxEvent)
	for name, e := range map[string]stream.Event[Name]{
		"event":   {Value: Name{Text: long}},
		"key":     {Key: long[:stream.MaxKey+1]},
		"headers": {Headers: map[string]string{"a": long[:stream.MaxHeaders]}},
	} {
		err := a.try(func(ctx context.Context) error { return plain.AppendEvents(ctx, e) })
		if !errors.Is(err, stream.ErrTooLarge) || !strings.HasPrefix(err.Error(), `stream "plain": `) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.run(t, func(ctx context.Context) error {
		return plain.AppendEvents(ctx, stream.Event[Name]{Key: long[:stream.MaxKey], Headers: map[string]string{"a": long[:stream.MaxHeaders-1]}})
	})
}

func TestWithoutAUnit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	if err := plain.Append(ctx, Name{}); !errors.Is(err, stream.ErrNoUnit) {
		t.Errorf("Append: %v", err)
	}
	if _, err := plain.Read(ctx, 0, stream.FromStart, 1); !errors.Is(err, stream.ErrNoUnit) {
		t.Errorf("Read: %v", err)
	}
	if _, err := plain.Lag(ctx, "f"); !errors.Is(err, stream.ErrNoUnit) {
		t.Errorf("Lag: %v", err)
	}
	a := newApp(t)
	var ended context.Context
	a.run(t, func(ctx context.Context) error { ended = ctx; return nil })
	if err := plain.Append(ended, Name{}); !errors.Is(err, stream.ErrUnitClosed) {
		t.Errorf("Append after the end: %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	type validator interface{ Validate() error }
	for want, s := range map[string]validator{
		"a name has 1 to 64 bytes":                           stream.Of[Name](""),
		"a name is a letter":                                 stream.Of[Name]("table/x"),
		"0 partitions; want 1 to 1024":                       stream.Of[Name]("s", stream.Partitions(0)),
		"1025 partitions":                                    stream.Of[Name]("s", stream.Partitions(1025)),
		"KeyBy has a func(string) string; want a func(str":   stream.Of[Name]("s", stream.KeyBy(func(s string) string { return s })),
		"KeyBy has no function":                              stream.Of[Name]("s", stream.KeyBy[Name](nil)),
		"Retain has a negative bound":                        stream.Of[Name]("s", stream.Retain(-1, 0)),
		"Hard is of use together with Retain only":           stream.Of[Name]("s", stream.Hard),
		"an event cannot be JSON: json: unsupported type: c": stream.Of[chan int]("s"),
	} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	good := stream.Of[Name]("s-1_x", stream.Partitions(8), stream.Retain(time.Hour, 1<<20), stream.Hard)
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if got, want := good.Settings(), (stream.Settings{Partitions: 8, Age: time.Hour, Bytes: 1 << 20, Hard: true}); got != want {
		t.Errorf("settings %+v, want %+v", got, want)
	}
}
