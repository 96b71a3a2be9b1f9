package perdure_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// session is a row that expires.
type session struct {
	User  string    `json:"user"`
	Until time.Time `json:"until,omitzero"`
}

var (
	byUser   = table.Index("byUser", func(s *session) string { return s.User })
	sessions = table.Of("sessions", byUser,
		table.ExpireAfter[session](time.Hour), table.ExpiresAt(func(s *session) time.Time { return s.Until }))
)

// stored returns how many rows are in the store, expired ones included.
func (r *running) stored(keys ...string) (n int) {
	r.w.t.Helper()
	r.unit(func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		n = 0
		for _, key := range keys {
			row, err := records.GetRow(u, records.RowKey{Table: "sessions", Row: key})
			if err != nil {
				return err
			}
			if row != nil {
				n++
			}
		}
		return nil
	})
	return n
}

func (r *running) putSession(key string, s session) {
	r.w.t.Helper()
	r.unit(func(ctx context.Context) error { return sessions.Put(ctx, key, &s) })
}

func TestExpiredRowsAreRemovedWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start(sessions)
	r.putSession("late", session{User: "ada"})
	r.putSession("early", session{User: "bob", Until: noon.Add(time.Minute)})
	r.putSession("first", session{User: "bob", Until: noon.Add(time.Second)})
	r.putSession("past", session{User: "bob", Until: noon.Add(-time.Second)})
	for _, step := range []struct {
		wait time.Duration
		left int
	}{{0, 3}, {time.Second, 2}, {58 * time.Second, 2}, {time.Second, 1}, {59*time.Minute - 1, 1}, {1, 0}} {
		r.advance(step.wait)
		if n := r.stored("late", "early", "first", "past"); n != step.left {
			t.Errorf("%v: %d rows are stored, want %d", r.w.clock.Now().Sub(noon), n, step.left)
		}
	}
}

func TestRowsThatAreWrittenAgainExpireLater(t *testing.T) {
	t.Parallel()
	r := newWorld(t).start(sessions)
	r.putSession("1", session{User: "ada"})
	r.advance(59 * time.Minute)
	r.putSession("1", session{User: "ada"})
	r.advance(59 * time.Minute)
	if r.stored("1") != 1 {
		t.Error("a row expired by the time of its first write")
	}
	r.advance(time.Minute)
	if r.stored("1") != 0 {
		t.Error("a row stayed after its time")
	}
}

func TestRowsThatExpireWhileTheAppIsDownAreRemovedAtItsStart(t *testing.T) {
	t.Parallel()
	w := newLasting(t)
	r := w.start(sessions)
	const rows = 1000 // several units
	r.unit(func(ctx context.Context) error {
		for i := range rows {
			if err := sessions.Put(ctx, fmt.Sprint(i), &session{User: "ada"}); err != nil {
				return err
			}
		}
		return sessions.Put(ctx, "later", &session{User: "ada"})
	})
	r.advance(time.Minute)
	r.putSession("later", session{User: "ada"})
	r.stop()
	w.clock.Advance(59 * time.Minute)
	r = w.start(sessions)
	r.settle()
	for i := range rows {
		if r.stored(fmt.Sprint(i)) != 0 {
			t.Fatalf("row %d is still there", i)
		}
	}
	r.advance(time.Minute)
	if r.stored("later") != 0 {
		t.Error("what was due later is still there")
	}
}
