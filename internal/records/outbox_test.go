package records_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

const target = "stream/names"

// outbox returns what waits in an outbox from a position on, as "position:data".
func (b *letterbox) outbox(t fatalHelper, target string, from uint64) (found []string) {
	t.Helper()
	b.view(t, func(v records.View) error {
		return records.ScanOutbox(v, target, from, func(e *records.Event) bool {
			found = append(found, fmt.Sprintf("%d:%s", e.Position, e.Data))
			return true
		})
	})
	return found
}

func TestOutboxKeepsOrder(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	for i := range 5 {
		b.must(t, func(u *unit.Unit) error {
			e := event(records.Partition{}, "key", fmt.Sprint(i))
			e.Time = noon.Add(time.Duration(i) * time.Minute)
			return records.AppendOutbox(u, target, e)
		})
	}
	b.must(t, func(u *unit.Unit) error {
		return records.AppendOutbox(u, target+"2", event(records.Partition{}, "", "other"))
	})
	state := func(depth uint64, oldest time.Time) {
		t.Helper()
		b.view(t, func(v records.View) error {
			got, err := records.GetOutboxState(v, target)
			if got.Depth != depth || !got.Oldest.Equal(oldest) {
				t.Errorf("state %+v, want %d since %v", got, depth, oldest)
			}
			return err
		})
	}
	wantEvents(t, "all", b.outbox(t, target, 0), "1:0", "2:1", "3:2", "4:3", "5:4")
	wantEvents(t, "from 4", b.outbox(t, target, 4), "4:3", "5:4")
	wantEvents(t, "other", b.outbox(t, target+"2", 0), "1:other")
	state(5, noon)
	b.must(t, func(u *unit.Unit) error { return records.RemoveOutbox(u, target, 1, 3) })
	wantEvents(t, "what is left", b.outbox(t, target, 0), "4:3", "5:4")
	state(2, noon.Add(3*time.Minute))
	b.must(t, func(u *unit.Unit) error { return records.RemoveOutbox(u, target, 4, 5) })
	state(0, time.Time{})
	wantEvents(t, "other", b.outbox(t, target+"2", 0), "1:other")
}

func TestOutboxOriginStays(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	for _, fresh := range []string{"first", "second"} {
		b.must(t, func(u *unit.Unit) error {
			origin, err := records.OutboxOrigin(u, fresh)
			if origin != "first" {
				t.Errorf("origin %q", origin)
			}
			return err
		})
	}
}

func TestMirror(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	want := records.Mirror{Made: noon, Sequence: 7}
	b.must(t, func(u *unit.Unit) error {
		if got, err := records.GetMirror(u, target); err != nil || got != (records.Mirror{}) {
			t.Errorf("before: %+v, %v", got, err)
		}
		return records.PutMirror(u, target, want)
	})
	b.must(t, func(u *unit.Unit) error {
		got, err := records.GetMirror(u, target)
		if !got.Made.Equal(want.Made) || got.Sequence != want.Sequence {
			t.Errorf("got %+v", got)
		}
		return err
	})
}

func TestAdvanceShowsEachPositionOnce(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	var fresh []uint64
	for _, position := range []uint64{1, 2, 2, 1, 3, 5, 4, 5, 6} {
		b.must(t, func(u *unit.Unit) error {
			ok, err := records.Advance(u, target, "origin", position)
			if ok {
				fresh = append(fresh, position)
			}
			return err
		})
	}
	if want := []uint64{1, 2, 3, 5, 6}; !slices.Equal(fresh, want) {
		t.Errorf("fresh %v, want %v", fresh, want)
	}
	b.must(t, func(u *unit.Unit) error {
		for _, other := range [][2]string{{target, "other"}, {"stream/other", "origin"}} {
			if ok, err := records.Advance(u, other[0], other[1], 1); err != nil || !ok {
				t.Errorf("%q: %v, %v", other, ok, err)
			}
		}
		return nil
	})
}

func TestTakeOnce(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	take := func(sequence uint64, want bool) {
		t.Helper()
		b.must(t, func(u *unit.Unit) error {
			first, err := records.Take(u, target, sequence)
			if first != want {
				t.Errorf("message %d: first %v", sequence, first)
			}
			return err
		})
	}
	for _, sequence := range []uint64{1, 2, 3, 4} {
		take(sequence, true)
		take(sequence, false)
	}
	forget := func(last uint64, limit, want int) {
		t.Helper()
		b.must(t, func(u *unit.Unit) error {
			n, err := records.ForgetTaken(u, target, last, limit)
			if n != want {
				t.Errorf("forgot %d up to %d, want %d", n, last, want)
			}
			return err
		})
	}
	forget(3, 2, 2)
	forget(3, 2, 1)
	forget(3, 2, 0)
	take(4, false)
	take(3, true)
}
