package delivery

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// The bounds of a page of dead letters.
const (
	// MaxPage is the greatest number of dead letters in one answer.
	MaxPage = 1000
	// maxPageBytes is the size of events after which an answer ends early.
	maxPageBytes = 8 << 20
)

// DeadLetters returns up to limit (at most MaxPage, also for 0) dead letters of a
// function, oldest arrival first; of all functions, one after another, when
// function is empty. It goes on where cursor, which an earlier answer gave, says;
// next is empty at the end.
func (d *Dispatcher) DeadLetters(function, cursor string, limit int) (letters []DeadLetter, next string, err error) {
	var after []byte
	if cursor != "" {
		if after, err = base64.RawURLEncoding.DecodeString(cursor); err != nil {
			return nil, "", fmt.Errorf("perdure: cursor %q was not given by a list of dead letters", cursor)
		}
	}
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	snap, err := d.env.Snapshot()
	if err != nil {
		return nil, "", err
	}
	defer snap.Close()
	size := 0
	var last []byte
	err = records.ListDeadLetters(snap, function, after, func(l *DeadLetter, cursor []byte) bool {
		if len(letters) == limit || size >= maxPageBytes {
			next = base64.RawURLEncoding.EncodeToString(last)
			return false
		}
		letters = append(letters, *l)
		size += len(l.Event)
		last = cursor
		return true
	})
	if err != nil {
		return nil, "", err
	}
	return letters, next, nil
}

// CountDeadLetters returns how many dead letters there are of each function and
// cause, none of which is zero; of one function, or of all when it is empty.
func (d *Dispatcher) CountDeadLetters(function string) ([]records.DeadLetterCount, error) {
	snap, err := d.env.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	return records.CountDeadLetters(snap, function)
}

// DeadLetter returns one dead letter; ErrNoDeadLetter without it.
func (d *Dispatcher) DeadLetter(ctx context.Context, function string, id ID) (letter *DeadLetter, err error) {
	err = d.withDeadLetter(ctx, function, id, func(_ *unit.Unit, l *DeadLetter) error {
		letter = l
		return nil
	})
	return letter, err
}

// Resend makes a dead letter a delivery again, at its old place in the order of
// arrival and in its lane, as if it had never been tried. It fails with
// ErrNoDeadLetter.
func (d *Dispatcher) Resend(ctx context.Context, function string, id ID) error {
	return d.withDeadLetter(ctx, function, id, d.resend)
}

func (d *Dispatcher) resend(u *unit.Unit, l *DeadLetter) error {
	if err := records.DeleteDeadLetter(u, l); err != nil {
		return err
	}
	fresh := &Delivery{
		Function:   l.Function,
		ID:         l.ID,
		Lane:       l.Lane,
		Priority:   l.Priority,
		Topic:      l.Topic,
		Event:      l.Event,
		Headers:    l.Headers,
		EnqueuedAt: l.EnqueuedAt,
	}
	d.wake(u, fresh)
	return records.PutDelivery(u, fresh)
}

// Drop removes a dead letter for good; the lane that it held goes on. It fails with
// ErrNoDeadLetter.
func (d *Dispatcher) Drop(ctx context.Context, function string, id ID) error {
	return d.withDeadLetter(ctx, function, id, d.drop)
}

func (d *Dispatcher) drop(u *unit.Unit, l *DeadLetter) error {
	f := d.byName[l.Function]
	if err := records.DeleteDeadLetter(u, l); err != nil || l.Lane == "" || f == nil {
		return err
	}
	lane := records.LaneHash(l.Lane)
	u.OnCommit(func() { d.freed(f, lane) })
	return records.ScanLane(u, l.Function, lane, ID{}, func(e records.LaneEntry) bool {
		u.OnCommit(func() { d.arrived(f, e.Ref) })
		return false
	})
}

// withDeadLetter runs do with a dead letter in a unit of its own.
func (d *Dispatcher) withDeadLetter(ctx context.Context, function string, id ID, do func(u *unit.Unit, l *DeadLetter) error) error {
	return unit.Run(ctx, d.env, d.committer, maxConflicts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		l, err := records.GetDeadLetter(u, function, id)
		if err != nil {
			return err
		}
		if l == nil {
			return fmt.Errorf("%w: %s of function %q", ErrNoDeadLetter, id, function)
		}
		return do(u, l)
	})
}
