package delivery

import (
	"fmt"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Bury makes a dead letter of an event that has nobody to go to. Function is who
// handles it if it is sent again.
func (d *Dispatcher) Bury(u *unit.Unit, function, topic string, event []byte, reason string) error {
	now := u.Now()
	letter := &DeadLetter{
		Delivery: Delivery{Function: function, ID: d.arrivals.Next(now), Topic: topic, Event: event, EnqueuedAt: now},
		Cause:    records.Undeliverable, Reason: reason, DeadAt: now,
	}
	if err := d.putDeadLetter(u, letter, false); err != nil {
		return fmt.Errorf("dead letter of %q: %w", topic, err)
	}
	u.OnCommit(func() { go d.mourn(letter) }) // the hook may wait for what commits u
	return nil
}
