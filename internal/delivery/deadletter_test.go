package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

func TestDeadLettersAreListedSentAgainAndDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mended atomic.Bool
	work := func(ctx context.Context, d *delivery.Delivery) error {
		if mended.Load() {
			w.expect("attempts of what was sent again", d.Attempts, 0)
			return handle(ctx, d)
		}
		if d.Function == "g" {
			return errors.New("not yet")
		}
		return delivery.Permanent(errors.New("never"))
	}
	once := delivery.Policy{Attempts: 1}
	w.start(nil,
		delivery.Function{Name: "f", Topics: []string{"t"}, Policy: once, Handle: work},
		delivery.Function{Name: "g", Topics: []string{"t"}, Policy: once, Handle: work},
	)
	w.publish("t", "0", "1", "2")
	w.settle()

	var all []delivery.DeadLetter
	for cursor := ""; ; {
		page, next, err := w.DeadLetters("", cursor, 2)
		if err != nil || len(page) > 2 {
			t.Fatal(err, page)
		}
		all = append(all, page...)
		if cursor = next; next == "" {
			break
		}
	}
	var listed []string
	for _, l := range all {
		listed = append(listed, l.Function+string(l.Event))
	}
	w.expect("listed", listed, []string{"f0", "f1", "f2", "g0", "g1", "g2"})
	w.expect("count", w.count(""), "f/permanent-error: 3, g/attempts-exhausted: 3, ")
	w.expect("count of g", w.count("g"), "g/attempts-exhausted: 3, ")
	if _, _, err := w.DeadLetters("", "no cursor", 2); err == nil {
		t.Error("no error for a bad cursor")
	}

	mended.Store(true)
	ctx := t.Context()
	if err := w.Resend(ctx, "f", all[0].ID); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.expect("handled", w.handled("0"), 1)
	if err := w.Drop(ctx, "f", all[1].ID); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.expect("dropped ones handled", w.handled("1"), 0)
	w.expect("count", w.count(""), "f/permanent-error: 1, g/attempts-exhausted: 3, ")

	if l, err := w.DeadLetter(ctx, "f", all[2].ID); err != nil || string(l.Event) != "2" || l.Cause != records.PermanentError {
		t.Errorf("get: %+v, %v", l, err)
	}
	_, err := w.DeadLetter(ctx, "f", all[0].ID)
	for name, err := range map[string]error{
		"get":    err,
		"resend": w.Resend(ctx, "f", all[0].ID),
		"drop":   w.Drop(ctx, "f", all[1].ID),
		"other":  w.Drop(ctx, "f", all[3].ID),
	} {
		if !errors.Is(err, delivery.ErrNoDeadLetter) {
			t.Errorf("%s of none: %v", name, err)
		}
	}
}

func TestBuriedEventsCanBeSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alerts := make(chan delivery.DeadLetter, 1)
	w.start(func(c *delivery.Config) { c.OnDeadLetter = func(l delivery.DeadLetter) { alerts <- l } },
		delivery.Function{Name: "f", Handle: handle})
	w.unit(func(u *unit.Unit) error { return w.Bury(u, "f", "event/Approved", []byte("event"), "nobody came") })
	alert := <-alerts
	letters := w.letters("f")
	if len(letters) != 1 || letters[0].ID != alert.ID || letters[0].Cause != records.Undeliverable || letters[0].Reason != "nobody came" {
		t.Fatalf("letters %+v, alert %+v", letters, alert)
	}
	if err := w.Resend(t.Context(), "f", alert.ID); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.expect("handled", w.handled("event"), 1)
}

func (w *world) count(function string) (text string) {
	w.t.Helper()
	counts, err := w.CountDeadLetters(function)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range counts {
		text += fmt.Sprintf("%s/%v: %d, ", c.Function, c.Cause, c.Count)
	}
	return text
}
