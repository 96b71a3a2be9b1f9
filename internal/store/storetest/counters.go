package storetest

import (
	"math"

	"github.com/perdure/perdure/internal/store"
)

var counterCases = []testCase{
	{name: "counter/sum", run: counterSum},
	{name: "counter/absent-is-zero", run: counterAbsent},
	{name: "counter/wraps", run: counterWraps},
	{name: "counter/deleted-starts-again", run: counterDeleted},
	{name: "counter/condition", run: counterCondition},
	{name: "counter/on-another-value", run: counterOnAnotherValue},
}

func counterSum(e *env) {
	e.add("n", 5)
	e.add("n", -7)
	e.must(func(t *store.Txn) { t.Add([]byte("n"), 10); t.Add([]byte("n"), 1) })
	e.group(txn(func(t *store.Txn) { t.Add([]byte("n"), 100) }), txn(func(t *store.Txn) { t.Add([]byte("n"), 1000) }))
	if got := e.counter("n"); got != 1109 {
		e.Errorf("counter is %d, want 1109", got)
	}
	for range 50 {
		e.add("n", -1)
	}
	if got := e.counter("n"); got != 1059 {
		e.Errorf("counter is %d, want 1059", got)
	}
}

func counterAbsent(e *env) {
	if got := e.counter("n"); got != 0 {
		e.Errorf("absent counter is %d", got)
	}
	e.add("n", 0)
	if e.version("n") == 0 {
		e.Error("adding 0 left the counter absent")
	}
	if got := e.counter("n"); got != 0 {
		e.Errorf("counter is %d", got)
	}
}

func counterWraps(e *env) {
	e.add("n", math.MaxInt64)
	e.add("n", 1)
	if got := e.counter("n"); got != math.MinInt64 {
		e.Errorf("counter is %d, want %d", got, int64(math.MinInt64))
	}
}

func counterDeleted(e *env) {
	e.add("n", 5)
	e.del("n")
	if e.version("n") != 0 {
		e.Error("the counter is still there")
	}
	e.add("n", 2)
	e.must(func(t *store.Txn) {
		t.Add([]byte("n"), 1)
		t.DeleteRange([]byte("n"), []byte("o"))
		t.Add([]byte("n"), 3)
	})
	if got := e.counter("n"); got != 3 {
		e.Errorf("counter is %d, want 3", got)
	}
}

func counterCondition(e *env) {
	e.add("n", 1)
	v := e.version("n")
	require := func(t *store.Txn) { t.Require([]byte("n"), v) }
	e.must(require)
	e.add("n", 1)
	if again := e.version("n"); again <= v {
		e.Errorf("version %d after %d", again, v)
	}
	e.is("after an addition", e.verdict(require), store.ErrConflict)
	v = e.version("n")
	verdicts := e.group(txn(func(t *store.Txn) { t.Add([]byte("n"), 0) }), txn(require))
	e.is("after an addition of 0 in the group", verdicts[1], store.ErrConflict)
}

func counterOnAnotherValue(e *env) {
	// A mistake of the caller must not harm the store.
	e.put("text", "not a counter")
	e.add("text", 5)
	e.add("text", 1)
	if got := e.counter("text"); got != 6 {
		e.Errorf("counter is %d, want 6", got)
	}
	e.must(func(t *store.Txn) { t.Put([]byte("both"), nil); t.Add([]byte("both"), 2) })
	if got := e.counter("both"); got != 2 {
		e.Errorf("counter is %d, want 2", got)
	}
	e.put("n", "\x00\x00\x00\x00\x00\x00\x00\x07") // eight bytes are a counter
	e.add("n", 1)
	if got := e.counter("n"); got != 8 {
		e.Errorf("counter is %d, want 8", got)
	}
	e.put("n", "text again")
	e.view(func(r store.Reader) {
		if value, _ := e.read(r, "n"); string(value) != "text again" {
			e.Errorf("value is %q", value)
		}
	})
}
