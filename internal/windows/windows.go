// Package windows runs functions that aggregate the events of a stream by windows.
//
// Each partition of the stream is aggregated by itself, batch by batch, in the unit that
// moves the consumer's cursor: a batch is grouped in memory first and then joined with the
// panes that are stored, one for each key, piece of time and partition. So partitions
// do not disturb each other.
//
// Windows are closed by one goroutine for a function, in units of its own. First it
// notes up to which event time windows are closed; batches validate that note, so no
// batch adds to a window that was found complete. Then it takes the windows that are
// due, joins their panes over all partitions, and hands the results to the user's
// function. A result, what the function does with it, and the removal of what is not needed
// any more commit together.
package windows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/window"
)

// ErrShape: the windows that are stored were cut in another way.
var ErrShape = errors.New("stored windows are of another kind")

// Config is what a function is made of.
type Config[T any, K comparable, A any] struct {
	// Name names it in the store. It is the name of its consumer group as well.
	Name string
	// Stream is what it reads, and Partitions how many it has.
	Stream     string
	Partitions int
	// Windows, Key and Aggregate say what is computed.
	Windows   window.Windows
	Key       func(T) K
	Aggregate window.Aggregate[T, A]
	// Handle is called with each result, in the unit that closes the window.
	Handle func(context.Context, window.Result[K, A]) error
	// Timeout bounds one call of Handle, which is given up then; none if it is not
	// positive.
	Timeout time.Duration
	// Waits, unless nil, reports whether events of a partition wait that the cursor has
	// passed, because the function had failed for them.
	Waits func(v records.View, partition int) (bool, error)
	// Failures takes results that Handle failed for, so that the others can go on.
	// Without it they are tried again without end.
	Failures Failures

	Env       *unit.Env
	Committer unit.Committer
	Clock     clock.Clock
	Log       *slog.Logger
}

// Failures takes results for which a function failed.
type Failures interface {
	// Held reports whether there are such results of a key, behind which later ones
	// have to wait.
	Held(u *unit.Unit, key string) (bool, error)
	// Put takes a result as part of u. Cause, unless nil, is why the function failed;
	// otherwise the result waits for earlier ones.
	Put(u *unit.Unit, key string, result []byte, cause error) error
}

// Function aggregates a stream. Handle, Start, Stop and Idle may be used at the same
// time.
type Function[T any, K comparable, A any] struct {
	Config[T, K, A]
	shape  shape
	clocks clocks
	early  int64
	timeOf func(T) time.Time
	onLate func(context.Context, T) error
	keys   keyCodec[K]
	fence  *fence
	calls  chan struct{} // holds one for each call of Handle

	base    context.Context
	cancel  context.CancelFunc
	ended   chan struct{} // closed when run has
	started int64         // the clock's time of the start
	numbers []int         // of the partitions there are
	done    watched       // used by run alone

	mu    sync.Mutex
	asked bool // to look
	idle  []chan struct{}
	wake  chan struct{}
	timer clock.Timer
}

// New returns a function. Its errors are mistakes in c.
func New[T any, K comparable, A any](c Config[T, K, A]) (*Function[T, K, A], error) {
	w := c.Windows
	if err := w.Validate(); err != nil {
		return nil, err
	}
	f := &Function[T, K, A]{
		Config: c, shape: newShape(w), early: int64(w.EarlyEvery), fence: newFence(), calls: make(chan struct{}, maxCalls),
		clocks: clocks{disorder: int64(w.Disorder)},
		wake:   make(chan struct{}, 1), ended: make(chan struct{}),
	}
	if w.TimeOf != nil {
		var ok bool
		if f.timeOf, ok = w.TimeOf.(func(T) time.Time); !ok || f.timeOf == nil {
			return nil, fmt.Errorf("window.EventTime takes a %T: want func(%T) time.Time", w.TimeOf, *new(T))
		}
		f.clocks.idle = int64(w.IdleAfter)
	}
	if w.OnLate != nil {
		var ok bool
		if f.onLate, ok = w.OnLate.(func(context.Context, T) error); !ok || f.onLate == nil {
			return nil, fmt.Errorf("window.Late takes a %T: want func(context.Context, %T) error", w.OnLate, *new(T))
		}
	}
	if c.Key == nil || c.Aggregate == nil || c.Handle == nil {
		return nil, errors.New("it needs functions for the key, the aggregate and the results; one is nil")
	}
	var err error
	if f.keys, err = newKeyCodec[K](); err != nil {
		return nil, err
	}
	var unsupported *json.UnsupportedTypeError
	if _, err := json.Marshal(new(A)); errors.As(err, &unsupported) {
		return nil, fmt.Errorf("a result cannot be JSON: %w", err)
	}
	if c.Clock == nil {
		f.Clock = clock.System()
	}
	if c.Log == nil {
		f.Log = slog.Default()
	}
	f.Log = f.Log.With("function", c.Name)
	return f, nil
}

// Result calls the user's function with a result that Failures took.
func (f *Function[T, K, A]) Result(ctx context.Context, data []byte) error {
	var r window.Result[K, A]
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("a stored result: %w", err)
	}
	return f.Config.Handle(ctx, r)
}

// LateEvents returns how many events were too late for all of their windows.
func (f *Function[T, K, A]) LateEvents() (int64, error) {
	snap, err := f.Env.Snapshot()
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	return records.LateEvents(records.View{Reader: snap}, f.Name)
}

// adopt notes how the function cuts time, if its windows may be cut so.
func (f *Function[T, K, A]) adopt(ctx context.Context) error {
	shape := f.Windows.String()
	return unit.Run(ctx, f.Env, f.Committer, conflicts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		p, err := records.GetWindowProgress(u, f.Name)
		switch {
		case err != nil:
			return err
		case p == nil:
			p = &records.WindowProgress{Closed: before}
		case p.Shape == shape:
			return nil
		}
		open := false
		err = records.ScanWindowsDue(u, f.Name, before, func(records.WindowDue) bool { open = true; return false })
		if err != nil {
			return err
		}
		if open && p.Shape != "" {
			return f.otherShape(p.Shape)
		}
		p.Shape = shape
		return records.PutWindowProgress(u, f.Name, p)
	})
}

func (f *Function[T, K, A]) otherShape(stored string) error {
	return fmt.Errorf("%w: function %s: %s, now %v: give it another perdure.FunctionName", ErrShape, f.Name, stored, f.Windows)
}
