package storetest

import (
	"errors"

	"github.com/perdure/perdure/internal/store"
)

var rangeCases = []testCase{
	{name: "delete-range/half-open", run: rangeHalfOpen},
	{name: "delete-range/empty-or-inverted", run: rangeEmpty},
	{name: "delete-range/within-a-group", run: rangeWithinGroup},
	{name: "delete-range/breaks-conditions", run: rangeBreaksConditions},
}

func rangeHalfOpen(e *env) {
	for _, k := range []string{"a", "b", "b\x00", "bb", "c", "c\x00", "d"} {
		e.put(k, "x")
	}
	e.must(func(t *store.Txn) { t.DeleteRange([]byte("b"), []byte("c")) })
	e.has("a=x", "c=x", "c\x00=x", "d=x")
	e.must(func(t *store.Txn) { t.DeleteRange([]byte("b"), []byte{0xFF, 0xFF}) }) // past every space
	e.has("a=x")
	e.put("c", "y")
	e.has("a=x", "c=y")
}

func rangeEmpty(e *env) {
	e.put("a", "x")
	e.put("b", "x")
	e.must(func(t *store.Txn) {
		t.DeleteRange([]byte("a"), []byte("a"))
		t.DeleteRange([]byte("b"), []byte("a"))
		t.DeleteRange([]byte("a\x00"), []byte("b"))
	})
	e.has("a=x", "b=x")
}

func rangeWithinGroup(e *env) {
	e.put("r1", "old")
	purge := func(t *store.Txn) { t.DeleteRange([]byte("r"), []byte("s")) }
	e.group(putTxn("r2", "early"), txn(purge), putTxn("r3", "late"))
	e.has("r3=late")
}

func rangeBreaksConditions(e *env) {
	for _, together := range []bool{false, true} {
		for _, k := range []string{"q", "r1", "r2", "s"} {
			e.put(k, "x")
		}
		require := func(key string, v store.Version) *store.Txn {
			return txn(func(t *store.Txn) { t.Require([]byte(key), v) })
		}
		txns := []*store.Txn{
			txn(func(t *store.Txn) { t.DeleteRange([]byte("r"), []byte("s")) }),
			require("r1", e.version("r1")),
			require("r2", 0),
			require("q", e.version("q")),
			require("s", e.version("s")),
			txn(func(t *store.Txn) { t.Require([]byte("r1"), 0); t.Put([]byte("r1"), []byte("again")) }),
			require("r1", 0),
		}
		var verdicts []error
		if together {
			verdicts = e.group(txns...)
		} else {
			for _, t := range txns {
				verdicts = append(verdicts, e.group(t)...)
			}
		}
		for i, want := range []error{nil, store.ErrConflict, nil, nil, nil, nil, store.ErrConflict} {
			if !errors.Is(verdicts[i], want) {
				e.Errorf("together %v: verdict %d: got %v, want %v", together, i, verdicts[i], want)
			}
		}
		e.has("q=x", "r1=again", "s=x")
	}
}
