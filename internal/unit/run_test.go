package unit_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

func TestConflictRunsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, "a", "0")
	runs := 0
	err := w.try(3, func(_ context.Context, u *unit.Unit) error {
		a := get(t, u, "a")
		if runs++; runs < 3 {
			w.set(t, "a", fmt.Sprint(runs))
		}
		return u.Put([]byte("a"), []byte(a+"!"))
	})
	if err != nil || runs != 3 {
		t.Errorf("%d runs, %v; want the third to commit", runs, err)
	}
	wantItems(t, "the last run read the latest", w.all(t), "a=2!")
}

func TestConflictGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs, discards := 0, 0
	err := w.try(3, func(_ context.Context, u *unit.Unit) error {
		runs++
		u.OnDiscard(func() { discards++ })
		u.OnCommit(func() { t.Error("committed") })
		get(t, u, "a")
		w.set(t, "a", fmt.Sprint(runs))
		return u.Put([]byte("b"), nil)
	})
	if !errors.Is(err, unit.ErrConflict) || runs != 3 || discards != 3 {
		t.Errorf("%d runs, %d discards, %v; want 3, 3 and ErrConflict", runs, discards, err)
	}
}

func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const goroutines, each = 8, 10
	var wait sync.WaitGroup
	for range goroutines {
		wait.Go(func() {
			for range each {
				err := w.try(1000, func(_ context.Context, u *unit.Unit) error {
					value, err := u.Get([]byte("n"))
					if err != nil {
						return err
					}
					return u.Put([]byte("n"), append(slices.Clone(value), '.'))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	w.run(t, func(u *unit.Unit) error {
		if n := len(get(t, u, "n")); n != goroutines*each {
			t.Errorf("%d of %d updates are there", n, goroutines*each)
		}
		return nil
	})
}

func TestErrorDiscards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := errors.New("own")
	// An error that looks like a conflict is fn's all the same.
	for _, want := range []error{own, fmt.Errorf("nested: %w", store.ErrConflict)} {
		runs := 0
		var steps []string
		err := w.try(5, func(_ context.Context, u *unit.Unit) error {
			runs++
			u.OnDiscard(func() { steps = append(steps, "first") })
			u.OnDiscard(func() { steps = append(steps, "second") })
			u.OnCommit(func() { t.Error("committed") })
			return errors.Join(u.Put([]byte("a"), nil), want)
		})
		if !errors.Is(err, want) || runs != 1 {
			t.Errorf("%d runs, error %v, want 1 and %v", runs, err, want)
		}
		wantItems(t, "discards", steps, "second first")
	}
	wantItems(t, "committed", w.all(t), "")
}

func TestPanicAndGoexitDiscard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, leave := range map[string]func(){
		"panic":  func() { panic("on purpose") },
		"Goexit": runtime.Goexit,
	} {
		discarded := false
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			_ = w.try(5, func(_ context.Context, u *unit.Unit) error {
				u.OnDiscard(func() { discarded = true })
				if err := u.Put([]byte("a"), nil); err != nil {
					return err
				}
				leave()
				return nil
			})
		}()
		<-done
		if !discarded {
			t.Errorf("%s: not discarded", name)
		}
	}
	wantItems(t, "committed", w.all(t), "")
}

func TestTimedOutRunDoesNotCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	discarded := false
	commit := committer(func(context.Context, *store.Txn) error {
		t.Error("committed")
		return nil
	})
	err := unit.Run(ctx, w.env, commit, 5, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		u.OnDiscard(func() { discarded = true })
		cancel()
		return u.Put([]byte("a"), nil)
	})
	if !errors.Is(err, context.Canceled) || !discarded {
		t.Errorf("error %v, discarded %v", err, discarded)
	}
}

func TestCommitHooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var steps []string
	var kept *unit.Unit
	w.run(t, func(u *unit.Unit) error {
		kept = u
		u.OnCommit(func() { steps = append(steps, "first") })
		u.OnCommit(func() { steps = append(steps, "second") })
		u.OnDiscard(func() { t.Error("discarded") })
		return u.Put([]byte("a"), nil)
	})
	wantItems(t, "commits", steps, "first second")

	kept.OnCommit(func() { t.Error("a commit hook that came too late ran") })
	late := false
	kept.OnDiscard(func() { late = true })
	kept.Committed()
	if !late {
		t.Error("what was staged after the end is not undone")
	}

	steps = nil
	w.run(t, func(u *unit.Unit) error { // writes nothing
		u.OnCommit(func() { steps = append(steps, "read-only") })
		return nil
	})
	wantItems(t, "commits", steps, "read-only")
}

type committer func(context.Context, *store.Txn) error

func (c committer) Commit(ctx context.Context, txn *store.Txn) error { return c(ctx, txn) }

func TestOutcomeOfACommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		err     error
		discard bool
	}{
		{store.ErrLeaseLost, true},
		{store.ErrMalformed, true},
		{store.ErrClosed, true},
		{context.Canceled, true},
		{store.ErrOutcomeUnknown, false}, // what was staged may be in use
	} {
		discarded, commits := false, 0
		commit := committer(func(context.Context, *store.Txn) error {
			commits++
			return fmt.Errorf("commit: %w", c.err)
		})
		err := unit.Run(context.Background(), w.env, commit, 5, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			u.OnCommit(func() { t.Errorf("%v: committed", c.err) })
			u.OnDiscard(func() { discarded = true })
			return u.Put([]byte("a"), nil)
		})
		if !errors.Is(err, c.err) || commits != 1 || discarded != c.discard {
			t.Errorf("%v: error %v, %d commits, discarded %v", c.err, err, commits, discarded)
		}
	}
}

func TestReadOnlyUnitIsNotCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	commit := committer(func(context.Context, *store.Txn) error {
		t.Error("committed")
		return nil
	})
	if err := unit.Run(context.Background(), w.env, commit, 1, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		_, err = u.Get([]byte("a"))
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestRunInsideAUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.try(1, func(ctx context.Context, _ *unit.Unit) error {
		return unit.Run(ctx, w.env, w, 1, func(context.Context) error { return nil })
	})
	if !errors.Is(err, unit.ErrInsideUnit) {
		t.Errorf("error %v, want ErrInsideUnit", err)
	}
	// What has left its unit may open another.
	err = w.try(1, func(ctx context.Context, _ *unit.Unit) error {
		return unit.Run(unit.Without(ctx), w.env, w, 1, func(context.Context) error { return nil })
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSnapshotFailureIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	err := w.try(3, func(_ context.Context, u *unit.Unit) error {
		_, err := u.Get([]byte("a"))
		return err
	})
	if !errors.Is(err, store.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}
