package unit_test

import (
	"bytes"
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

func TestPointReadSeesOwnWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, "a", "1")
	w.run(t, func(u *unit.Unit) error {
		if err := errors.Join(u.Put([]byte("a"), []byte("2")), u.Put([]byte("b"), nil)); err != nil {
			return err
		}
		if a, b := get(t, u, "a"), get(t, u, "b"); a != "2" || b != "" {
			t.Errorf("a is %q, b is %q; want \"2\" and empty", a, b)
		}
		if err := errors.Join(u.Delete([]byte("a")), u.Delete([]byte("b"))); err != nil {
			return err
		}
		if a, b := get(t, u, "a"), get(t, u, "b"); a != "absent" || b != "absent" {
			t.Errorf("deleted: a is %q, b is %q", a, b)
		}
		return nil
	})
	wantItems(t, "committed", w.all(t), "")
}

func TestCountersSeeOwnAdditions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	counter := func(u *unit.Unit, key string) int64 {
		t.Helper()
		value, err := u.Peek([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		n, err := store.DecodeCounter(value)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	add := func(u *unit.Unit, key string, n int64) {
		t.Helper()
		if err := u.Add([]byte(key), n); err != nil {
			t.Fatal(err)
		}
	}
	w.run(t, func(u *unit.Unit) error {
		add(u, "n", 5)
		add(u, "n", -2)
		return nil
	})
	w.run(t, func(u *unit.Unit) error {
		add(u, "n", 10)
		if n := counter(u, "n"); n != 13 {
			t.Errorf("3 and 10 more are %d", n)
		}
		err := u.Scan(store.Range{}, func(it store.Item) bool {
			if n, err := store.DecodeCounter(it.Value); n != 13 || err != nil {
				t.Errorf("the scan shows %d, %v", n, err)
			}
			return true
		})
		return err
	})
	w.run(t, func(u *unit.Unit) error {
		if err := u.Delete([]byte("n")); err != nil {
			return err
		}
		add(u, "n", 4)
		add(u, "n", 4)
		return nil
	})
	w.run(t, func(u *unit.Unit) error {
		if n := counter(u, "n"); n != 8 {
			t.Errorf("deleted and 8 added are %d", n)
		}
		return nil
	})
}

// Each case runs first, commits second in a unit of its own between first's reads
// and its commit, and says whether first may commit.
func TestValidation(t *testing.T) {
	t.Parallel()
	put := func(key string) func(*unit.Unit) error {
		return func(u *unit.Unit) error { return u.Put([]byte(key), []byte("new")) }
	}
	read := func(key string) func(*unit.Unit) error {
		return func(u *unit.Unit) error { _, err := u.Get([]byte(key)); return err }
	}
	peek := func(key string) func(*unit.Unit) error {
		return func(u *unit.Unit) error { _, err := u.Peek([]byte(key)); return err }
	}
	validate := func(key string) func(*unit.Unit) error {
		return func(u *unit.Unit) error { return u.Validate([]byte(key)) }
	}
	scanAll := func(u *unit.Unit) error { _, err := scan(u, store.Range{}, -1); return err }
	remove := func(key string) func(*unit.Unit) error {
		return func(u *unit.Unit) error { return u.Delete([]byte(key)) }
	}
	add := func(key string) func(*unit.Unit) error {
		return func(u *unit.Unit) error { return u.Add([]byte(key), 1) }
	}
	for name, c := range map[string]struct {
		first    []func(*unit.Unit) error // then puts "out"
		second   func(*unit.Unit) error
		conflict bool
	}{
		"lost update":                {first: []func(*unit.Unit) error{read("here"), put("here")}, second: put("here"), conflict: true},
		"write skew":                 {first: []func(*unit.Unit) error{read("here")}, second: put("here"), conflict: true},
		"write skew on absent key":   {first: []func(*unit.Unit) error{read("gone")}, second: put("gone"), conflict: true},
		"deleted after the read":     {first: []func(*unit.Unit) error{read("here")}, second: remove("here"), conflict: true},
		"deleted, was absent":        {first: []func(*unit.Unit) error{read("gone")}, second: remove("gone")},
		"same value written":         {first: []func(*unit.Unit) error{read("here")}, second: func(u *unit.Unit) error { return u.Put([]byte("here"), []byte("old")) }, conflict: true},
		"other key":                  {first: []func(*unit.Unit) error{read("here")}, second: put("gone")},
		"blind writes":               {first: []func(*unit.Unit) error{put("here")}, second: put("here")},
		"read of the own write":      {first: []func(*unit.Unit) error{put("here"), read("here")}, second: put("here")},
		"read, then own write, read": {first: []func(*unit.Unit) error{read("here"), put("here"), read("here")}, second: put("here"), conflict: true},
		"peek":                       {first: []func(*unit.Unit) error{peek("here")}, second: put("here")},
		"peek, then read":            {first: []func(*unit.Unit) error{peek("here"), read("here")}, second: put("here"), conflict: true},
		"scan":                       {first: []func(*unit.Unit) error{scanAll}, second: put("here")},
		"validate":                   {first: []func(*unit.Unit) error{validate("here")}, second: put("here"), conflict: true},
		"counters added to by both":  {first: []func(*unit.Unit) error{add("count")}, second: add("count")},
		"counter read and added to":  {first: []func(*unit.Unit) error{read("count"), add("count")}, second: add("count"), conflict: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.set(t, "here", "old")
			err := w.try(1, func(_ context.Context, u *unit.Unit) error {
				for _, step := range c.first {
					if err := step(u); err != nil {
						return err
					}
				}
				w.run(t, c.second)
				return u.Put([]byte("out"), nil)
			})
			if c.conflict != errors.Is(err, unit.ErrConflict) || !c.conflict && err != nil {
				t.Errorf("error %v, want a conflict: %v", err, c.conflict)
			}
			if written := slices.Contains(w.all(t), "out="); written == c.conflict {
				t.Errorf("its write is there: %v", written)
			}
		})
	}
}

func TestAllReadsComeFromOneSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, "a", "1")
	w.run(t, func(u *unit.Unit) error {
		if a := get(t, u, "a"); a != "1" {
			t.Errorf("a is %q", a)
		}
		w.set(t, "a", "2")
		w.set(t, "b", "2")
		if a, b := get(t, u, "a"), get(t, u, "b"); a != "1" || b != "absent" {
			t.Errorf("a is %q, b is %q after another's commit", a, b)
		}
		found, err := scan(u, store.Range{}, -1)
		wantItems(t, "scan", found, "a=1")
		return err
	})
}

func TestNoUnitAndClosedUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := unit.From(context.Background()); !errors.Is(err, unit.ErrNoUnit) {
		t.Errorf("without a unit: %v", err)
	}
	var (
		kept context.Context
		u    *unit.Unit
	)
	if err := w.try(1, func(ctx context.Context, open *unit.Unit) error {
		kept, u = ctx, open
		if _, err := unit.From(unit.Without(ctx)); !errors.Is(err, unit.ErrNoUnit) {
			t.Errorf("in a context without the unit: %v", err)
		}
		if unit.Inside(unit.Without(ctx)) || !unit.Inside(ctx) {
			t.Error("Inside is wrong")
		}
		return open.Put([]byte("a"), []byte("1"))
	}); err != nil {
		t.Fatal(err)
	}
	for name, use := range map[string]func() error{
		"From":     func() error { _, err := unit.From(kept); return err },
		"Get":      func() error { _, err := u.Get([]byte("a")); return err },
		"Get new":  func() error { _, err := u.Get([]byte("b")); return err },
		"Peek":     func() error { _, err := u.Peek([]byte("a")); return err },
		"Validate": func() error { return u.Validate([]byte("a")) },
		"Scan":     func() error { _, err := scan(u, store.Range{}, -1); return err },
		"Put":      func() error { return u.Put([]byte("a"), nil) },
		"Delete":   func() error { return u.Delete([]byte("a")) },
		"Add":      func() error { return u.Add([]byte("n"), 1) },
		"Seal":     func() error { return u.Seal(&store.Txn{}) },
	} {
		if err := use(); !errors.Is(err, unit.ErrUnitClosed) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
}

func TestUnitIsUsedBySeveralGoroutines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, "shared", "1")
	w.run(t, func(u *unit.Unit) error {
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				for j := range 20 {
					key := fmt.Appendf(nil, "k%d-%d", i, j)
					_, readErr := u.Get([]byte("shared"))
					_, scanErr := scan(u, store.Range{}, 3)
					addErr := u.Do(func() error { // a counter by hand
						value, err := u.Get([]byte("sum"))
						runtime.Gosched() // an invitation to come between
						return errors.Join(err, u.Put([]byte("sum"), append(bytes.Clone(value), '.')))
					})
					if err := errors.Join(readErr, scanErr, addErr, u.Put(key, key)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		return nil
	})
	if n := len(w.all(t)); n != 8*20+2 {
		t.Errorf("%d keys are committed, want %d", n, 8*20+2)
	}
	w.run(t, func(u *unit.Unit) error {
		if n := len(get(t, u, "sum")); n != 8*20 {
			t.Errorf("%d of %d compound changes took effect", n, 8*20)
		}
		return nil
	})
}

// A goroutine that outlives the run is cut off, whatever it is doing.
func TestEndCutsStragglersOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var straggler sync.WaitGroup
	w.run(t, func(u *unit.Unit) error {
		started := make(chan struct{})
		straggler.Go(func() {
			for i := 0; ; i++ {
				err := u.Put([]byte("late"), nil)
				if _, scanErr := scan(u, store.Range{}, -1); err == nil {
					err = scanErr
				}
				if i == 0 {
					close(started)
				}
				if err != nil {
					if !errors.Is(err, unit.ErrUnitClosed) {
						t.Errorf("straggler: %v", err)
					}
					return
				}
			}
		})
		<-started
		return nil
	})
	straggler.Wait()
}

