package queue_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/queue"
)

var (
	plain   = queue.Of[string]("plain")
	batches = queue.Of[Batch]("batches",
		queue.OrderBy(func(b Batch) string { return b.Customer }),
		queue.Deduplicate(func(b Batch) string { return b.ID }, time.Hour))
)

func (a *app) send(values []string, options ...queue.SendOption) {
	a.t.Helper()
	a.run(func(ctx context.Context) error { return plain.SendAll(ctx, values, options...) })
}

func TestPriorityThenArrivalThenDelay(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.send([]string{"1", "2"})
	a.send([]string{"late"}, queue.Delay(time.Minute), queue.Priority(9))
	a.send([]string{"urgent"}, queue.Priority(9))
	a.handle("plain")
	if got, want := a.handled(), []string{`"urgent"`, `"1"`, `"2"`}; !slices.Equal(got, want) {
		t.Errorf("handled %v, want %v", got, want)
	}
	a.clock.Advance(time.Minute)
	if got := a.handled(); len(got) != 4 || got[3] != `"late"` {
		t.Errorf("handled %v", got)
	}
}

func TestPeekDepthAgeAndPurge(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	state := func() (depth int64, age time.Duration) {
		a.run(func(ctx context.Context) (err error) {
			if depth, err = plain.Depth(ctx); err == nil {
				age, err = plain.Age(ctx)
			}
			return err
		})
		return depth, age
	}
	if depth, age := state(); depth != 0 || age != 0 {
		t.Errorf("of an empty queue: %d, %v", depth, age)
	}
	a.send([]string{"1"}, queue.Key("k"), queue.Headers(map[string]string{"a": "b"}))
	a.clock.Advance(time.Second)
	a.send([]string{"2"}, queue.Priority(1))
	a.send([]string{"3"}, queue.Delay(time.Hour))
	a.clock.Advance(time.Second)
	if depth, age := state(); depth != 3 || age != 2*time.Second {
		t.Errorf("depth %d, age %v", depth, age)
	}
	var all, one []queue.Received[string]
	a.run(func(ctx context.Context) (err error) {
		if all, err = plain.Peek(ctx, 0); err == nil {
			one, err = plain.Peek(ctx, 1)
		}
		return err
	})
	if len(one) != 1 || len(all) != 3 {
		t.Fatalf("peeked %+v, %+v", one, all)
	}
	id := all[1].ID
	want := queue.Received[string]{Value: "1", ID: id, Key: "k", Attempt: 1, Enqueued: noon, Headers: map[string]string{"a": "b"}}
	if all[0].Value != "2" || !reflect.DeepEqual(all[1], want) || !all[2].Due.Equal(noon.Add(time.Second+time.Hour)) {
		t.Errorf("peeked %+v", all)
	}
	a.run(func(ctx context.Context) error {
		n, err := plain.Purge(ctx)
		if n != 3 {
			t.Errorf("purged %d", n)
		}
		return err
	})
	if depth, age := state(); depth != 0 || age != 0 {
		t.Errorf("after the purge: %d, %v", depth, age)
	}
	a.handle("plain")
	a.send([]string{"4"}, queue.Key("k"))
	if got := a.handled(); !slices.Equal(got, []string{`"4"`}) {
		t.Errorf("handled %v", got)
	}
}

func TestDeduplication(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.handle("batches")
	send := func(b Batch, options ...queue.SendOption) {
		a.run(func(ctx context.Context) error { return batches.Send(ctx, b, options...) })
	}
	handled := func(n int) {
		t.Helper()
		if got := a.handled(); len(got) != n {
			t.Errorf("handled %v, want %d", got, n)
		}
	}
	a.run(func(ctx context.Context) error {
		return errors.Join(batches.Send(ctx, Batch{ID: "1"}), batches.Send(ctx, Batch{ID: "1"}))
	})
	handled(1)
	a.clock.Advance(59 * time.Minute)
	send(Batch{ID: "1"})
	send(Batch{ID: "2"}, queue.DedupID("1"))
	handled(1)
	send(Batch{ID: "1"}, queue.DedupID("other"))
	send(Batch{}) // nothing to compare
	send(Batch{})
	handled(4)
	a.clock.Advance(time.Minute)
	send(Batch{ID: "1"})
	handled(5)

	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() { send(Batch{ID: "same"}) })
	}
	senders.Wait()
	handled(6)

	expired := func(after time.Duration, want int) {
		t.Helper()
		a.run(func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			n, err := records.ExpireIDs(u, a.clock.Now().Add(after), 100)
			if n != want {
				t.Errorf("%d ids expired after %v, want %d", n, after, want)
			}
			return err
		})
	}
	expired(-time.Second, 0)
	expired(59*time.Minute+time.Second, 1) // "other"
	send(Batch{ID: "1"})                   // is known still
	handled(6)
	expired(time.Hour+time.Second, 2)
	send(Batch{ID: "1"})
	handled(7)
}

