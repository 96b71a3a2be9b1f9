package records_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

// letterbox is a store in memory with units on it.
type letterbox struct {
	store *memory.Store
	env   *unit.Env
}

func newLetterbox(t interface{ Cleanup(func()) }) *letterbox {
	s := memory.New(nil)
	t.Cleanup(func() { _ = s.Close() })
	return &letterbox{store: s, env: &unit.Env{Snapshot: s.Snapshot, Now: time.Now}}
}

// unit commits what do writes and returns the error of either.
func (b *letterbox) unit(do func(u *unit.Unit) error) error {
	u := unit.New(b.env)
	defer u.Discarded()
	if err := do(u); err != nil {
		return err
	}
	var txn store.Txn
	if err := u.Seal(&txn); err != nil {
		return err
	}
	verdicts, err := b.store.Commit(context.Background(), []*store.Txn{&txn})
	return errors.Join(append(verdicts, err)...)
}

type fatalHelper interface {
	Helper()
	Fatal(args ...any)
}

func (b *letterbox) must(t fatalHelper, do func(u *unit.Unit) error) {
	t.Helper()
	if err := b.unit(do); err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 5, time.UTC)

func times() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return noon.Add(time.Duration(rapid.Int64().Draw(t, "nanoseconds") / 4))
	})
}

