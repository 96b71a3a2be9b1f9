package table

import (
	"errors"
	"fmt"
	"time"
)

// expiry says when a row ceases to exist.
type expiry[T any] struct {
	after time.Duration
	at    func(*T) time.Time // nil for after
	fault error
}

//lint:ignore U1000 it is called through Option; the checker does not follow generic types there
func (e expiry[T]) apply(t *Table[T]) { t.expiries = append(t.expiries, e) }

func (e expiry[T]) validate() error { return e.fault }

// ExpireAfter makes rows expire d after they were last written. The app's time
// decides. From then on nothing finds the row; soon after, it is removed with its index
// entries, which is one delete in the table's change feed. Given together with
// ExpiresAt, the earlier time counts.
//
// Rows that were written before a table had an expiry get it from Reindex, or when
// they are written again.
func ExpireAfter[T any](d time.Duration) Option[T] {
	e := expiry[T]{after: d}
	if d <= 0 {
		e.fault = fmt.Errorf("ExpireAfter of %v: want a positive time", d)
	}
	return e
}

// ExpiresAt makes each row expire when at says, which must give the same time for the
// same row always; the zero time is never. Otherwise it is like ExpireAfter.
func ExpiresAt[T any](at func(*T) time.Time) Option[T] {
	e := expiry[T]{at: at}
	if at == nil {
		e.fault = errors.New("ExpiresAt has no function")
	}
	return e
}

// expiry returns when a row that was written at a time ceases to exist; zero if it
// does not.
func (t *Table[T]) expiry(written time.Time, value *T) (first time.Time) {
	for _, e := range t.expiries {
		at := written.Add(e.after)
		if e.at != nil {
			at = e.at(value)
		}
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
