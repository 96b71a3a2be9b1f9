package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// steppedStore commits only when a test lets it, and shows each group.
type steppedStore struct {
	store.Store
	groups chan []*store.Txn // a group that waits to be committed
	step   chan error        // the group's fate: nil commits it
}

func newStepped() *steppedStore {
	return &steppedStore{Store: memory.New(nil), groups: make(chan []*store.Txn), step: make(chan error)}
}

// Commit implements store.Store.
func (s *steppedStore) Commit(ctx context.Context, group []*store.Txn) ([]error, error) {
	s.groups <- slices.Clone(group)
	if err := <-s.step; err != nil {
		return nil, err
	}
	return s.Store.Commit(ctx, group)
}

// next lets one group through and returns the keys it writes.
func (s *steppedStore) next(fate error) []string {
	var keys []string
	for _, t := range <-s.groups {
		keys = append(keys, string(t.Ops[0].Key))
	}
	s.step <- fate
	return keys
}

// run starts a committer that is closed when the test ends.
func run(t *testing.T, s store.Store, opts store.CommitterOptions) *store.Committer {
	c := store.NewCommitter(s, opts)
	t.Cleanup(c.Close)
	return c
}

func put(key string) *store.Txn {
	t := &store.Txn{}
	t.Put([]byte(key), nil)
	return t
}

func TestCommitterAnswersInOrderWithOwnVerdicts(t *testing.T) {
	t.Parallel()
	c := store.NewCommitter(memory.New(nil), store.CommitterOptions{})
	const n = 1000
	var got []int // by the answering goroutine alone
	var verdicts []error
	for i := range n {
		txn := put("k")
		if i%3 == 1 {
			txn.Require([]byte("absent"), 7)
		}
		c.Submit(txn, func(err error) { got, verdicts = append(got, i), append(verdicts, err) })
	}
	c.Close()
	if len(got) != n || !slices.IsSorted(got) {
		t.Fatalf("%d answers, sorted %v; want %d in order", len(got), slices.IsSorted(got), n)
	}
	for i, err := range verdicts {
		if want := i%3 == 1; errors.Is(err, store.ErrConflict) != want || !want && err != nil {
			t.Errorf("transaction %d: %v", i, err)
		}
	}
	if stats := c.Stats(); stats.Transactions != n || stats.Groups == 0 || stats.Groups > n || stats.Queued != 0 {
		t.Errorf("stats are %+v", stats)
	}
}

func TestCommitterGathersDuringACommit(t *testing.T) {
	t.Parallel()
	s := newStepped()
	c := run(t, s, store.CommitterOptions{MaxTxns: 3, MaxBytes: 10})
	answered := make(chan string, 16)
	submit := func(key string) { c.Submit(put(key), func(error) { answered <- key }) }
	submit("a")
	first := <-s.groups // the group of a is being committed
	for _, key := range []string{"b", "c", "d", "e", "long-long-long", "f"} {
		submit(key)
	}
	if len(first) != 1 {
		t.Errorf("first group has %d transactions, want 1", len(first))
	}
	s.step <- nil
	for _, want := range [][]string{{"b", "c", "d"}, {"e"}, {"long-long-long"}, {"f"}} {
		if got := s.next(nil); !slices.Equal(got, want) {
			t.Errorf("group is %q, want %q", got, want)
		}
	}
	for _, want := range []string{"a", "b", "c", "d", "e", "long-long-long", "f"} {
		if got := <-answered; got != want {
			t.Errorf("answer for %q, want %q", got, want)
		}
	}
}

func TestCommitterAnswersWhileTheNextGroupIsCommitted(t *testing.T) {
	t.Parallel()
	s := newStepped()
	c := run(t, s, store.CommitterOptions{})
	entered, leave := make(chan struct{}), make(chan struct{})
	c.Submit(put("a"), func(error) { close(entered); <-leave })
	s.next(nil)
	<-entered // the done function of a is still running
	c.Submit(put("b"), func(error) {})
	if got := s.next(nil); !slices.Equal(got, []string{"b"}) {
		t.Errorf("group is %q", got)
	}
	close(leave)
}

