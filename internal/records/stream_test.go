package records_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

var namesLog = records.Partition{Stream: "names", Number: 2}

func event(p records.Partition, key, data string) *records.Event {
	return &records.Event{Partition: p.Number, Key: key, Time: noon, Data: []byte(data)}
}

// appendTo appends events of these texts to a partition, in one unit.
func (b *letterbox) appendTo(t fatalHelper, p records.Partition, texts ...string) {
	t.Helper()
	b.must(t, func(u *unit.Unit) error {
		for _, text := range texts {
			if err := records.AppendEvents(u, p.Stream, event(p, text, text)); err != nil {
				return err
			}
		}
		return nil
	})
}

// view calls read with a snapshot.
func (b *letterbox) view(t fatalHelper, read func(v records.View) error) {
	t.Helper()
	snap, err := b.store.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if err := read(records.View{Reader: snap}); err != nil {
		t.Fatal(err)
	}
}

// events returns a partition from a position on, as "position:data".
func (b *letterbox) events(t fatalHelper, p records.Partition, from uint64) (found []string) {
	t.Helper()
	b.view(t, func(v records.View) error {
		return records.ScanEvents(v, p, from, func(e *records.Event) bool {
			found = append(found, fmt.Sprintf("%d:%s", e.Position, e.Data))
			return true
		})
	})
	return found
}

func wantEvents(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestEventsKeepWhatTheyHold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := &records.Event{
			Partition: rapid.IntRange(0, 1000).Draw(t, "partition"),
			Position:  rapid.Uint64Min(1).Draw(t, "position"),
			Key:       rapid.String().Draw(t, "key"),
			Time:      times().Draw(t, "time"),
			Data:      rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
		}
		if headers := rapid.MapOfN(rapid.String(), rapid.String(), 0, 4).Draw(t, "headers"); len(headers) > 0 {
			want.Headers = headers
		}
		got, err := records.DecodeEvent(records.Partition{Stream: "s", Number: want.Partition}, want.Position, records.EncodeEvent(want))
		if err != nil {
			t.Fatal(err)
		}
		if len(want.Data) == 0 {
			got.Data, want.Data = nil, nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add(records.EncodeEvent(event(namesLog, "key", "data")))
	f.Add(records.EncodeEvent(&records.Event{Time: noon, Headers: map[string]string{"traceparent": "x", "": ""}}))
	f.Add([]byte{})
	f.Add([]byte{9, 1, 2})
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := records.DecodeEvent(namesLog, 7, value)
		if err != nil {
			if !errors.Is(err, records.ErrUnreadableEvent) {
				t.Errorf("%v is no ErrUnreadableEvent", err)
			}
			return
		}
		again, err := records.DecodeEvent(namesLog, 7, records.EncodeEvent(e))
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
	})
}

func TestPartitionOfIsStable(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int{"": 2, "a": 5, "b": 4, "ada": 7, "grace": 6} {
		if got := records.PartitionOf(key, 8); got != want {
			t.Errorf("key %q is in partition %d of 8, was in %d", key, got, want)
		}
	}
	var counts [7]int
	for i := range 7000 {
		counts[records.PartitionOf(fmt.Sprint("key-", i), len(counts))]++
	}
	for i, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("partition %d has %d of 7000 keys", i, n)
		}
	}
}

func TestEventsAreInPartitions(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	other, stranger := records.Partition{Stream: "names", Number: 0}, records.Partition{Stream: "names2", Number: 2}
	b.appendTo(t, namesLog, "a", "b")
	b.appendTo(t, other, "x")
	b.appendTo(t, stranger, "y")
	b.appendTo(t, namesLog, "c")
	wantEvents(t, "all", b.events(t, namesLog, 0), "1:a", "2:b", "3:c")
	wantEvents(t, "from 3", b.events(t, namesLog, 3), "3:c")
	wantEvents(t, "from 4", b.events(t, namesLog, 4))
	wantEvents(t, "other", b.events(t, other, 0), "1:x")
	b.view(t, func(v records.View) error {
		numbers, err := records.StreamPartitions(v, "names")
		if !slices.Equal(numbers, []int{0, 2}) {
			t.Errorf("partitions %v", numbers)
		}
		state, err2 := records.GetStreamState(v, namesLog)
		if state.First != 1 || state.Last != 3 || state.Bytes == 0 {
			t.Errorf("state %+v", state)
		}
		return errors.Join(err, err2)
	})
}

func TestPositionAtATime(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	b.must(t, func(u *unit.Unit) error {
		for i := range 10 {
			e := event(namesLog, "", fmt.Sprint(i))
			e.Time = noon.Add(time.Duration(i/2) * time.Minute)
			if err := records.AppendEvents(u, "names", e); err != nil {
				return err
			}
		}
		return nil
	})
	b.view(t, func(v records.View) error {
		for minutes, want := range map[float64]uint64{-1: 1, 0: 1, 0.5: 3, 1: 3, 4: 9, 4.5: 11} {
			got, err := records.PositionAt(v, namesLog, noon.Add(time.Duration(minutes*float64(time.Minute))))
			if err != nil || got != want {
				t.Errorf("after %v minutes: position %d, %v, want %d", minutes, got, err, want)
			}
		}
		got, err := records.PositionAt(v, records.Partition{Stream: "empty"}, noon)
		if got != 1 {
			t.Errorf("an empty partition: %d", got)
		}
		return err
	})
}