func deliveries() *rapid.Generator[*records.Delivery] {
	return rapid.Custom(func(t *rapid.T) *records.Delivery {
		d := &records.Delivery{
			Function:      rapid.StringN(1, 20, 60).Draw(t, "function"),
			Lane:          rapid.String().Draw(t, "lane"),
			Priority:      rapid.Uint8Range(0, records.MaxPriority).Draw(t, "priority"),
			Topic:         rapid.String().Draw(t, "topic"),
			Event:         rapid.SliceOf(rapid.Byte()).Draw(t, "event"),
			Headers:       rapid.MapOfN(rapid.String(), rapid.String(), 1, 5).Draw(t, "headers"),
			EnqueuedAt:    times().Draw(t, "enqueued"),
			Attempts:      rapid.IntRange(0, 1<<40).Draw(t, "attempts"),
			ProcessDeaths: rapid.IntRange(0, 5).Draw(t, "deaths"),
		}
		copy(d.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		if rapid.Bool().Draw(t, "waits") {
			d.NextAttempt = time.Unix(0, rapid.Int64Range(1, 1<<62).Draw(t, "due")).UTC()
		}
		for range rapid.IntRange(0, records.MaxFailures+3).Draw(t, "failures") {
			d.Fail(times().Draw(t, "at"), rapid.String().Draw(t, "failure"))
		}
		return d
	})
}

func TestDeliveryRoundTrip(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	rapid.Check(t, func(t *rapid.T) {
		d := deliveries().Draw(t, "delivery")
		b.must(t, func(u *unit.Unit) error { return records.PutDelivery(u, d) })
		b.must(t, func(u *unit.Unit) error {
			got, err := records.GetDelivery(u, d.Function, d.Ref())
			if err != nil {
				return err
			}
			if !reflect.DeepEqual(got, d) {
				t.Fatalf("got %+v, want %+v", got, d)
			}
			return records.DeleteDelivery(u, got)
		})
		b.must(t, func(u *unit.Unit) error {
			if got, err := records.GetDelivery(u, d.Function, d.Ref()); got != nil || err != nil {
				t.Fatalf("after the deletion: %v, %v", got, err)
			}
			return nil
		})
	})
}

func TestDeliveryIsHandledByOne(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	d := &records.Delivery{Function: "f", ID: records.DeliveryID{1}}
	b.must(t, func(u *unit.Unit) error { return records.PutDelivery(u, d) })
	take := func(u *unit.Unit) error {
		got, err := records.GetDelivery(u, "f", d.Ref())
		if err != nil || got == nil {
			t.Fatal(got, err)
		}
		return records.DeleteDelivery(u, got)
	}
	err := b.unit(func(u *unit.Unit) error {
		if err := take(u); err != nil {
			return err
		}
		b.must(t, take) // another is quicker
		return nil
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("second commit answered %v, want a conflict", err)
	}
}

// What is sent together for one later time stays in the order in which it was sent.
func TestLaterArrivalsAscend(t *testing.T) {
	t.Parallel()
	var arrivals records.Arrivals
	last := arrivals.At(noon)
	for range 100 {
		next := arrivals.At(noon)
		if next.Compare(last) <= 0 || !next.Time().Equal(noon) {
			t.Fatalf("%v of %v does not come after %v", next, next.Time(), last)
		}
		last = next
	}
}

func TestArrivalsAscend(t *testing.T) {
	t.Parallel()
	var arrivals records.Arrivals
	ids := []records.DeliveryID{
		arrivals.Next(noon),
		arrivals.Next(noon),
		arrivals.Next(noon.Add(-time.Hour)), // the clock went back
		arrivals.Next(noon.Add(time.Second)),
	}
	if !slices.IsSortedFunc(ids, records.DeliveryID.Compare) || ids[0] == ids[1] {
		t.Errorf("ids %v do not ascend", ids)
	}
	var texts []string
	for _, id := range ids {
		texts = append(texts, id.String())
		back, err := records.ParseDeliveryID(id.String())
		if err != nil || back != id {
			t.Errorf("parsing %v answered %v, %v", id, back, err)
		}
	}
	if !slices.IsSorted(texts) {
		t.Errorf("texts %v do not ascend", texts)
	}
}

func FuzzParseDeliveryID(f *testing.F) {
	f.Add(records.DeliveryID{1, 2, 3}.String())
	f.Add("")
	f.Add(strings.Repeat("v", 26))
	f.Add(strings.Repeat("A", 26))
	f.Fuzz(func(t *testing.T, s string) {
		id, err := records.ParseDeliveryID(s)
		if err == nil && id.String() != s {
			t.Errorf("%q was read as %v", s, id)
		}
	})
}

func TestScanDeliveriesInOrder(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	put := func(function string, id byte, wait time.Duration) {
		d := &records.Delivery{Function: function, ID: records.DeliveryID{id}}
		if wait > 0 {
			d.NextAttempt = noon.Add(wait)
		}
		b.must(t, func(u *unit.Unit) error { return records.PutDelivery(u, d) })
	}
	put("f", 3, 0)
	put("f", 1, 0)
	put("f", 4, time.Hour)
	put("f", 2, 2*time.Hour)
	put("f\x00", 9, 0)
	put("e", 9, time.Minute)

	scan := func(scan func(records.Scanner, string, records.DeliveryRef, func(records.DeliveryRef) bool) error, from records.DeliveryRef, limit int) []records.DeliveryRef {
		var refs []records.DeliveryRef
		snap, err := b.store.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		if err := scan(snap, "f", from, func(r records.DeliveryRef) bool {
			refs = append(refs, r)
			return len(refs) < limit
		}); err != nil {
			t.Fatal(err)
		}
		return refs
	}
	now := func(id byte) records.DeliveryRef { return records.DeliveryRef{Rank: 9, ID: records.DeliveryID{id}} }
	later := func(id byte, wait time.Duration) records.DeliveryRef {
		return records.DeliveryRef{Due: noon.Add(wait).UnixNano(), Rank: 9, ID: records.DeliveryID{id}}
	}
	for _, c := range []struct {
		name      string
		got, want []records.DeliveryRef
	}{
		{"ready", scan(records.ScanDeliveries, records.DeliveryRef{}, 9), []records.DeliveryRef{now(1), now(3)}},
		{"ready from", scan(records.ScanDeliveries, now(2), 9), []records.DeliveryRef{now(3)}},
		{"ready first", scan(records.ScanDeliveries, records.DeliveryRef{}, 1), []records.DeliveryRef{now(1)}},
		{"waiting", scan(records.ScanWaiting, records.DeliveryRef{}, 9), []records.DeliveryRef{later(4, time.Hour), later(2, 2*time.Hour)}},
		{"waiting from", scan(records.ScanWaiting, later(5, time.Hour), 9), []records.DeliveryRef{later(2, 2*time.Hour)}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
		if !slices.IsSortedFunc(c.got, records.DeliveryRef.Compare) {
			t.Errorf("%s: refs are not in their own order", c.name)
		}
	}

	snap, err := b.store.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	functions, err := records.DeliveryFunctions(snap)
	if want := []string{"e", "f", "f\x00"}; err != nil || !slices.Equal(functions, want) {
		t.Errorf("functions %q, %v; want %q", functions, err, want)
	}
}

func TestFailKeepsTheLatest(t *testing.T) {
	t.Parallel()
	var d records.Delivery
	for i := range records.MaxFailures + 2 {
		d.Fail(noon.Add(time.Duration(i)), strings.Repeat("é", records.MaxFailureText))
	}
	if len(d.Failures) != records.MaxFailures || !d.Failures[0].At.Equal(noon.Add(2)) {
		t.Errorf("%d failures from %v", len(d.Failures), d.Failures[0].At)
	}
	if text := d.LastError(); len(text) > records.MaxFailureText || !strings.HasPrefix(text, "éé") || strings.Trim(text, "é") != "" {
		t.Errorf("text of %d bytes ends in %q", len(text), text[len(text)-3:])
	}
}
