package consumer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Progress is how far a group has come in a partition.
type Progress struct {
	Stream, Function string
	Partition        int
	// Position is the last position that was handled; 0 before the first.
	Position uint64
	// Last is the last position there is.
	Last uint64
	// Lag is how many events are still to be handled.
	Lag int64
	// Oldest, unless zero, is when the first of them was appended.
	Oldest time.Time
}

// Progress returns how far each group has come in each partition, in order; those of
// one stream, or of all when it is empty.
func (f *Feeder) Progress(stream string) ([]Progress, error) {
	snap, err := f.Env.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	view := records.View{Reader: snap}
	groups, err := records.StreamGroups(snap, stream)
	if err != nil {
		return nil, err
	}
	var all []Progress
	for _, g := range groups {
		numbers, err := f.partitions(view, g)
		if err != nil {
			return nil, err
		}
		for _, n := range numbers {
			p, err := progressOf(view, g, n)
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}

func progressOf(v records.View, g records.Group, number int) (p Progress, err error) {
	p = Progress{Stream: g.Stream, Function: g.Function, Partition: number}
	partition := records.Partition{Stream: g.Stream, Number: number}
	if p.Position, err = records.PeekCursor(v, g, number); err != nil {
		return p, err
	}
	if p.Last, err = records.StreamTail(v, partition); err != nil {
		return p, err
	}
	if p.Lag, err = records.GroupLag(v, g, number); err != nil || p.Lag == 0 {
		return p, err
	}
	err = records.ScanEvents(v, partition, p.Position+1, func(e *Event) bool {
		p.Oldest = e.Time
		return false
	})
	return p, err
}

// partitions returns the numbers of the partitions of a group's stream: those that
// have events, and those it is declared with.
func (f *Feeder) partitions(s records.Scanner, id records.Group) ([]int, error) {
	numbers, err := records.StreamPartitions(s, id.Stream)
	if err != nil {
		return nil, err
	}
	if g := f.groupOf(id); g != nil {
		for n := range g.Partitions {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}

// Replay lets a group read on from a place, in every partition. Events that it has
// handled before are handled again. It fails with ErrNoGroup.
func (f *Feeder) Replay(ctx context.Context, id records.Group, from Place) error {
	return f.unit(ctx, func(u *unit.Unit) error {
		if err := known(u, id); err != nil {
			return err
		}
		numbers, err := f.partitions(u, id)
		if err != nil {
			return err
		}
		for _, n := range numbers {
			first, err := records.FirstOf(u, records.Partition{Stream: id.Stream, Number: n}, from)
			if err != nil {
				return err
			}
			if err := records.PutCursor(u, id, n, first-1); err != nil {
				return err
			}
		}
		u.OnCommit(func() { f.wakeGroup(id) })
		return records.PutGroup(u, id, u.Now())
	})
}

func (f *Feeder) wakeGroup(id records.Group) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.runners {
		if r.g.id == id {
			r.signal()
		}
	}
}

// Forget removes a group whose function the program does not have any more, so that
// nothing is kept for it. It fails with ErrNoGroup.
func (f *Feeder) Forget(ctx context.Context, id records.Group) error {
	if f.groupOf(id) != nil {
		return fmt.Errorf("perdure: function %q reads stream %q in this program: it cannot be forgotten", id.Function, id.Stream)
	}
	return f.unit(ctx, func(u *unit.Unit) error {
		if err := known(u, id); err != nil {
			return err
		}
		return records.DeleteGroup(u, id)
	})
}

func known(u *unit.Unit, id records.Group) error {
	there, err := records.GetGroup(u, id)
	if err == nil && !there {
		err = fmt.Errorf("%w: function %q of stream %q", ErrNoGroup, id.Function, id.Stream)
	}
	return err
}
