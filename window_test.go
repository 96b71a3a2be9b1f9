package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/window"
)

// byDecade counts readings by the decade of their value: not the key of the stream.
func byDecade(opts ...perdure.StreamOption) perdure.Part {
	return perdure.OnWindow(readings, window.Tumbling(5*time.Second),
		func(r reading) int { return r.Value / 10 }, window.Count,
		func(ctx context.Context, r window.Result[int, int]) error {
			return addTo(ctx, fmt.Sprint("decade-", r.Key), r.Value)
		}, opts...)
}

func TestOnWindow(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	app := w.start(items, byDecade())
	app.append(reading{"a", 1}, reading{"b", 2}, reading{"a", 13})
	app.settle()
	app.stop()
	app = w.start(items, byDecade()) // the windows are still open
	app.append(reading{"c", 3})
	app.settle()
	if row := app.row("decade-0"); row.Count != 0 {
		t.Errorf("before the end of the window: %+v", row)
	}
	app.advance(6 * time.Second)
	if a, b := app.row("decade-0"), app.row("decade-1"); a.Text != "3" || b.Text != "1" {
		t.Errorf("the first decade has %q, the second %q", a.Text, b.Text)
	}
	app.append(reading{"b", 2})
	app.advance(6 * time.Second)
	if row := app.row("decade-0"); row.Text != "3 1" {
		t.Errorf("the next window: %+v", row)
	}
}

func TestWindowToTable(t *testing.T) {
	t.Parallel()
	app := newWorld(t).start(items, perdure.OnWindow(readings, window.Session(3*time.Second, window.Early(time.Second)),
		func(r reading) string { return r.Sensor }, window.Max(func(r reading) int { return r.Value }),
		window.ToTable(items, func(r window.Result[string, int]) (string, *item) {
			return r.Key, &item{Count: r.Value, Text: fmt.Sprint(r.Final)}
		})))
	app.append(reading{"a", 7}, reading{"a", 9}, reading{"a", 8})
	app.advance(time.Second)
	if row := app.row("a"); row.Count != 9 || row.Text != "false" {
		t.Errorf("early: %+v", row)
	}
	app.advance(time.Minute)
	if row := app.row("a"); row.Count != 9 || row.Text != "true" {
		t.Errorf("at the end: %+v", row)
	}
}

func TestLateEventsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	opt := window.EventTime(func(r reading) time.Time { return noon.Add(time.Duration(r.Value) * time.Second) })
	fn := func(context.Context, window.Result[string, int]) error { return nil }
	key := func(r reading) string { return r.Sensor }
	app := w.start(
		perdure.OnWindow(readings, window.Tumbling(5*time.Second, opt), key, window.Count, fn, perdure.FunctionName("one")),
		perdure.OnWindow(readings, window.Tumbling(time.Hour, opt), key, window.Count, fn, perdure.FunctionName("two")),
	)
	app.append(reading{"a", 0})
	app.advance(time.Minute)
	app.append(reading{"a", 0})
	app.settle()
	r := httptest.NewRequest(http.MethodGet, "http://example.com/metrics", nil)
	answer := httptest.NewRecorder()
	app.Handler().ServeHTTP(answer, r)
	for _, want := range []string{`function="one"} 1`, `function="two"} 0`} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("metrics:\n%s\nwant %s", answer.Body, want)
		}
	}
}

// A result that cannot be handled becomes a dead letter, and the later ones of its key
// wait behind it; sent again they come in order.
func TestFailedResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var broken atomic.Bool
	broken.Store(true)
	app := w.start(items, perdure.OnWindow(readings, window.Tumbling(5*time.Second),
		func(r reading) string { return r.Sensor }, window.Count,
		func(ctx context.Context, r window.Result[string, int]) error {
			if r.Key == "bad" && broken.Load() {
				return perdure.Permanent(errors.New("on purpose"))
			}
			return addTo(ctx, r.Key, r.Value)
		}))
	app.append(reading{"good", 1}, reading{"bad", 1})
	app.advance(10 * time.Second)
	app.append(reading{"good", 1}, reading{"bad", 1}, reading{"bad", 1})
	app.advance(10 * time.Second)
	if good, bad := app.row("good"), app.row("bad"); good.Text != "1 1" || bad.Text != "" {
		t.Errorf("good has %q, bad %q", good.Text, bad.Text)
	}
	letter := <-w.letters
	if letter.Function != "window/readings/results" || !strings.Contains(letter.Reason, "on purpose") {
		t.Errorf("dead letter %+v", letter)
	}
	broken.Store(false)
	if err := app.DeadLetters().Resend(t.Context(), letter.Function, letter.ID); err != nil {
		t.Fatal(err)
	}
	app.settle()
	if row := app.row("bad"); row.Text != "1 2" {
		t.Errorf("bad has %q", row.Text)
	}
}

// No window closes without the events of a batch that failed.
func TestFailedBatchHoldsWindows(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	app := newWorld(t).start(items, perdure.OnWindow(readings, window.Tumbling(5*time.Second),
		func(r reading) string {
			if r.Value == 13 && broken.Load() {
				panic("thirteen")
			}
			return "all"
		}, window.Count,
		func(ctx context.Context, r window.Result[string, int]) error { return addTo(ctx, r.Key, r.Value) },
		perdure.Policy{Attempts: 5, Initial: 8 * time.Second}))
	app.append(reading{"a", 1}, reading{"a", 13}, reading{"b", 2}, reading{"c", 3}, reading{"d", 4})
	app.advance(7 * time.Second)
	broken.Store(false)
	app.append(reading{"a", 5})
	if row := app.row("all"); row.Text != "" {
		t.Errorf("closed without the batch that failed: %+v", row)
	}
	app.advance(8 * time.Second)
	app.advance(8 * time.Second)
	if row := app.row("all"); row.Text != "5 1" {
		t.Errorf("when it was handled: %+v", row)
	}
}

func TestOnWindowMistakes(t *testing.T) {
	t.Parallel()
	key := func(r reading) string { return r.Sensor }
	fn := func(context.Context, window.Result[string, int]) error { return nil }
	for want, parts := range map[string][]perdure.Part{
		"function window/readings: the size is 0": {perdure.OnWindow(readings, window.Tumbling(0), key, window.Count, fn)},
		"need a FunctionName each":                {byDecade(), byDecade()},
		"function x: window.EventTime takes a func(int) time.Time: want func(perdure_test.reading) time.Time": {perdure.OnWindow(readings,
			window.Tumbling(time.Second, window.EventTime(func(int) time.Time { return noon })), key, window.Count, fn, perdure.FunctionName("x"))},
		"BatchSize -1": {byDecade(perdure.BatchSize(-1))},
	} {
		if got := newWorld(t).refuse(parts...); !strings.Contains(got, want) {
			t.Errorf("refused with %q, want %q", got, want)
		}
	}
}