func TestCommitterBlocksWhenFull(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]store.CommitterOptions{
		"transactions": {QueueTxns: 2},
		"bytes":        {QueueBytes: 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStepped()
			c := run(t, s, opts)
			ignore := func(error) {}
			c.Submit(put("a"), ignore)
			<-s.groups
			c.Submit(put("b"), ignore)
			c.Submit(put("c"), ignore)

			ctx, cancel := context.WithCancel(context.Background())
			refused := make(chan error)
			go func() { refused <- c.Commit(ctx, put("never")) }()
			cancel()
			if err := <-refused; !errors.Is(err, context.Canceled) {
				t.Errorf("Commit on a full queue with an ended context: %v", err)
			}

			entered := make(chan struct{})
			go func() { c.Submit(put("d"), ignore); close(entered) }()
			select {
			case <-entered:
				t.Error("Submit did not wait for room")
			case <-time.After(5 * time.Millisecond): // long enough to notice, mostly
			}
			s.step <- nil
			if got := s.next(nil); !slices.Equal(got, []string{"b", "c"}) {
				t.Errorf("group is %q", got)
			}
			<-entered
			if got := s.next(nil); !slices.Equal(got, []string{"d"}) {
				t.Errorf("group is %q", got)
			}
		})
	}
}

func TestCommitterDoneMaySubmitToAFullQueue(t *testing.T) {
	t.Parallel()
	c := run(t, memory.New(nil), store.CommitterOptions{QueueTxns: 1, MaxTxns: 1})
	const chains, length = 20, 50
	var all sync.WaitGroup
	all.Add(chains * length)
	var next func(left int) func(error)
	next = func(left int) func(error) {
		return func(err error) {
			if err != nil {
				t.Error(err)
			}
			all.Done()
			if left > 1 {
				c.Submit(put("k"), next(left-1))
			}
		}
	}
	for range chains {
		c.Submit(put("k"), next(length))
	}
	all.Wait()
}

func TestCommitterCommit(t *testing.T) {
	t.Parallel()
	s := newStepped()
	c := run(t, s, store.CommitterOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	taken, queued := make(chan error), make(chan error)
	go func() { taken <- c.Commit(ctx, put("taken")) }()
	<-s.groups
	go func() { queued <- c.Commit(ctx, put("withdrawn")) }()
	for c.Stats().Queued == 0 {
		runtime.Gosched() // until it is queued
	}
	cancel()
	if err := <-queued; !errors.Is(err, context.Canceled) {
		t.Errorf("queued Commit: %v, want context.Canceled", err)
	}
	select {
	case err := <-taken:
		t.Errorf("Commit left its group: %v", err)
	default:
	}
	s.step <- nil
	if err := <-taken; err != nil {
		t.Errorf("Commit in a group: %v", err)
	}
	c.Submit(put("after"), func(error) {})
	if got := s.next(nil); !slices.Equal(got, []string{"after"}) {
		t.Errorf("group is %q: the withdrawn transaction must not be in it", got)
	}
	if err := c.Commit(ctx, put("never")); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit with an ended context: %v", err)
	}
}

// countedStore counts the groups it is given.
type countedStore struct {
	store.Store
	commits atomic.Int64
}

// Commit implements store.Store.
func (s *countedStore) Commit(ctx context.Context, group []*store.Txn) ([]error, error) {
	s.commits.Add(1)
	return s.Store.Commit(ctx, group)
}

func TestCommitterStopsAfterAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, fault := range []storetest.Fault{storetest.Lose, storetest.Keep} {
		inner := memory.New(nil)
		asked := &countedStore{Store: storetest.NewFaulty(inner, fault, 1)}
		c := run(t, asked, store.CommitterOptions{})
		ctx := context.Background()
		if err := c.Commit(ctx, put("a")); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"b", "c", "d"} {
			if err := c.Commit(ctx, put(key)); !errors.Is(err, store.ErrOutcomeUnknown) || !errors.Is(err, storetest.ErrInjected) {
				t.Errorf("%v: Commit: %v, want ErrOutcomeUnknown with its cause", fault, err)
			}
		}
		if n := asked.commits.Load(); n != 2 {
			t.Errorf("%v: the store was asked %d times, want 2", fault, n)
		}
	}
}

