package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/stream"
)

// reading is an event of the stream that tests use.
type reading struct {
	Sensor string `json:"sensor"`
	Value  int    `json:"value"`
}

var readings = stream.Of[reading]("readings", stream.Partitions(4), stream.KeyBy(func(r reading) string { return r.Sensor }))

// addTo adds a reading to the row of its sensor.
func addTo(ctx context.Context, key string, value int) error {
	row, err := items.Get(ctx, key)
	if err != nil {
		row = &item{}
	}
	row.Count += value
	row.Text = strings.TrimSpace(fmt.Sprint(row.Text, " ", value))
	return items.Put(ctx, key, row)
}

type readingIn struct {
	Reading reading `body:""`
}

func sum(ctx context.Context, in *readingIn) (*struct{}, error) {
	return nil, addTo(ctx, in.Reading.Sensor, in.Reading.Value)
}

func (r *running) append(all ...reading) {
	r.w.t.Helper()
	err := r.Unit(r.w.t.Context(), func(ctx context.Context) error { return readings.Append(ctx, all...) })
	if err != nil {
		r.w.t.Fatal(err)
	}
}

func (r *running) row(key string) (row item) {
	r.w.t.Helper()
	err := r.Unit(r.w.t.Context(), func(ctx context.Context) error {
		found, err := items.Get(ctx, key)
		if err == nil {
			row = *found
		}
		return nil
	})
	if err != nil {
		r.w.t.Fatal(err)
	}
	return row
}

func TestOnStream(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	app := w.start(items, perdure.OnStream(readings, sum))
	app.append(reading{"a", 1}, reading{"b", 2}, reading{"a", 3})
	app.settle()
	if a, b := app.row("a"), app.row("b"); a.Text != "1 3" || b.Text != "2" {
		t.Errorf("a has %q, b %q", a.Text, b.Text)
	}
	app.stop()
	app = w.start(items, perdure.OnStream(readings, sum))
	app.append(reading{"a", 4})
	app.settle()
	if a := app.row("a"); a.Text != "1 3 4" || a.Count != 8 {
		t.Errorf("after a restart: %+v", a)
	}
}

func TestOnStreamKeepsTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	broken := true
	app := w.start(items, perdure.OnStream(readings, func(ctx context.Context, in *readingIn) (*struct{}, error) {
		mu.Lock()
		defer mu.Unlock()
		if broken && in.Reading.Value == 1 {
			return nil, errors.New("moody")
		}
		return sum(ctx, in)
	}, perdure.Policy{Attempts: 2}))
	app.append(reading{"a", 1}, reading{"a", 2}, reading{"b", 5})
	app.settle()
	app.advance(time.Minute)
	letter := <-w.letters
	if a, b := app.row("a"), app.row("b"); a.Text != "" || b.Text != "5" || string(letter.Event) != `{"sensor":"a","value":1}` {
		t.Errorf("a has %q, b %q, the dead letter is %s", a.Text, b.Text, letter.Event)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	if err := app.DeadLetters().Resend(t.Context(), letter.Function, letter.ID); err != nil {
		t.Fatal(err)
	}
	app.settle()
	if a := app.row("a"); a.Text != "1 2" {
		t.Errorf("after it was sent again a has %q", a.Text)
	}
}

