package perdure

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// DeadLetter is an event that was given up after its last attempt. It holds what is
// needed to look at it, and to send it again.
type DeadLetter = delivery.DeadLetter

// DeadLetterID names a dead letter among those of its function.
type DeadLetterID = delivery.ID

// DeadLetters manages the events that were given up. Its methods fail with ErrNotRunning
// while the app does not run.
type DeadLetters struct{ app *App }

func (l DeadLetters) dispatcher(ctx context.Context) (*delivery.Dispatcher, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if r := l.app.running.Load(); r != nil {
		return r.dispatcher, nil
	}
	return nil, ErrNotRunning
}

// List returns up to limit (at most 1,000) dead letters of a function, oldest arrival
// first; of all functions when function is empty. It goes on where cursor, which an
// earlier answer gave as next, says; next is empty at the end.
func (l DeadLetters) List(ctx context.Context, function, cursor string, limit int) (letters []DeadLetter, next string, err error) {
	d, err := l.dispatcher(ctx)
	if err != nil {
		return nil, "", err
	}
	return d.DeadLetters(function, cursor, limit)
}

// DeadLetterCount says how many events a function gave up for one cause.
type DeadLetterCount = records.DeadLetterCount

// Count returns how many dead letters there are of each function and cause, none of
// which is zero; of one function, or of all when it is empty.
func (l DeadLetters) Count(ctx context.Context, function string) ([]DeadLetterCount, error) {
	d, err := l.dispatcher(ctx)
	if err != nil {
		return nil, err
	}
	return d.CountDeadLetters(function)
}

// DeadLetterGroup says how many events a function gave up for one cause and reason, and
// when the first and the last of them.
type DeadLetterGroup = delivery.Group

// Groups returns the dead letters of a function, of all when it is empty, counted by
// function, cause and reason, the greatest group first. A reason is the latest error
// with what is quoted replaced by "…" and numbers by #, so that failures of one kind are
// together. Beyond 1,000 groups, those of a function and cause are counted under an
// empty reason.
func (l DeadLetters) Groups(ctx context.Context, function string) ([]DeadLetterGroup, error) {
	d, err := l.dispatcher(ctx)
	if err != nil {
		return nil, err
	}
	return d.Groups(ctx, function)
}

// Get returns one dead letter: ErrNoDeadLetter without it.
func (l DeadLetters) Get(ctx context.Context, function string, id DeadLetterID) (*DeadLetter, error) {
	d, err := l.dispatcher(ctx)
	if err != nil {
		return nil, err
	}
	return d.DeadLetter(ctx, function, id)
}

// Edit replaces the event by another JSON; the one that came stays in
// DeadLetter.Original. ErrNoDeadLetter without the dead letter, ErrBadEvent if it is not
// JSON, or larger than 8 MiB.
func (l DeadLetters) Edit(ctx context.Context, function string, id DeadLetterID, event []byte) error {
	d, err := l.dispatcher(ctx)
	if err != nil {
		return err
	}
	return d.EditDeadLetter(ctx, function, id, event)
}

// Resend has the function handle the event again, at its old place in the order of
// arrival and of its key, as if it had never been tried: ErrNoDeadLetter without it.
func (l DeadLetters) Resend(ctx context.Context, function string, id DeadLetterID) error {
	d, err := l.dispatcher(ctx)
	if err != nil {
		return err
	}
	return d.Resend(ctx, function, id)
}

// Drop removes a dead letter for good, so that its key goes on: ErrNoDeadLetter without
// it.
func (l DeadLetters) Drop(ctx context.Context, function string, id DeadLetterID) error {
	d, err := l.dispatcher(ctx)
	if err != nil {
		return err
	}
	return d.Drop(ctx, function, id)
}

// DeadLetterSelection chooses dead letters by function, by the name of a cause and by
// reason, as groups have it. Empty fields choose all.
type DeadLetterSelection = delivery.Selection

// ResendAll is Resend for the chosen dead letters that are there when it begins, function
// by function in the order of arrival. It works in units of a hundred, so an error leaves
// some of them sent; it returns how many.
func (l DeadLetters) ResendAll(ctx context.Context, s DeadLetterSelection) (int, error) {
	d, err := l.dispatcher(ctx)
	if err != nil {
		return 0, err
	}
	return d.ResendAll(ctx, s)
}

// DropAll is Drop for the chosen dead letters that are there when it begins. It works in
// units of a hundred, so an error leaves some of them dropped; it returns how many.
func (l DeadLetters) DropAll(ctx context.Context, s DeadLetterSelection) (int, error) {
	d, err := l.dispatcher(ctx)
	if err != nil {
		return 0, err
	}
	return d.DropAll(ctx, s)
}

// undelivered is the function whose dead letters are the events that no instance took.
// Sending one again raises the event once more.
const undelivered = "raised-events"

// lostEvent is such an event as it is kept.
type lostEvent struct {
	InstanceID string          `json:"instanceId"`
	Event      string          `json:"event"`
	Payload    json.RawMessage `json:"payload"`
}

// buryLostEvents makes dead letters of the events that no instance took.
func buryLostEvents(d *delivery.Dispatcher) func(*unit.Unit, engine.Undelivered) error {
	return func(u *unit.Unit, lost engine.Undelivered) error {
		event, err := json.Marshal(lostEvent{lost.InstanceID, lost.Event, lost.Payload})
		if err != nil {
			return fmt.Errorf("event %q for instance %q: %w", lost.Event, lost.InstanceID, err)
		}
		return d.Bury(u, undelivered, "event/"+lost.Event, event, "no instance with this id came in time")
	}
}

// raiseLostEvents is the function that raises such an event again.
func raiseLostEvents(e *engine.Engine) delivery.Function {
	return delivery.Function{
		Name: undelivered, Policy: delivery.Policy{Attempts: 1},
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			var lost lostEvent
			if err := json.Unmarshal(d.Event, &lost); err != nil {
				return err
			}
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			return e.RaiseIn(u, unit.Raise{ID: lost.InstanceID, Name: lost.Event, Payload: lost.Payload})
		},
	}
}
