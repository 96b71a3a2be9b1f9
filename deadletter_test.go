package perdure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/durable"
)

// failing is a function on blobs that fails until it is mended.
type failing struct {
	runs   atomic.Int64
	mended atomic.Bool
	cause  error
}

func (f *failing) on(pattern string, opts ...perdure.TriggerOption) perdure.Part {
	return perdure.OnBlob(documents, pattern, func(ctx context.Context, in *struct {
		ID string `path:"id"`
	}) (*empty, error) {
		f.runs.Add(1)
		if !f.mended.Load() {
			return nil, f.cause
		}
		return nil, items.Insert(ctx, in.ID, &item{Count: 1})
	}, opts...)
}

func TestFailuresBecomeADeadLetterThatCanBeSentAgain(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	f := &failing{cause: errors.New("the printer is on fire")}
	parts := []perdure.Part{items, documents, f.on("{id}", perdure.FunctionName("print"), perdure.Policy{Attempts: 3, Initial: time.Minute, Max: 2 * time.Minute, Multiplier: 10})}
	r := w.start(parts...)
	r.write("a", "bytes")
	r.settle()
	w.expectRuns(f, 1)
	r.advance(29 * time.Second) // the wait is at least half of what the policy says
	w.expectRuns(f, 1)
	r.advance(31 * time.Second)
	w.expectRuns(f, 2)
	if len(w.letters) != 0 {
		t.Fatal("given up too early")
	}
	r.advance(2 * time.Minute)
	w.expectRuns(f, 3)

	told := get(t, w.letters)
	if told.Function != "print" || told.Attempts != 3 || !strings.Contains(told.Reason, "the printer is on fire") ||
		!strings.Contains(string(told.Event), `"name":"a"`) || len(told.Failures) != 3 {
		t.Errorf("OnDeadLetter got %+v", told)
	}
	r.stop()

	r = w.start(parts...) // dead letters last
	letters, next, err := r.DeadLetters().List(t.Context(), "print", "", 10)
	if err != nil || next != "" || len(letters) != 1 || letters[0].ID != told.ID || letters[0].Reason != told.Reason {
		t.Fatalf("list: %+v, %q, %v", letters, next, err)
	}
	counts, err := r.DeadLetters().Count(t.Context(), "")
	if err != nil || len(counts) != 1 || counts[0].Function != "print" || counts[0].Count != 1 {
		t.Errorf("count: %+v, %v", counts, err)
	}
	if l, err := r.DeadLetters().Get(t.Context(), "print", told.ID); err != nil || l.ID != told.ID {
		t.Errorf("get: %+v, %v", l, err)
	}
	r.advance(24 * time.Hour)
	w.expectRuns(f, 3)

	f.mended.Store(true)
	if err := r.DeadLetters().Resend(t.Context(), "print", told.ID); err != nil {
		t.Fatal(err)
	}
	r.settle()
	w.expectRuns(f, 4)
	if r.item("a").Count != 1 {
		t.Error("the event that was sent again wrote nothing")
	}
	_, errGet := r.DeadLetters().Get(t.Context(), "print", told.ID)
	errAgain := r.DeadLetters().Resend(t.Context(), "print", told.ID)
	errDrop := r.DeadLetters().Drop(t.Context(), "print", told.ID)
	for _, err := range []error{errGet, errAgain, errDrop} {
		if !errors.Is(err, perdure.ErrNoDeadLetter) {
			t.Errorf("after it was sent again: %v, want ErrNoDeadLetter", err)
		}
	}
	if counts, err := r.DeadLetters().Count(t.Context(), ""); err != nil || len(counts) != 0 {
		t.Errorf("count afterwards: %+v, %v", counts, err)
	}
}

func (w *world) expectRuns(f *failing, want int64) {
	w.t.Helper()
	if got := f.runs.Load(); got != want {
		w.t.Fatalf("%d runs, want %d", got, want)
	}
}

func TestPermanentErrorIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cause := errors.New("no such format")
	f := &failing{cause: fmt.Errorf("convert: %w", perdure.Permanent(cause))}
	r := w.start(items, documents, f.on("{id}"))
	r.write("a", "bytes")
	r.settle()
	if l := get(t, w.letters); l.Reason != "convert: no such format" {
		t.Errorf("reason %q", l.Reason)
	}
	w.expectRuns(f, 1)
	if perdure.Permanent(nil) != nil || !errors.Is(perdure.Permanent(cause), cause) {
		t.Error("Permanent does not wrap as it says")
	}
}

// What cannot be read from the event stays so.
func TestEventThatDoesNotFitIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.start(documents, perdure.OnBlob(documents, "{id}", nothing[struct {
		ID int `path:"id"`
	}]))
	r.write("12", "bytes")
	r.write("twelve", "bytes")
	r.settle()
	contains(t, get(t, w.letters).Reason, `path "id"`)
	if len(w.letters) != 0 {
		t.Error("the event that fits was given up as well")
	}
}

func TestDeadLettersArePagedAndDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := &failing{cause: perdure.Permanent(errors.New("no"))}
	r := w.start(items, documents, f.on("{id}", perdure.FunctionName("one")), f.on("{id}", perdure.FunctionName("two")))
	for i := range 5 {
		r.write(fmt.Sprint("n", i), "bytes")
		r.settle()
	}
	var names []string
	cursor := ""
	for pages := 0; ; pages++ {
		letters, next, err := r.DeadLetters().List(t.Context(), "two", cursor, 2)
		if err != nil || len(letters) > 2 || pages > 3 {
			t.Fatalf("%+v, %v", letters, err)
		}
		for _, l := range letters {
			var event blob.Event
			if err := json.Unmarshal(l.Event, &event); err != nil {
				t.Fatal(err)
			}
			names = append(names, event.Name)
			if err := r.DeadLetters().Drop(t.Context(), "two", l.ID); err != nil {
				t.Error(err)
			}
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if want := []string{"n0", "n1", "n2", "n3", "n4"}; !slices.Equal(names, want) {
		t.Errorf("pages have %q, want %q", names, want)
	}
	letters, _, err := r.DeadLetters().List(t.Context(), "", "", 0)
	if err != nil || len(letters) != 5 || letters[0].Function != "one" {
		t.Errorf("left: %+v, %v", letters, err)
	}
	if _, _, err := r.DeadLetters().List(t.Context(), "", "nonsense!", 1); err == nil {
		t.Error("a cursor that nobody gave is taken")
	}
}

// An event that is kept for an instance which never comes is a dead letter; once the
// instance is there it can be sent again.
func TestLostEventIsADeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	decided := durable.NewEvent[string]("decided")
	r := w.start(items, process.Impl(func(ctx *durable.Context, _ string) (string, error) { return decided.Wait(ctx) }))
	r.unit(func(ctx context.Context) error {
		if err := decided.Raise(ctx, "p", "without"); !errors.Is(err, durable.ErrNotFound) {
			t.Errorf("raise without KeepFor: %v", err)
		}
		return decided.Raise(ctx, "p", "yes", durable.KeepFor(time.Hour))
	})
	r.advance(59 * time.Minute)
	if len(w.letters) != 0 {
		t.Fatal("given up too early")
	}
	for len(w.letters) == 0 {
		r.advance(time.Second)
		if w.clock.Now().After(noon.Add(2 * time.Hour)) {
			t.Fatal("never given up")
		}
	}
	l := get(t, w.letters)
	if l.Function != perdure.LostEvents || l.Topic != "event/decided" {
		t.Fatalf("dead letter %+v", l)
	}
	contains(t, l.Reason, "no instance")
	contains(t, string(l.Event), `"instanceId":"p"`, `"yes"`)

	// Still nobody there: it is given up again.
	if err := r.DeadLetters().Resend(t.Context(), l.Function, l.ID); err != nil {
		t.Fatal(err)
	}
	r.settle()
	l = get(t, w.letters)

	if _, err := process.StartWith(t.Context(), r.Durable(), "in", durable.ID("p")); err != nil {
		t.Fatal(err)
	}
	if err := r.DeadLetters().Resend(t.Context(), l.Function, l.ID); err != nil {
		t.Fatal(err)
	}
	if out, err := process.WaitWith(t.Context(), r.Durable(), "p"); out != "yes" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
}
