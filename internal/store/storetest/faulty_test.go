package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/store/storetest"
)

// transfer is a scenario of seven operations: it takes a lease, seeds an
// account, and moves money under a condition.
func transfer(ctx context.Context, s store.Store) error {
	epoch, err := s.AcquireLease(ctx, "p", "me", time.Hour)
	if err != nil {
		return err
	}
	commit := func(t *store.Txn) error {
		verdicts, err := s.Commit(ctx, []*store.Txn{t})
		if err != nil {
			return err
		}
		return verdicts[0]
	}
	seed := &store.Txn{Lease: store.Lease{Name: "p", Epoch: epoch}}
	seed.Add([]byte("a"), 100)
	seed.Add([]byte("b"), 0)
	if err := commit(seed); err != nil {
		return err
	}
	snap, err := s.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	_, v, err := snap.Get([]byte("a"))
	if err != nil {
		return err
	}
	if err := snap.Scan(store.Range{}, func(store.Item) bool { return true }); err != nil {
		return err
	}
	move := &store.Txn{}
	move.Require([]byte("a"), v)
	move.Add([]byte("a"), -30)
	move.Add([]byte("b"), 30)
	if err := commit(move); err != nil {
		return err
	}
	return s.ReleaseLease(ctx, "p", epoch)
}

// balances reads both accounts.
func balances(t *testing.T, s store.Store) (a, b int64) {
	t.Helper()
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for key, n := range map[string]*int64{"a": &a, "b": &b} {
		value, _, err := snap.Get([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		if *n, err = store.DecodeCounter(value); err != nil {
			t.Fatal(err)
		}
	}
	return a, b
}

func TestSweepMeetsEveryOperation(t *testing.T) {
	for _, fault := range []storetest.Fault{storetest.Refuse, storetest.Lose, storetest.Keep} {
		runs, failures := 0, 0
		var ends []string
		storetest.Sweep(t, fault, func(t *testing.T, inject func(store.Store) *storetest.Faulty) {
			runs++
			inner := memory.New(nil)
			s := inject(inner)
			err := transfer(t.Context(), s)
			if (err != nil) != s.Failed() {
				t.Fatalf("the scenario ended with %v, fault met %v", err, s.Failed())
			}
			if err != nil {
				failures++
				if !errors.Is(err, storetest.ErrInjected) {
					t.Errorf("error %v is not the injected one", err)
				}
				if _, err := s.Snapshot(); errors.Is(err, store.ErrOutcomeUnknown) != errors.Is(err, storetest.ErrInjected) {
					t.Errorf("afterwards: %v", err)
				}
			}
			a, b := balances(t, inner)
			ends = append(ends, fmt.Sprintf("%d/%d", a, b))
		})
		if runs != 8 || failures != 7 {
			t.Errorf("%v: %d runs, %d failures; want 8 and 7", fault, runs, failures)
		}
		// Which state the store is left in tells whether the operation was done.
		want := []string{"0/0", "0/0", "100/0", "100/0", "100/0", "100/0", "70/30", "70/30"}
		if fault == storetest.Keep {
			want[1], want[5] = "100/0", "70/30"
		}
		if fmt.Sprint(ends) != fmt.Sprint(want) {
			t.Errorf("%v: states %v, want %v", fault, ends, want)
		}
	}
}

func TestFaultyStaysBroken(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, fault := range []storetest.Fault{storetest.Refuse, storetest.Lose, storetest.Keep} {
		s := storetest.NewFaulty(memory.New(nil), fault, 0)
		_, err := s.AcquireLease(ctx, "p", "me", time.Hour)
		if got, want := errors.Is(err, store.ErrOutcomeUnknown), fault != storetest.Refuse; got != want {
			t.Errorf("%v: %v", fault, err)
		}
		_, err = s.Commit(ctx, nil)
		if got, want := errors.Is(err, store.ErrOutcomeUnknown), fault != storetest.Refuse; got != want {
			t.Errorf("%v: the operation after: %v", fault, err)
		}
	}
}

func TestFaultyWithoutAFault(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB, now func() time.Time) store.Store {
			return storetest.NewFaulty(memory.New(&memory.Options{Now: now}), storetest.Keep, -1)
		},
	})
}
