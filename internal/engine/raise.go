package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// Raise delivers an event to an instance and returns once it is durable.
func (e *Engine) Raise(ctx context.Context, r unit.Raise) error {
	if err := e.Err(); err != nil {
		return err
	}
	if err := checkRaise(&r); err != nil {
		return err
	}
	for {
		key, err := e.find(r.ID)
		if err != nil {
			return err
		}
		if key == 0 {
			err = ErrNotFound
		} else {
			err = e.ask(ctx, key, &inbound{event: history.Event{Kind: history.EventRaised, Name: r.Name, Data: r.Payload}})
		}
		switch {
		case !errors.Is(err, ErrNotFound):
			return err
		case r.KeepFor <= 0:
			return fmt.Errorf("%w: %q", err, r.ID)
		}
		if err := e.keep(ctx, &r); !errors.Is(err, store.ErrConflict) {
			return err
		}
		// It was started meanwhile.
	}
}

func checkRaise(r *unit.Raise) error {
	if err := checkName("event", r.Name); err != nil {
		return err
	}
	if r.ID == "" || len(r.ID) > records.MaxID {
		return fmt.Errorf("%w: instance id of %d bytes, want 1 to %d", ErrInvalid, len(r.ID), records.MaxID)
	}
	if len(r.Payload) > MaxPayload {
		return fmt.Errorf("%w: payload of %d bytes, want at most %d", ErrInvalid, len(r.Payload), MaxPayload)
	}
	return nil
}
