package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure/internal/store"
)

var concurrentCases = []testCase{
	{name: "concurrent/no-lost-update", run: concurrentUpdates},
	{name: "concurrent/one-insert-wins", run: concurrentInserts},
	{name: "concurrent/snapshots-are-consistent", run: concurrentSnapshots},
	{name: "concurrent/counters", run: concurrentCounters},
	{name: "concurrent/one-lease-holder", run: concurrentLeases},
}

const workers, rounds = 8, 25

// parallel runs work on several goroutines and waits for them.
func parallel(work func(worker int)) {
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() { work(i) })
	}
	all.Wait()
}

func concurrentUpdates(e *env) {
	e.put("k", "0")
	parallel(func(int) {
		for done := 0; done < rounds; {
			var value []byte
			var v store.Version
			e.view(func(r store.Reader) { value, v = e.read(r, "k") })
			n, err := strconv.Atoi(string(value))
			if err != nil {
				e.Error(err)
				return
			}
			err = e.verdict(func(t *store.Txn) {
				t.Require([]byte("k"), v)
				t.Put([]byte("k"), []byte(strconv.Itoa(n+1)))
			})
			switch {
			case err == nil:
				done++
			case !errors.Is(err, store.ErrConflict):
				e.Error(err)
				return
			}
		}
	})
	e.has(fmt.Sprintf("k=%d", workers*rounds))
}

func concurrentInserts(e *env) {
	var won [rounds]atomic.Int64
	parallel(func(worker int) {
		for i := range rounds {
			key := []byte(fmt.Sprint("k", i))
			if e.verdict(func(t *store.Txn) { t.Require(key, 0); t.Put(key, []byte(fmt.Sprint(worker))) }) == nil {
				won[i].Add(1)
			}
		}
	})
	for i := range won {
		if n := won[i].Load(); n != 1 {
			e.Errorf("key %d was inserted %d times", i, n)
		}
	}
}

func concurrentSnapshots(e *env) {
	// Money moves between accounts; every snapshot shows the same sum, by scan
	// and by reading one by one.
	const accounts = 4
	account := func(i int) []byte { return []byte(fmt.Sprint("account", i%accounts)) }
	for i := range accounts {
		e.must(func(t *store.Txn) { t.Add(account(i), 100) })
	}
	parallel(func(worker int) {
		for i := range rounds {
			if worker%2 == 0 {
				e.must(func(t *store.Txn) { t.Add(account(worker+i), -7); t.Add(account(worker+i+1), 7) })
				continue
			}
			e.view(func(r store.Reader) {
				var scanned, got int64
				if err := r.Scan(store.Range{}, func(item store.Item) bool {
					n, err := store.DecodeCounter(item.Value)
					scanned += n
					return err == nil
				}); err != nil {
					e.Error(err)
				}
				for i := range accounts {
					got += e.readCounter(r, string(account(i)))
				}
				if scanned != 100*accounts || got != scanned {
					e.Errorf("accounts sum up to %d by scan and %d one by one, want %d", scanned, got, 100*accounts)
				}
			})
		}
	})
}

func concurrentCounters(e *env) {
	parallel(func(worker int) {
		for i := range rounds {
			verdicts := e.group(
				txn(func(t *store.Txn) { t.Add([]byte("n"), 1) }),
				txn(func(t *store.Txn) { t.Add([]byte("n"), int64(i)) }),
			)
			if err := errors.Join(verdicts...); err != nil {
				e.Error(err)
			}
		}
	})
	if got, want := e.counter("n"), int64(workers*(rounds+rounds*(rounds-1)/2)); got != want {
		e.Errorf("counter is %d, want %d", got, want)
	}
}

func concurrentLeases(e *env) {
	var winners atomic.Int64
	var epoch atomic.Uint64
	parallel(func(worker int) {
		got, err := e.AcquireLease(e.Context(), "p", fmt.Sprint("owner", worker), ttl)
		switch {
		case err == nil:
			winners.Add(1)
			epoch.Store(got)
		case !errors.Is(err, store.ErrLeaseHeld):
			e.Error(err)
		}
	})
	if n := winners.Load(); n != 1 {
		e.Errorf("%d owners hold the lease", n)
	}
	e.is("the winner's commit", e.under("p", epoch.Load()), nil)
}
