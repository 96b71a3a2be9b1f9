package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// send commits one delivery of a lane for the function "f".
func (w *world) send(lane, event string) {
	w.deliver(&delivery.Delivery{Lane: lane, Event: []byte(event)})
}

func (w *world) deliver(x *delivery.Delivery) {
	w.t.Helper()
	x.Function = "f"
	w.unit(func(u *unit.Unit) error {
		fresh := *x
		return w.Deliver(u, &fresh)
	})
}

// inOrder notes in the unit of ctx that a delivery was handled, in its lane's log.
func inOrder(ctx context.Context, d *delivery.Delivery) error {
	u, err := unit.From(ctx)
	if err != nil {
		return err
	}
	return u.Append(laneLog(d.Lane), d.Event)
}

func laneLog(lane string) []byte { return []byte("handled/" + lane + "/") }

// order returns what was handled of a lane, in the order of the commits.
func (w *world) order(lane string) string {
	w.t.Helper()
	snap, err := w.env.Snapshot()
	if err != nil {
		w.t.Fatal(err)
	}
	defer snap.Close()
	var events []string
	log := laneLog(lane)
	err = snap.Scan(store.Range{Start: store.PositionKey(log, 1), End: store.PositionKey(log, 1<<60)}, func(it store.Item) bool {
		events = append(events, string(it.Value))
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(events, " ")
}

func (w *world) depth() (n int64) {
	w.t.Helper()
	w.unit(func(u *unit.Unit) (err error) {
		n, err = records.Depth(u, "f")
		return err
	})
	return n
}

func (w *world) heldLanes() (n int64) {
	w.t.Helper()
	w.unit(func(u *unit.Unit) (err error) {
		n, err = records.HeldLanes(u, "f")
		return err
	})
	return n
}

func TestLaneWaitsForARetryAndOthersDoNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var down atomic.Bool
	down.Store(true)
	w.start(nil, delivery.Function{Name: "f", Handle: func(ctx context.Context, d *delivery.Delivery) error {
		if d.Lane == "a" && down.Load() {
			return errors.New("no")
		}
		return inOrder(ctx, d)
	}})
	for i := range 5 {
		w.send("a", fmt.Sprint(i))
		w.send("b", fmt.Sprint(i))
		w.send("", fmt.Sprint(i))
	}
	w.settle()
	w.expect("a", w.order("a"), "")
	w.expect("b", w.order("b"), "0 1 2 3 4")
	w.expect("no lane", len(w.order("")), len("0 1 2 3 4"))
	w.expect("depth", w.depth(), 5)
	down.Store(false)
	w.clock.Advance(time.Second)
	w.settle()
	w.expect("a", w.order("a"), "0 1 2 3 4")
	w.expect("depth", w.depth(), 0)
}

func TestDeadLetterHoldsItsLane(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mended atomic.Bool
	f := delivery.Function{Name: "f", Handle: func(ctx context.Context, d *delivery.Delivery) error {
		if string(d.Event) == "bad" && !mended.Load() {
			return delivery.Permanent(errors.New("bad"))
		}
		return inOrder(ctx, d)
	}}
	w.start(nil, f)
	for _, e := range []string{"1", "bad", "2", "3"} {
		w.send("a", e)
		w.send("b", e)
	}
	w.send("c", "1")
	w.settle()
	w.expect("a", w.order("a"), "1")
	w.expect("c", w.order("c"), "1")
	w.expect("held", w.heldLanes(), 2)
	w.expect("depth", w.depth(), 4)

	w.clock.Advance(10 * time.Minute) // the sweep changes nothing
	w.settle()
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.start(nil, f) // nor does a restart
	w.send("a", "4")
	w.settle()
	w.expect("a", w.order("a"), "1")

	letters := w.letters("f")
	mended.Store(true)
	for _, l := range letters {
		var err error
		if l.Lane == "a" {
			err = w.Resend(t.Context(), "f", l.ID)
		} else {
			err = w.Drop(t.Context(), "f", l.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w.settle()
	w.expect("a, sent again", w.order("a"), "1 bad 2 3 4")
	w.expect("b, dropped", w.order("b"), "1 2 3")
	w.expect("held", w.heldLanes(), 0)
	w.expect("depth", w.depth(), 0)
}

func TestDroppedDeadLetterFreesALaneWithNothingBehindIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil, delivery.Function{Name: "f", Handle: func(ctx context.Context, d *delivery.Delivery) error {
		if string(d.Event) == "bad" {
			return delivery.Permanent(errors.New("bad"))
		}
		return inOrder(ctx, d)
	}})
	w.send("a", "bad")
	w.settle()
	if err := w.Drop(t.Context(), "f", w.letters("f")[0].ID); err != nil {
		t.Fatal(err)
	}
	w.send("a", "good")
	w.settle()
	w.expect("a", w.order("a"), "good")
}

func TestSkippedDeadLettersHoldNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold := delivery.Function{Name: "f", Handle: func(ctx context.Context, d *delivery.Delivery) error {
		if strings.HasPrefix(string(d.Event), "bad") {
			return delivery.Permanent(errors.New("bad"))
		}
		return inOrder(ctx, d)
	}}
	skip := hold
	skip.Policy.SkipDeadLetters = true
	w.start(nil, skip)
	for _, e := range []string{"1", "bad", "2"} {
		w.send("a", e)
	}
	w.settle()
	w.expect("a", w.order("a"), "1 2")
	w.expect("held", w.heldLanes(), 0)

	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.start(nil, hold)
	w.send("a", "bad2")
	w.send("a", "3")
	w.settle()
	w.expect("held", w.heldLanes(), 1)
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.start(nil, skip) // what was held under the other policy goes on
	w.settle()
	w.expect("a", w.order("a"), "1 2 3")
	for _, l := range w.letters("f") {
		if err := w.Drop(t.Context(), "f", l.ID); err != nil {
			t.Fatal(err)
		}
	}
	w.expect("held", w.heldLanes(), 0)
}

// Many lanes, a memory that is much too small, handlers that fail, time out of order
// and become dead letters that are sent again, all at once: each lane keeps its order
// and nothing is lost or doubled.
func TestLanesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	for _, window := range []int{2, 8, 1000} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			const lanes, events = 13, 40
			var (
				mu    sync.Mutex
				tries = map[string]int{}
				busy  = map[string]bool{}
			)
			w.start(func(c *delivery.Config) { c.Window = window }, delivery.Function{
				Name:   "f",
				Policy: delivery.Policy{Attempts: 2, Concurrency: 5},
				Handle: func(ctx context.Context, d *delivery.Delivery) error {
					mu.Lock()
					if busy[d.Lane] {
						t.Errorf("two of lane %s at a time", d.Lane)
					}
					busy[d.Lane] = true
					key := d.Lane + "/" + string(d.Event)
					tries[key]++
					n := tries[key]
					mu.Unlock()
					defer func() {
						mu.Lock()
						busy[d.Lane] = false
						mu.Unlock()
					}()
					if h := records.LaneHash(key) % 10; h < 3 && n <= int(h) {
						return errors.New("no") // 2: fails twice, so it is a dead letter
					}
					return inOrder(ctx, d)
				},
			})
			var senders sync.WaitGroup
			for l := range lanes {
				senders.Go(func() {
					for e := range events {
						w.deliver(&delivery.Delivery{
							Lane: fmt.Sprint(l), Event: fmt.Append(nil, e), Priority: uint8((l * e) % 10),
						})
					}
				})
			}
			senders.Wait()
			for range 100 * events {
				w.settle()
				w.clock.Advance(time.Second)
				for _, letter := range w.letters("f") {
					if err := w.Resend(t.Context(), "f", letter.ID); err != nil {
						t.Error(err)
					}
				}
				if w.depth() == 0 && len(w.letters("f")) == 0 {
					break
				}
			}
			var want []string
			for e := range events {
				want = append(want, fmt.Sprint(e))
			}
			for l := range lanes {
				w.expect(fmt.Sprint("lane ", l), w.order(fmt.Sprint(l)), strings.Join(want, " "))
			}
			w.expect("held", w.heldLanes(), 0)
			w.expect("stored", w.stored("f"), 0)
		})
	}
}

func TestPriorityComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := make(chan struct{})
	var seen []string
	w.start(func(c *delivery.Config) { c.Window = 3 }, delivery.Function{
		Name: "f", Policy: delivery.Policy{Concurrency: 1},
		Handle: func(_ context.Context, d *delivery.Delivery) error {
			<-gate
			seen = append(seen, string(d.Event))
			return nil
		},
	})
	w.settle()
	w.send("", "first")
	for i, p := range []uint8{0, 5, 9, 0, 5, 9} {
		w.deliver(&delivery.Delivery{Event: fmt.Append(nil, p, "/", i), Priority: p})
	}
	close(gate)
	w.settle()
	if want := []string{"first", "9/2", "9/5", "5/1", "5/4", "0/0", "0/3"}; !slices.Equal(seen, want) {
		t.Errorf("order %v, want %v", seen, want)
	}
}

func TestDelayedDeliveryTakesItsPlaceWhenItIsDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil, delivery.Function{Name: "f", Handle: inOrder})
	w.deliver(&delivery.Delivery{Lane: "a", Event: []byte("late"), NextAttempt: noon.Add(time.Hour)})
	w.send("a", "1")
	w.settle()
	w.expect("a", w.order("a"), "1")
	w.clock.Advance(time.Hour) // no further: its run would run out of time
	w.send("a", "2")
	w.settle()
	w.expect("a", w.order("a"), "1 late 2")
}