func TestOnStreamBindings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type in struct {
		Event stream.Event[reading] `body:""`
		Row   *item                 `bind:"items/{body.value.sensor},optional"`
	}
	type out struct {
		Row  *item    `bind:"items/{stream.name}-{stream.partition}-{stream.position}-{stream.key}"`
		Copy *reading `bind:"copies/{stream.key}"`
	}
	copies := stream.Of[reading]("copies")
	var mu sync.Mutex
	var seen []string
	app := w.start(items, copies,
		perdure.OnStream(readings, func(_ context.Context, in *in) (*out, error) {
			e := in.Event
			if in.Row != nil {
				return nil, errors.New("there is a row")
			}
			return &out{Row: &item{Count: e.Value.Value, Text: e.Headers["from"]}, Copy: &e.Value}, nil
		}),
		perdure.OnStreamBatch(copies, func(_ context.Context, in *struct {
			Batch []stream.Event[reading] `body:""`
		}) (*struct{}, error) {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range in.Batch {
				seen = append(seen, fmt.Sprint(e.Key, e.Position, e.Value, e.Time.Equal(noon)))
			}
			return nil, nil
		}))
	err := app.Unit(t.Context(), func(ctx context.Context) error {
		return readings.AppendEvents(ctx, stream.Event[reading]{Value: reading{"a", 7}, Headers: map[string]string{"from": "here"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	app.settle()
	if row := app.row("readings-1-1-a"); row.Count != 7 || row.Text != "here" {
		t.Errorf("the row is %+v", row)
	}
	if want := "[a1 {a 7} true]"; fmt.Sprint(seen) != want {
		t.Errorf("copies: %v, want %v", seen, want)
	}
}

func TestOnStreamBatch(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	var mu sync.Mutex
	var sizes []int
	type in struct {
		Batch []reading `body:""`
	}
	app := w.start(items, perdure.OnStreamBatch(readings, func(ctx context.Context, in *in) (*struct{}, error) {
		mu.Lock()
		sizes = append(sizes, len(in.Batch))
		mu.Unlock()
		for _, r := range in.Batch {
			if err := addTo(ctx, r.Sensor, r.Value); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}, perdure.BatchSize(3), perdure.BatchWait(time.Second)))
	for i := range 4 {
		app.append(reading{"a", i + 1})
	}
	app.settle()
	if a := app.row("a"); a.Text != "1 2 3" {
		t.Errorf("before the wait is over a has %q", a.Text)
	}
	app.advance(time.Second)
	if a := app.row("a"); a.Text != "1 2 3 4" || fmt.Sprint(sizes) != "[3 1]" {
		t.Errorf("a has %q, batches %v", a.Text, sizes)
	}
}

func TestOnStreamRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type batchIn struct {
		Batch []reading `body:""`
	}
	nothing := func(context.Context, *batchIn) (*struct{}, error) { return nil, nil }
	for name, c := range map[string]struct {
		part perdure.Part
		want string
	}{
		"a batch for a single one": {perdure.OnStream(readings, nothing), "events come one by one: use perdure_test.reading, or OnStreamBatch"},
		"one for a batch":          {perdure.OnStreamBatch(readings, sum), "events come in batches: use []perdure_test.reading, or OnStream"},
		"one of another type":      {perdure.OnStream(readings, func(context.Context, *item) (*struct{}, error) { return nil, nil }), "events of stream \"readings\" are of type perdure_test.reading"},
		"many of another type": {perdure.OnStreamBatch(readings, func(context.Context, *struct {
			Batch []item `body:""`
		}) (*struct{}, error) {
			return nil, nil
		}), "events of stream \"readings\" are of type perdure_test.reading"},
		"no function":          {perdure.OnStream[reading, item, struct{}](readings, nil), "is nil"},
		"size of a single one": {perdure.OnStream(readings, sum, perdure.BatchSize(3)), "BatchSize and BatchWait are for OnStreamBatch"},
		"size":                 {perdure.OnStreamBatch(readings, nothing, perdure.BatchSize(0)), "BatchSize 0: want 1 to 10000"},
		"wait":                 {perdure.OnStreamBatch(readings, nothing, perdure.BatchWait(-1)), "BatchWait -1ns: want none or more"},
		"key of a batch": {perdure.OnStreamBatch(readings, func(context.Context, *struct {
			Batch []reading `body:""`
			Row   item      `bind:"items/{stream.key}"`
		}) (*struct{}, error) {
			return nil, nil
		}), "{stream.key}"},
		"input": {perdure.OnStream(readings, func(context.Context, *struct {
			Row reading `bind:"readings"`
		}) (*struct{}, error) {
			return nil, nil
		}), "stream \"readings\" fills no field"},
	} {
		if got := w.refuse(items, c.part); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q does not say %q", name, got, c.want)
		}
	}
	two := w.refuse(items, perdure.OnStream(readings, sum), perdure.OnStream(readings, sum))
	if !strings.Contains(two, "need a FunctionName each") {
		t.Errorf("two functions of one name: %q", two)
	}
}

func TestStreamsOfAnApp(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	app := w.start(items, perdure.OnStream(readings, sum, perdure.FunctionName("sum")))
	app.append(reading{"a", 1}, reading{"a", 2})
	app.settle()
	ctx := t.Context()
	all, err := app.Streams().Progress("readings")
	if err != nil || len(all) != 4 || all[1].Last != 2 || all[1].Position != 2 || all[1].Lag != 0 {
		t.Errorf("progress %+v, %v", all, err)
	}
	if err := app.Streams().Replay(ctx, "readings", "sum", stream.FromPosition(2)); err != nil {
		t.Fatal(err)
	}
	app.settle()
	if a := app.row("a"); a.Text != "1 2 2" {
		t.Errorf("after a replay a has %q", a.Text)
	}
	if err := app.Streams().Replay(ctx, "readings", "nobody", stream.FromStart); !errors.Is(err, perdure.ErrNoReader) {
		t.Errorf("replay of nobody: %v", err)
	}
	app.stop()
	if _, err := app.Streams().Progress(""); !errors.Is(err, perdure.ErrNotRunning) {
		t.Errorf("of an app that does not run: %v", err)
	}
	app = w.start(items, perdure.OnStream(readings, sum, perdure.FunctionName("other"), perdure.From(stream.FromNow)))
	app.settle()
	if a := app.row("a"); a.Text != "1 2 2" {
		t.Errorf("a function that begins with now changed it to %q", a.Text)
	}
	if err := app.Streams().Forget(ctx, "readings", "sum"); err != nil {
		t.Error(err)
	}
}
