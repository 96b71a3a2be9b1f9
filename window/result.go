package window

import (
	"context"
	"time"

	"github.com/perdure/perdure/table"
)

// Result is what a window holds of the events of one key.
type Result[K comparable, A any] struct {
	// Key is what the events have in common.
	Key K `json:"key"`
	// Start and End are the window's; an event at End is not in it.
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	// Value is the aggregate.
	Value A `json:"value"`
	// Revision is 1 for the first result of a window, and one more for each further
	// one, which takes its place.
	Revision int `json:"revision"`
	// Final says that the window has ended. A result that is not final is an early
	// one. After a final result another one comes only if an event was late by no
	// more than Lateness.
	Final bool `json:"final,omitempty"`
	// Withdrawn says that an earlier result of the session that began at Start does not
	// hold any more: the session became part of another one, whose result comes as
	// well. Value is zero. Only sessions with Early or Lateness are withdrawn.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// ToTable returns a function for results that keeps each one as the row that row
// returns, under a key such as table.Key's String. A later revision overwrites the row
// if its key is the same, and a withdrawn session's row is deleted.
func ToTable[K comparable, A, R any](t *table.Table[R], row func(Result[K, A]) (key string, value *R)) func(context.Context, Result[K, A]) error {
	return func(ctx context.Context, r Result[K, A]) error {
		key, value := row(r)
		if r.Withdrawn {
			return t.Delete(ctx, key)
		}
		return t.Put(ctx, key, value)
	}
}
