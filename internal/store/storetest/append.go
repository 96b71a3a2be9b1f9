package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/perdure/perdure/internal/store"
)

var appendCases = []testCase{
	{name: "append/dense", run: appendDense},
	{name: "append/refused-leaves-no-gap", run: appendRefused},
	{name: "append/counter", run: appendCounter},
	{name: "append/condition", run: appendCondition},
	{name: "append/removed-positions", run: appendRemoved},
	{name: "append/counter-changed", run: appendCounterChanged},
	{name: "append/malformed", run: appendMalformed},
	{name: "append/snapshot", run: appendSnapshot},
	{name: "append/concurrent", run: appendConcurrent},
	{name: "append/survives-reopening", needs: Caps{Durable: true}, run: appendReopened},
	{name: "append/backup", needs: Caps{Backup: true}, run: appendBackup},
}

// appends is a transaction that appends values to a log.
func appends(log string, values ...string) *store.Txn {
	return txn(func(t *store.Txn) {
		for _, v := range values {
			t.Append([]byte(log), []byte(v))
		}
	})
}

// logShows checks what r shows of a log: its counter and its values, each with
// its position, as "position:value".
func (e *env) logShows(r store.Reader, log string, count int64, want ...string) {
	e.Helper()
	if n := e.readCounter(r, log); n != count {
		e.Errorf("log %q counts %d, want %d", log, n, count)
	}
	if got := e.readLog(r, log); fmt.Sprint(got) != fmt.Sprint(want) {
		e.Errorf("log %q holds %q, want %q", log, got, want)
	}
}

func (e *env) readLog(r store.Reader, log string) (values []string) {
	e.Helper()
	within := store.Range{Start: store.PositionKey([]byte(log), 0), End: []byte(log + "\xFF")}
	if err := r.Scan(within, func(item store.Item) bool {
		position := binary.BigEndian.Uint64(item.Key[len(log):])
		values = append(values, fmt.Sprintf("%d:%s", position, item.Value))
		return true
	}); err != nil {
		e.Fatalf("Scan: %v", err)
	}
	return values
}

// logHas checks what a log holds now.
func (e *env) logHas(log string, count int64, want ...string) {
	e.Helper()
	e.view(func(r store.Reader) { e.logShows(r, log, count, want...) })
}

func appendDense(e *env) {
	e.group(appends("l", "a"), appends("l", "b", "c"), appends("other", "x"), appends("l", "d"))
	e.group(appends("l", "e"), txn(func(t *store.Txn) {
		t.Append([]byte("other"), []byte("y"))
		t.Append([]byte("l"), nil)
		t.Append([]byte("other"), []byte("z"))
	}))
	e.logHas("l", 6, "1:a", "2:b", "3:c", "4:d", "5:e", "6:")
	e.logHas("other", 3, "1:x", "2:y", "3:z")
}

func appendRefused(e *env) {
	e.put("k", "v")
	refused := appends("l", "no", "no")
	refused.Require([]byte("k"), 0)
	for range 2 {
		verdicts := e.group(appends("l", "a"), refused, appends("l", "b"))
		e.is("the refused one", verdicts[1], store.ErrConflict)
		e.is("the one after it", verdicts[2], nil)
	}
	e.is("alone", e.group(refused)[0], store.ErrConflict)
	e.group(appends("l", "c"))
	e.logHas("l", 5, "1:a", "2:b", "3:a", "4:b", "5:c")
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	if _, err := e.Commit(ctx, []*store.Txn{appends("l", "no")}); err == nil {
		e.Error("a commit with an ended context was accepted")
	}
	e.group(appends("l", "d"))
	e.logHas("l", 6, "1:a", "2:b", "3:a", "4:b", "5:c", "6:d")
}

func appendCounter(e *env) {
	// The counter has the version of the last value, and is a counter like others.
	e.group(appends("l", "a"), appends("l", "b"))
	e.view(func(r store.Reader) {
		_, first := e.read(r, string(store.PositionKey([]byte("l"), 1)))
		_, second := e.read(r, string(store.PositionKey([]byte("l"), 2)))
		if _, v := e.read(r, "l"); v != second || first >= second {
			e.Errorf("the counter has version %d, the values %d and %d", v, first, second)
		}
	})
	e.must(func(t *store.Txn) {
		t.Append([]byte("l"), []byte("c"))
		t.Add([]byte("l"), 10)
		t.Append([]byte("l"), []byte("d"))
	})
	e.add("l", 5)
	e.group(appends("l", "e"))
	e.logHas("l", 20, "1:a", "2:b", "3:c", "14:d", "20:e")
}

func appendCondition(e *env) {
	e.group(appends("l", "a"))
	v := e.version("l")
	onCounter := txn(func(t *store.Txn) { t.Require([]byte("l"), v) })
	onNext := txn(func(t *store.Txn) { t.Require(store.PositionKey([]byte("l"), 2), 0) })
	verdicts := e.group(onCounter, onNext, appends("l", "b"), onCounter, onNext)
	for i, want := range []error{nil, nil, nil, store.ErrConflict, store.ErrConflict} {
		e.is(fmt.Sprint("verdict ", i), verdicts[i], want)
	}
}