func TestCursorsAndGroups(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	g, other := records.Group{Stream: "names", Function: "f"}, records.Group{Stream: "other", Function: "f"}
	b.must(t, func(u *unit.Unit) error {
		there, err := records.GetGroup(u, g)
		_, found, err2 := records.GetCursor(u, g, 1)
		if there || found {
			t.Errorf("group %v, cursor %v", there, found)
		}
		return errors.Join(err, err2, records.PutGroup(u, g, noon), records.PutGroup(u, other, noon),
			records.PutCursor(u, g, 1, 7), records.PutCursor(u, other, 1, 8),
			records.AddSuspect(u, g, 1, 9), records.AddSuspect(u, g, 1, 9), records.AddSuspect(u, g, 10, 3))
	})
	b.must(t, func(u *unit.Unit) error {
		there, err := records.GetGroup(u, g)
		position, found, err2 := records.GetCursor(u, g, 1)
		deaths, err3 := records.Suspects(u, g, 1)
		all, err4 := records.StreamGroups(u, "")
		own, err5 := records.StreamGroups(u, "names")
		if !there || !found || position != 7 || fmt.Sprint(deaths) != "map[9:2]" || len(all) != 2 || !slices.Equal(own, []records.Group{g}) {
			t.Errorf("group %v, cursor %d, deaths %v, groups %v and %v", there, position, deaths, all, own)
		}
		return errors.Join(err, err2, err3, err4, err5, records.DeleteGroup(u, g))
	})
	b.must(t, func(u *unit.Unit) error {
		groups, err := records.StreamGroups(u, "")
		deaths, err2 := records.Suspects(u, g, 10)
		position, err3 := records.PeekCursor(u, other, 1)
		if !slices.Equal(groups, []records.Group{other}) || len(deaths) != 0 || position != 8 {
			t.Errorf("groups %v, deaths %v, the other cursor %d", groups, deaths, position)
		}
		return errors.Join(err, err2, err3)
	})
}

// trim removes events as long as remove says so and returns how many.
func (b *letterbox) trim(t *testing.T, limit int, between func(), remove func(e *records.Event, left int64) bool) (int, error) {
	t.Helper()
	var txn store.Txn
	var n int
	b.view(t, func(v records.View) (err error) {
		n, err = records.TrimStream(&txn, v.Reader, namesLog, limit, remove)
		return err
	})
	between()
	verdicts, err := b.store.Commit(context.Background(), []*store.Txn{&txn})
	return n, errors.Join(append(verdicts, err)...)
}

func TestTrim(t *testing.T) {
	t.Parallel()
	b := newLetterbox(t)
	b.appendTo(t, namesLog, "a", "b", "c", "d", "e", "f")
	upTo := func(last uint64) func(*records.Event, int64) bool {
		return func(e *records.Event, _ int64) bool { return e.Position <= last }
	}
	state := func() (s records.StreamState) {
		b.view(t, func(v records.View) (err error) { s, err = records.GetStreamState(v, namesLog); return err })
		return s
	}
	full := state().Bytes
	if n, err := b.trim(t, 100, func() {}, upTo(2)); n != 2 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	wantEvents(t, "after two", b.events(t, namesLog, 0), "3:c", "4:d", "5:e", "6:f")
	if s := state(); s.First != 3 || s.Last != 6 || s.Bytes != full/6*4 {
		t.Errorf("state %+v, %d bytes before", s, full)
	}
	var lefts []int64
	if n, err := b.trim(t, 1, func() {}, func(_ *records.Event, left int64) bool { lefts = append(lefts, left); return true }); n != 1 || err != nil {
		t.Errorf("with a limit removed %d, %v", n, err)
	}
	if !slices.Equal(lefts, []int64{full / 6 * 4}) {
		t.Errorf("left %v", lefts)
	}
	g := records.Group{Stream: "names", Function: "f"}
	b.must(t, func(u *unit.Unit) error { return records.PutGroup(u, g, noon) })
	setBack := func() { b.must(t, func(u *unit.Unit) error { return records.PutGroup(u, g, noon.Add(1)) }) }
	if _, err := b.trim(t, 100, setBack, upTo(5)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("with a group that was set back meanwhile: %v", err)
	}
	if n, err := b.trim(t, 100, func() {}, upTo(100)); n != 3 || err != nil {
		t.Errorf("of all removed %d, %v", n, err)
	}
	if s := state(); s.First != 7 || s.Last != 6 || s.Bytes != 0 {
		t.Errorf("state of what is empty %+v", s)
	}
	b.appendTo(t, namesLog, "g")
	wantEvents(t, "afterwards", b.events(t, namesLog, 0), "7:g")
}