func TestSpilledDeliveries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dead := make(chan delivery.DeadLetter, 1)
	w.start(func(c *delivery.Config) { c.OnDeadLetter = func(l delivery.DeadLetter) { dead <- l } },
		delivery.Function{Name: "f", Handle: inOrder})
	spill := func(lane, event string, cause error) {
		t.Helper()
		w.unit(func(u *unit.Unit) error {
			return w.Spill(u, &delivery.Delivery{Function: "f", Lane: lane, Event: []byte(event)}, cause)
		})
	}
	empty := func(lane string) (empty bool) {
		w.unit(func(u *unit.Unit) (err error) {
			empty, err = records.LaneEmpty(u, "f", lane)
			return err
		})
		return empty
	}
	w.expect("a is empty", empty("a"), true)
	spill("a", "1", errors.New("no"))
	spill("a", "2", nil)
	w.settle()
	w.expect("a", w.order("a"), "")
	w.expect("a is empty", empty("a"), false)
	w.clock.Advance(time.Second)
	w.settle()
	w.expect("a", w.order("a"), "1 2")
	w.expect("a is empty", empty("a"), true)

	spill("b", "1", delivery.Permanent(errors.New("never")))
	if l := <-dead; l.Cause != records.PermanentError || l.Attempts != 1 {
		t.Errorf("dead letter %+v", l)
	}
	spill("b", "2", nil)
	w.settle()
	w.expect("b", w.order("b"), "")
	w.expect("b is empty", empty("b"), false)
	u := unit.New(w.env)
	defer u.Discarded()
	if err := w.Spill(u, &delivery.Delivery{Function: "nobody"}, nil); !errors.Is(err, delivery.ErrBadFunction) {
		t.Errorf("spilled for nobody: %v", err)
	}
}

// Whoever found a lane empty does not commit when something was added meanwhile.
func TestEmptinessOfALaneIsValidated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil, delivery.Function{Name: "f", Policy: delivery.Policy{Break: delivery.Break{}}, Handle: inOrder})
	runs := 0
	w.unit(func(u *unit.Unit) error {
		empty, err := records.LaneEmpty(u, "f", "a")
		if runs++; runs == 1 {
			w.expect("empty", empty, true)
			w.send("a", "1")
		}
		return errors.Join(err, u.Put([]byte("x"), nil))
	})
	w.expect("runs", runs, 2)
	w.settle()
}

// A lane whose first delivery killed the process waits until that has been run alone.
func TestSuspectsHoldTheirLane(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	w.send("a", "1")
	w.send("a", "2")
	w.unit(func(u *unit.Unit) (err error) {
		return records.ScanDeliveries(u, "f", delivery.Ref{}, func(at delivery.Ref) bool {
			var d *delivery.Delivery
			if d, err = records.GetDelivery(u, "f", at); err == nil {
				d.ProcessDeaths = 1
				err = records.ReplaceDelivery(u, d)
			}
			return false
		})
	})
	w.start(nil, delivery.Function{Name: "f", Handle: inOrder})
	w.settle()
	w.expect("a", w.order("a"), "1 2")
}
