package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
)

func TestDeadLettersAreGroupedAndSentAgainTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const events = 250 // more than a unit takes
	var mended atomic.Bool
	var order []string
	work := func(ctx context.Context, d *delivery.Delivery) error {
		if mended.Load() {
			order = append(order, string(d.Event))
			return handle(ctx, d)
		}
		if strings.HasPrefix(string(d.Event), "odd") {
			return delivery.Permanent(fmt.Errorf("row %q has %d columns", d.Event, len(order)))
		}
		return errors.New("connection refused")
	}
	one := delivery.Policy{Attempts: 1, Concurrency: 1}
	w.start(nil, delivery.Function{Name: "f", Topics: []string{"t"}, Policy: one, Handle: work})
	for i := range events {
		event := fmt.Sprintf("even %03d", i)
		if i%2 == 1 {
			event = fmt.Sprintf("odd %03d", i)
		}
		w.publish("t", event)
		w.settle()
		w.clock.Advance(time.Millisecond)
	}
	groups, err := w.Groups(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	first, last := noon, noon.Add((events-2)*time.Millisecond)
	w.expect("groups", groups, []delivery.Group{
		{Function: "f", Cause: records.AttemptsExhausted, Reason: "connection refused", Count: events / 2, First: first, Last: last},
		{
			Function: "f", Cause: records.PermanentError, Reason: `row "…" has # columns`, Count: events / 2,
			First: first.Add(time.Millisecond), Last: last.Add(time.Millisecond),
		},
	})

	n, err := w.ResendAll(t.Context(), delivery.Selection{Function: "f", Cause: "attempts-exhausted"})
	w.settle() // it fails again, and is not sent again
	if err != nil || n != events/2 {
		t.Errorf("sent again: %d, %v", n, err)
	}
	w.expect("count", w.count(""), "f/attempts-exhausted: 125, f/permanent-error: 125, ")

	mended.Store(true)
	n, err = w.ResendAll(t.Context(), delivery.Selection{Reason: groups[0].Reason})
	w.settle()
	if err != nil || n != events/2 {
		t.Errorf("sent again: %d, %v", n, err)
	}
	for i, e := range order {
		if want := fmt.Sprintf("even %03d", 2*i); e != want {
			t.Fatalf("event %d is %s, want %s", i, e, want)
		}
	}
	n, err = w.DropAll(t.Context(), delivery.Selection{})
	w.expect("dropped", fmt.Sprint(n, err), "125 <nil>")
	w.expect("count", w.count(""), "")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	w.publish("t", "x")
	if _, err := w.DropAll(canceled, delivery.Selection{}); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestDeadLetterIsEdited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil, delivery.Function{Name: "f", Topics: []string{"t"}, Handle: func(ctx context.Context, d *delivery.Delivery) error {
		if string(d.Event) == "1" {
			return delivery.Permanent(errors.New("one"))
		}
		return handle(ctx, d)
	}})
	w.publish("t", "1")
	w.settle()
	id := w.letters("f")[0].ID
	w.clock.Advance(time.Minute)
	for _, event := range []string{"", "{", strings.Repeat(" ", delivery.MaxEvent) + "1"} {
		if err := w.EditDeadLetter(t.Context(), "f", id, []byte(event)); !errors.Is(err, delivery.ErrBadEvent) {
			t.Errorf("edited to %.10q: %v", event, err)
		}
	}
	for _, event := range []string{"2", "3"} {
		if err := w.EditDeadLetter(t.Context(), "f", id, []byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	l := w.letters("f")[0]
	if string(l.Event) != "3" || string(l.Original) != "1" || !l.EditedAt.Equal(noon.Add(time.Minute)) {
		t.Errorf("edited: %+v", l)
	}
	if err := w.Resend(t.Context(), "f", id); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.expect("handled", w.handled("3"), 1)
	if err := w.EditDeadLetter(t.Context(), "f", id, []byte("4")); !errors.Is(err, delivery.ErrNoDeadLetter) {
		t.Errorf("edited what is gone: %v", err)
	}
}

// Each dead letter makes one alert, in its own commit; those of the alerts make none.
func TestAlerts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var alerts []delivery.Alert
	once := delivery.Policy{Attempts: 1}
	w.start(func(c *delivery.Config) { c.Alert = "alerts" },
		delivery.Function{Name: "f", Topics: []string{"t"}, Policy: once, Handle: func(context.Context, *delivery.Delivery) error {
			return errors.New("no")
		}},
		delivery.Function{Name: "alerts", Policy: once, Handle: func(_ context.Context, d *delivery.Delivery) error {
			var a delivery.Alert
			if err := json.Unmarshal(d.Event, &a); err != nil {
				return err
			}
			alerts = append(alerts, a)
			return errors.New("nobody listens")
		}},
	)
	w.publish("t", "secret")
	w.settle()
	letters := w.letters("f")
	w.expect("alerts", alerts, []delivery.Alert{{
		Function: "f", ID: letters[0].ID.String(), Cause: "attempts-exhausted", Reason: letters[0].Reason, Time: noon,
	}})
	w.expect("count", w.count(""), "alerts/attempts-exhausted: 1, f/attempts-exhausted: 1, ")
}