func TestCommitterGoesOnAfterAnErrorThatWroteNothing(t *testing.T) {
	t.Parallel()
	s := newStepped()
	c := run(t, s, store.CommitterOptions{})
	answers := make(chan error, 2)
	cause := errors.New("nothing written")
	c.Submit(put("a"), func(err error) { answers <- err })
	s.next(cause)
	if err := <-answers; !errors.Is(err, cause) {
		t.Errorf("answer is %v", err)
	}
	c.Submit(put("b"), func(err error) { answers <- err })
	s.next(nil)
	if err := <-answers; err != nil {
		t.Errorf("answer is %v", err)
	}
}

func TestCommitterCloseAnswersEverybodyOnce(t *testing.T) {
	t.Parallel()
	inner := memory.New(nil)
	c := store.NewCommitter(inner, store.CommitterOptions{QueueTxns: 4})
	const workers, each = 8, 200
	var answers sync.WaitGroup
	var accepted atomic.Int64
	answers.Add(workers * each)
	half := make(chan struct{}, workers)
	for w := range workers {
		go func() {
			for i := range each {
				if i == each/2 {
					half <- struct{}{}
				}
				c.Submit(put(fmt.Sprintf("%d/%d", w, i)), func(err error) {
					switch {
					case err == nil:
						accepted.Add(1)
					case !errors.Is(err, store.ErrClosed):
						t.Error(err)
					}
					answers.Done() // panics when called too often
				})
			}
		}()
	}
	<-half
	c.Close()
	c.Close()
	answers.Wait()
	if err := c.Commit(context.Background(), put("k")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Commit after Close: %v", err)
	}
	snap, err := inner.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	var stored int64
	if err := snap.Scan(store.Range{}, func(store.Item) bool { stored++; return true }); err != nil {
		t.Fatal(err)
	}
	if stored != accepted.Load() {
		t.Errorf("%d transactions are stored, %d were accepted", stored, accepted.Load())
	}
}

func TestCommitterGathersWhileBusy(t *testing.T) {
	t.Parallel()
	s := newStepped()
	var busy atomic.Bool
	busy.Store(true)
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	c := run(t, s, store.CommitterOptions{
		Gather: time.Minute, // the test ends the wait otherwise
		Short:  3,
		Busy:   func() bool { once(); return busy.Load() },
	})
	submit := func(key string) { c.Submit(put(key), func(error) {}) }
	submit("a")
	<-asked
	submit("b")
	select {
	case <-s.groups:
		t.Fatal("committed while more was imminent and the queue short")
	case <-time.After(5 * time.Millisecond):
	}
	submit("c") // the queue is not short any more
	if got := s.next(nil); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("group is %q", got)
	}
	busy.Store(false)
	submit("d") // a single waiter is not slowed
	if got := s.next(nil); !slices.Equal(got, []string{"d"}) {
		t.Errorf("group is %q", got)
	}
}

func TestVainWaitsAreLeftOut(t *testing.T) {
	t.Parallel()
	var s store.Skip
	waits := 0
	for range 1000 {
		if s.Try() {
			waits++
			s.Learn(false)
		}
	}
	// 1, 3, 7, 15, 31, 63 are left out, and then the bound each time.
	if limit := 6 + 1000/store.MaxPenalty + 1; waits > limit {
		t.Errorf("waited %d times in vain, want at most %d", waits, limit)
	}
	for !s.Try() {
	}
	s.Learn(true)
	for range 10 {
		if !s.Try() {
			t.Error("a wait was left out after one that was worthwhile")
		}
		s.Learn(true)
	}
}