func TestSizeIsBoundedAndCountsEachKeyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const third = unit.MaxBytes / 3
	err := w.try(1, func(_ context.Context, u *unit.Unit) error {
		for range 10 {
			if err := u.Put([]byte("same"), make([]byte, third)); err != nil {
				t.Errorf("rewriting a key: %v", err)
			}
		}
		if err := u.Put([]byte("a"), make([]byte, third)); err != nil {
			t.Errorf("two thirds: %v", err)
		}
		if err := u.Put([]byte("b"), make([]byte, third)); !errors.Is(err, unit.ErrTooLarge) {
			t.Errorf("over the bound: %v", err)
		}
		if b := get(t, u, "b"); b != "absent" {
			t.Error("the refused write is visible")
		}
		return nil // goes on as if nothing had happened
	})
	if !errors.Is(err, unit.ErrTooLarge) {
		t.Errorf("a unit one of whose writes was refused ended with %v", err)
	}
	if found := w.all(t); len(found) != 0 {
		t.Errorf("that unit committed %q", found)
	}
}

func TestValidatedReadsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.try(1, func(_ context.Context, u *unit.Unit) error {
		for i := range unit.MaxReads {
			if err := u.Validate(fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		return u.Validate([]byte("one more"))
	})
	if !errors.Is(err, unit.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t, func(u *unit.Unit) error {
		get(t, u, "a")
		if !u.ReadOnly() {
			t.Error("a unit that read is not read-only")
		}
		err := u.Delete([]byte("a"))
		if u.ReadOnly() {
			t.Error("a unit that deletes is read-only")
		}
		return err
	})
}

func TestAppendsCommitInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := []byte("log")
	w.run(t, func(u *unit.Unit) error {
		if !u.ReadOnly() {
			t.Error("an empty unit writes")
		}
		err := errors.Join(
			u.Append(log, []byte("a")), u.Append([]byte("other"), []byte("x")), u.Append(log, []byte("b")))
		if u.ReadOnly() {
			t.Error("a unit that appends is read-only")
		}
		if got := get(t, u, "log"); got != "absent" {
			t.Errorf("the unit sees its own append: %q", got)
		}
		return err
	})
	w.run(t, func(u *unit.Unit) error { return u.Append(log, []byte("c")) })
	w.run(t, func(u *unit.Unit) error {
		for i, want := range []string{"a", "b", "c"} {
			if got := get(t, u, string(store.PositionKey(log, uint64(i+1)))); got != want {
				t.Errorf("position %d holds %q, want %q", i+1, got, want)
			}
		}
		return nil
	})
	err := w.try(1, func(_ context.Context, u *unit.Unit) error {
		return errors.Join(u.Append(log, []byte("no")), errors.New("failed"))
	})
	if err == nil {
		t.Error("a failed unit committed")
	}
	var ended *unit.Unit
	w.run(t, func(u *unit.Unit) error { ended = u; return u.Append(log, []byte("d")) })
	if err := ended.Append(log, nil); !errors.Is(err, unit.ErrUnitClosed) {
		t.Errorf("appending to an ended unit: %v", err)
	}
	w.run(t, func(u *unit.Unit) error {
		if got := get(t, u, "log"); got != string(store.EncodeCounter(4)) {
			t.Errorf("the log counts %q, want 4", got)
		}
		return nil
	})
	err = w.try(1, func(_ context.Context, u *unit.Unit) error {
		_ = u.Append(log, make([]byte, unit.MaxBytes))
		return nil // the unit fails all the same
	})
	if !errors.Is(err, unit.ErrTooLarge) {
		t.Errorf("an append that is too large: %v", err)
	}
}

func TestTraceTravels(t *testing.T) {
	t.Parallel()
	u := unit.New(&unit.Env{Trace: func(ctx context.Context) map[string]string {
		if own, ok := ctx.Value(traceKey{}).(string); ok {
			return map[string]string{"traceparent": own}
		}
		return map[string]string{"traceparent": "t"}
	}})
	defer u.Discarded()
	own := map[string]string{"own": "o"}
	if got := u.Traced(own); len(got) != 1 {
		t.Errorf("headers %v before the unit has a context", got)
	}
	ctx := unit.With(t.Context(), u)
	undo := unit.Trace(context.WithValue(ctx, traceKey{}, "of one event"))
	if got := u.Traced(own); got["traceparent"] != "of one event" {
		t.Errorf("headers %v of one event", got)
	}
	undo()
	if got := u.Traced(own); got["own"] != "o" || got["traceparent"] != "t" || len(own) != 1 {
		t.Errorf("headers %v, those given are now %v", got, own)
	}
	if got := u.Traced(nil); len(got) != 1 {
		t.Errorf("headers %v", got)
	}
	unit.Trace(t.Context())() // no unit, no trace
}

type traceKey struct{}