func TestSendingIsPartOfTheUnit(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.handle("plain")
	failure := errors.New("no")
	err := a.try(func(ctx context.Context) error {
		if err := plain.Send(ctx, "never"); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) || len(a.handled()) != 0 {
		t.Errorf("%v, handled %v", err, a.handled())
	}
	if err := plain.Send(t.Context(), "x"); !errors.Is(err, queue.ErrNoUnit) || !strings.Contains(err.Error(), `queue "plain"`) {
		t.Errorf("without a unit: %v", err)
	}
	for name, try := range map[string]func(ctx context.Context) error{
		"Peek":  func(ctx context.Context) error { _, err := plain.Peek(ctx, 1); return err },
		"Purge": func(ctx context.Context) error { _, err := plain.Purge(ctx); return err },
		"Depth": func(ctx context.Context) error { _, err := plain.Depth(ctx); return err },
		"Age":   func(ctx context.Context) error { _, err := plain.Age(ctx); return err },
	} {
		if err := try(t.Context()); !errors.Is(err, queue.ErrNoUnit) {
			t.Errorf("%s without a unit: %v", name, err)
		}
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for _, c := range []struct {
		name string
		m    queue.Message[string]
		want error
	}{
		{"message", queue.Message[string]{Value: strings.Repeat("x", queue.MaxMessage)}, queue.ErrTooLarge},
		{"key", queue.Message[string]{Key: strings.Repeat("x", queue.MaxKey+1)}, queue.ErrTooLarge},
		{"headers", queue.Message[string]{Headers: map[string]string{"a": strings.Repeat("x", queue.MaxHeaders)}}, queue.ErrTooLarge},
		{"id", queue.Message[string]{DedupID: "x"}, queue.ErrInvalid},
		{"long id", queue.Message[string]{DedupID: strings.Repeat("x", queue.MaxKey+1)}, queue.ErrTooLarge},
		{"negative priority", queue.Message[string]{Priority: -1}, queue.ErrInvalid},
		{"priority", queue.Message[string]{Priority: 10}, queue.ErrInvalid},
		{"negative delay", queue.Message[string]{Delay: -1}, queue.ErrInvalid},
		{"delay", queue.Message[string]{Delay: queue.MaxDelay + 1}, queue.ErrInvalid},
	} {
		err := a.try(func(ctx context.Context) error { return plain.SendMessages(ctx, c.m) })
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestBadDeclarations(t *testing.T) {
	t.Parallel()
	for want, q := range map[string]interface{ Validate() error }{
		"a name has 1 to 64 bytes":          queue.Of[int](""),
		"a name is a letter":                queue.Of[int]("1"),
		"OrderBy has a func(string) string": queue.Of[int]("q", queue.OrderBy(func(string) string { return "" })),
		"OrderBy has no function":           queue.Of[int]("q", queue.OrderBy[int](nil)),
		"Deduplicate has a window of 0s":    queue.Of[int]("q", queue.Deduplicate[int](nil, 0)),
		"a message cannot be JSON":          queue.Of[func()]("q"),
		"Prepare has a func(string)":        queue.Of[int]("q", queue.Prepare(func(s string) (string, error) { return s, nil })),
		"Prepare has no function":           queue.Of[int]("q", queue.Prepare[int](nil)),
	} {
		if err := q.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := batches.Validate(); err != nil {
		t.Error(err)
	}
}

func TestBindings(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	one := Batch{ID: "one"}
	for _, v := range []any{
		Batch{ID: "value"}, &one, (*Batch)(nil), []Batch{{ID: "a"}, {ID: "b"}},
		queue.Message[Batch]{Value: Batch{ID: "message"}, Key: "own"},
		&queue.Message[Batch]{Value: Batch{ID: "pointer"}}, (*queue.Message[Batch])(nil),
		[]queue.Message[Batch]{{Value: Batch{ID: "x"}}},
	} {
		out, err := batches.BindOutput(reflect.TypeOf(v))
		if err != nil {
			t.Fatal(err)
		}
		a.run(func(ctx context.Context) error { return out(ctx, "a%2Fb", reflect.ValueOf(v)) })
	}
	var got []string
	a.run(func(ctx context.Context) error {
		messages, err := batches.Peek(ctx, 0)
		for _, m := range messages {
			got = append(got, m.Key+":"+m.Value.ID)
		}
		return err
	})
	want := []string{"a/b:value", "a/b:one", "a/b:a", "a/b:b", "own:message", "a/b:pointer", "a/b:x"}
	if !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	if _, err := batches.BindOutput(reflect.TypeFor[int]()); err == nil || !strings.Contains(err.Error(), "not int") {
		t.Errorf("output of an int: %v", err)
	}
	if _, err := batches.BindInput(reflect.TypeFor[Batch]()); err == nil || !strings.Contains(err.Error(), "OnQueue") {
		t.Errorf("input: %v", err)
	}
}

var prepared = queue.Of[Batch]("prepared",
	queue.OrderBy(func(b Batch) string { return b.Customer }),
	queue.Prepare(func(b Batch) (Batch, error) {
		if b.ID == "" {
			return b, errNoID
		}
		b.Customer = "of " + b.ID
		return b, nil
	}))

var errNoID = errors.New("no id")

func TestPrepare(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	out, err := prepared.BindOutput(reflect.TypeFor[[]Batch]())
	if err != nil {
		t.Fatal(err)
	}
	bound := []Batch{{ID: "bound"}}
	given := []queue.Message[Batch]{{Value: Batch{ID: "sent"}}}
	a.run(func(ctx context.Context) error {
		if err := prepared.Send(ctx, Batch{}); !errors.Is(err, errNoID) {
			t.Errorf("refused with %v", err)
		}
		return errors.Join(prepared.SendMessages(ctx, given...), out(ctx, "", reflect.ValueOf(bound)))
	})
	if given[0].Value.Customer != "" || bound[0].Customer != "" {
		t.Error("what the caller has was changed")
	}
	a.run(func(ctx context.Context) error {
		messages, err := prepared.Peek(ctx, 0)
		if len(messages) != 2 || messages[0].Value.Customer != "of sent" || messages[1].Value.Customer != "of bound" || messages[1].Key != "of bound" {
			t.Errorf("%+v", messages)
		}
		return err
	})
}