func appendRemoved(e *env) {
	e.group(appends("l", "a", "b", "c", "d"))
	position := func(n uint64) []byte { return store.PositionKey([]byte("l"), n) }
	e.must(func(t *store.Txn) { t.DeleteRange(position(0), position(3)) })
	e.logHas("l", 4, "3:c", "4:d")
	e.group(appends("l", "e"), txn(func(t *store.Txn) { t.DeleteRange(position(0), position(6)) }), appends("l", "f"))
	e.logHas("l", 6, "6:f")
	e.must(func(t *store.Txn) { t.Delete(position(6)) })
	e.group(appends("l", "g"))
	e.logHas("l", 7, "7:g")
}

func appendCounterChanged(e *env) {
	log := []byte("l")
	for _, change := range []func(t *store.Txn){
		func(t *store.Txn) { t.Delete(log) },
		func(t *store.Txn) { t.DeleteRange([]byte("l"), []byte("m")) },
		func(t *store.Txn) { t.Put(log, []byte("text")) },
		func(t *store.Txn) { t.Put(log, store.EncodeCounter(0)) },
	} {
		for _, together := range []bool{false, true} {
			e.group(appends("l", "a", "b"))
			steps := []*store.Txn{appends("l", "c"), txn(change), appends("l", "x")}
			if together {
				e.group(steps...)
			} else {
				for _, step := range steps {
					e.group(step)
				}
			}
			e.view(func(r store.Reader) {
				if n := e.readCounter(r, "l"); n != 1 {
					e.Errorf("together %v: the log counts %d, want 1", together, n)
				}
			})
			e.group(appends("l", "c"), txn(change)) // the change is the last word
			e.view(func(r store.Reader) {
				if value, _ := e.read(r, "l"); len(value) == 8 && binary.BigEndian.Uint64(value) != 0 {
					e.Errorf("together %v: the log is %q", together, value)
				}
			})
			e.must(func(t *store.Txn) { t.DeleteRange([]byte("l"), []byte("m")) })
		}
	}
}

func appendMalformed(e *env) {
	longest := string(make([]byte, store.MaxKeySize-store.PositionSize))
	verdicts := e.group(
		appends("", "x"), appends("\xFF", "x"), appends(longest+"x", "x"), appends(longest, "a"),
	)
	for i, want := range []error{store.ErrMalformed, store.ErrMalformed, store.ErrMalformed, nil} {
		if !errors.Is(verdicts[i], want) {
			e.Errorf("verdict %d: got %v, want %v", i, verdicts[i], want)
		}
	}
	e.view(func(r store.Reader) {
		if value, _ := e.read(r, string(store.PositionKey([]byte(longest), 1))); string(value) != "a" {
			e.Errorf("the longest log holds %q", value)
		}
	})
}

func appendSnapshot(e *env) {
	e.group(appends("l", "a"))
	before := e.snap()
	e.group(appends("l", "b"))
	e.logShows(before, "l", 1, "1:a")
	e.logHas("l", 2, "1:a", "2:b")
}

func appendConcurrent(e *env) {
	// Appenders of two logs; every snapshot shows all positions up to the
	// counter, and each appender's values in its order.
	parallel(func(worker int) {
		for i := range rounds {
			value := fmt.Sprintf("%d/%02d", worker, i)
			e.group(appends("l", value), appends("m", value))
			e.view(func(r store.Reader) {
				if n, values := e.readCounter(r, "l"), e.readLog(r, "l"); int(n) != len(values) {
					e.Errorf("the log counts %d and shows %d values", n, len(values))
				}
			})
		}
	})
	e.view(func(r store.Reader) {
		for _, log := range []string{"l", "m"} {
			var next [workers]int
			values := e.readLog(r, log)
			for i, v := range values {
				var position, worker, n int
				if _, err := fmt.Sscanf(v, "%d:%d/%d", &position, &worker, &n); err != nil {
					e.Fatal(err)
				}
				if position != i+1 || n != next[worker] {
					e.Fatalf("log %q: %q at place %d, want number %d of that appender", log, v, i+1, next[worker])
				}
				next[worker]++
			}
			if len(values) != workers*rounds {
				e.Errorf("log %q holds %d values, want %d", log, len(values), workers*rounds)
			}
		}
	})
}

func appendReopened(e *env) {
	e.group(appends("l", "a", "b"), appends("m", "x"))
	e.must(func(t *store.Txn) { t.Delete(store.PositionKey([]byte("m"), 1)) })
	e.reopen()
	e.group(appends("l", "c"), appends("m", "y"))
	e.logHas("l", 3, "1:a", "2:b", "3:c")
	e.logHas("m", 2, "2:y")
}

func appendBackup(e *env) {
	e.group(appends("l", "a", "b"))
	dir := filepath.Join(e.TempDir(), "backup")
	e.is("Backup", e.Backup(e.Context(), dir), nil)
	e.group(appends("l", "c"))
	copied := &env{T: e.T, h: e.h, clock: e.clock, Store: e.h.Restore(e.T, dir)}
	copied.logHas("l", 2, "1:a", "2:b")
	copied.group(appends("l", "d"))
	copied.logHas("l", 3, "1:a", "2:b", "3:d")
	e.logHas("l", 3, "1:a", "2:b", "3:c")
}
