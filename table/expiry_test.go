package table_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

// Lease is a row that expires.
type Lease struct {
	Holder string    `json:"holder"`
	Until  time.Time `json:"until,omitzero"`
}

var (
	byHolder = table.Index("byHolder", func(l *Lease) string { return l.Holder })
	leases   = table.Of("leases", byHolder,
		table.ExpireAfter[Lease](time.Minute), table.ExpiresAt(func(l *Lease) time.Time { return l.Until }))
)

func TestExpiredRowsAreHidden(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := epoch
	a.env.Now = func() time.Time { return now }
	a.run(t, func(ctx context.Context) error {
		return errors.Join(
			leases.Insert(ctx, "p/1", &Lease{Holder: "ada"}),
			leases.Insert(ctx, "p/2", &Lease{Holder: "ada", Until: epoch.Add(time.Second)}),
			leases.Insert(ctx, "p/3", &Lease{Holder: "ada", Until: epoch.Add(time.Hour)}),
		)
	})
	found := func(want string) {
		t.Helper()
		a.run(t, func(ctx context.Context) error {
			for what, rows := range map[string]func() (string, error){
				"scan":  func() (string, error) { return join(leases.Scan(ctx, "p")) },
				"all":   func() (string, error) { return join(leases.ScanAll(ctx, table.Reverse())) },
				"index": func() (string, error) { return join(leases.ScanIndex(ctx, byHolder.Equal("ada"))) },
			} {
				if got, err := rows(); err != nil || len(got) != len(want) {
					t.Errorf("%v: %s: %q, %v, want %q", now, what, got, err, want)
				}
			}
			for _, key := range []string{"1", "2", "3"} {
				row, err := leases.GetRow(ctx, "p/"+key)
				if absent := errors.Is(err, table.ErrNotFound); absent == contains(want, key) || err != nil && !absent {
					t.Errorf("%v: row %s: %+v, %v", now, key, row, err)
				}
			}
			n, err := leases.Count(ctx, "p")
			if n != len(want) {
				t.Errorf("%v: %d rows are counted, want %d", now, n, len(want))
			}
			return err
		})
	}
	found("123")
	now = epoch.Add(time.Second - 1)
	found("123")
	now = epoch.Add(time.Second)
	found("13")
	now = epoch.Add(time.Minute)
	found("")
	a.run(t, func(ctx context.Context) error {
		if err := leases.Delete(ctx, "p/1"); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("delete of an expired row: %v", err)
		}
		if err := leases.Update(ctx, "p/1", nil); !errors.Is(err, table.ErrNotFound) {
			t.Errorf("update of an expired row: %v", err)
		}
		return leases.Insert(ctx, "p/1", &Lease{Holder: "bob"})
	})
	a.run(t, func(ctx context.Context) error {
		row, err := leases.GetRow(ctx, "p/1")
		if err == nil && (row.Value.Holder != "bob" || !row.Expires.Equal(now.Add(time.Minute))) {
			t.Errorf("the row is %+v", row)
		}
		return err
	})
}

func contains(keys, key string) bool {
	for _, k := range keys {
		if string(k) == key {
			return true
		}
	}
	return false
}

// join returns the names of the rows of a scan.
func join(rows func(func(table.Row[Lease], error) bool)) (names string, err error) {
	for row, err := range rows {
		if err != nil {
			return "", err
		}
		names += row.Key.Row
	}
	return names, nil
}

// expire removes what has expired, one row for each unit, and returns how many units
// that took.
func (a *app) expire(t *testing.T) (units int) {
	t.Helper()
	for more := true; more; units++ {
		a.run(t, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err == nil {
				more, err = records.ExpireRows(u, u.Now(), 1)
			}
			return err
		})
	}
	return units
}

func TestExpiredRowsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := epoch
	a.env.Now = func() time.Time { return now }
	blind := table.Of("blind", table.ExpireAfter[Lease](time.Second))
	a.run(t, func(ctx context.Context) error {
		return errors.Join(
			leases.Insert(ctx, "1", &Lease{}), leases.Insert(ctx, "2", &Lease{}), leases.Delete(ctx, "2"),
			blind.PutBlind(ctx, "1", &Lease{}), blind.PutBlind(ctx, "2", &Lease{}),
		)
	})
	now = now.Add(time.Millisecond)
	a.run(t, func(ctx context.Context) error {
		return errors.Join(blind.PutBlind(ctx, "1", &Lease{}), blind.DeleteBlind(ctx, "2"), leases.Put(ctx, "1", &Lease{}))
	})
	now = epoch.Add(time.Second) // what the blind writes replaced is due
	a.expire(t)
	a.run(t, func(ctx context.Context) error {
		_, err := blind.Get(ctx, "1")
		return err
	})
	if next := a.nextExpiry(t); !next.Equal(epoch.Add(time.Second + time.Millisecond)) {
		t.Errorf("the next row is due at %v", next)
	}
	now = epoch.Add(time.Minute + time.Millisecond)
	if units := a.expire(t); units != 3 {
		t.Errorf("two rows took %d units of one, with one to find the end", units)
	}
	if next := a.nextExpiry(t); !next.IsZero() {
		t.Errorf("something is due at %v", next)
	}
	now = epoch // nothing hides what is left
	a.run(t, func(ctx context.Context) error {
		if found, err := join(leases.ScanIndex(ctx, byHolder.All())); found != "" || err != nil {
			t.Errorf("left behind: %q, %v", found, err)
		}
		return nil
	})
}

func (a *app) nextExpiry(t *testing.T) (at time.Time) {
	t.Helper()
	a.run(t, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err == nil {
			at, _, err = records.NextExpiry(u)
		}
		return err
	})
	return at
}

// A row that another unit prolongs while it is being removed stays.
func TestExpiryConflictsWithAWrite(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	now := epoch
	a.env.Now = func() time.Time { return now }
	put := func(ctx context.Context) error { return leases.Put(ctx, "1", &Lease{}) }
	a.run(t, put)
	now = epoch.Add(time.Minute)
	err := a.try(func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		if _, err := records.ExpireRows(u, now, 10); err != nil {
			return err
		}
		a.run(t, put)
		return nil
	})
	if !errors.Is(err, unit.ErrConflict) {
		t.Errorf("error %v, want a conflict", err)
	}
	a.expire(t)
	a.run(t, func(ctx context.Context) error {
		_, err := leases.Get(ctx, "1")
		return err
	})
}

// An expiry that is declared for a table with rows covers them after Reindex.
func TestReindexSetsTheExpiry(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	before, after := table.Of[Lease]("late"), table.Of("late", table.ExpireAfter[Lease](time.Minute))
	a.run(t, func(ctx context.Context) error { return before.Put(ctx, "1", &Lease{}) })
	a.run(t, func(ctx context.Context) error {
		_, err := after.Reindex(ctx, "")
		return err
	})
	if next := a.nextExpiry(t); !next.Equal(epoch.Add(time.Minute)) {
		t.Errorf("it is due at %v", next)
	}
	a.run(t, func(ctx context.Context) error {
		_, err := before.Reindex(ctx, "")
		return err
	})
	if next := a.nextExpiry(t); !next.IsZero() {
		t.Errorf("it is due at %v, though nothing declares so", next)
	}
}

func TestBadExpiries(t *testing.T) {
	t.Parallel()
	for _, bad := range []*table.Table[Lease]{
		table.Of("t", table.ExpireAfter[Lease](0)), table.Of("t", table.ExpiresAt[Lease](nil)),
	} {
		if err := bad.Validate(); err == nil {
			t.Error("a bad declaration is valid")
		}
	}
}
