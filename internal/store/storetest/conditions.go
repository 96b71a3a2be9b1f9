package storetest

import (
	"bytes"
	"errors"

	"github.com/perdure/perdure/internal/store"
)

var conditionCases = []testCase{
	{name: "condition/lost-update", run: conditionLostUpdate},
	{name: "condition/write-skew", run: conditionWriteSkew},
	{name: "condition/insert-once", run: conditionInsertOnce},
	{name: "condition/deleted-and-written-again", run: conditionABA},
	{name: "condition/phantom-under-a-counter", run: conditionPhantom},
	{name: "condition/names-the-key", run: conditionNamesKey},
}

func conditionLostUpdate(e *env) {
	e.put("k", "1")
	v := e.version("k")
	update := func(value string) func(t *store.Txn) {
		return func(t *store.Txn) { t.Require([]byte("k"), v); t.Put([]byte("k"), []byte(value)) }
	}
	e.must(update("2"))
	e.is("the second writer", e.verdict(update("3")), store.ErrConflict)
	e.has("k=2")
}

func conditionWriteSkew(e *env) {
	// Two doctors are on call; each may leave while the other one stays. Each
	// reads both and writes its own.
	for _, together := range []bool{false, true} {
		e.put("alice", "on")
		e.put("bob", "on")
		a, b := e.version("alice"), e.version("bob")
		leave := func(who string) *store.Txn {
			return txn(func(t *store.Txn) {
				t.Require([]byte("alice"), a)
				t.Require([]byte("bob"), b)
				t.Put([]byte(who), []byte("off"))
			})
		}
		var verdicts []error
		if together {
			verdicts = e.group(leave("alice"), leave("bob"))
		} else {
			verdicts = append(e.group(leave("alice")), e.group(leave("bob"))...)
		}
		e.is("alice", verdicts[0], nil)
		e.is("bob", verdicts[1], store.ErrConflict)
		e.has("alice=off", "bob=on")
	}
}

func conditionInsertOnce(e *env) {
	insert := func(t *store.Txn) { t.Require([]byte("k"), 0); t.Put([]byte("k"), nil) }
	e.must(insert)
	e.is("the second insert", e.verdict(insert), store.ErrConflict)
	e.del("k")
	e.must(insert)
}

func conditionABA(e *env) {
	e.put("k", "1")
	v := e.version("k")
	e.del("k")
	require := func(t *store.Txn) { t.Require([]byte("k"), v) }
	e.is("after the delete", e.verdict(require), store.ErrConflict)
	e.put("k", "1")
	e.is("after the same value came back", e.verdict(require), store.ErrConflict)
	if again := e.version("k"); again <= v {
		e.Errorf("version %d after %d", again, v)
	}
}

func conditionPhantom(e *env) {
	// Whoever inserts into the partition p adds to its counter; whoever relied
	// on a scan of p demands that the counter has not moved.
	insert := func(key string) func(t *store.Txn) {
		return func(t *store.Txn) { t.Put([]byte("p/"+key), []byte("x")); t.Add([]byte("c/p"), 1) }
	}
	e.must(insert("1"))
	seen := e.version("c/p")
	sum := func(t *store.Txn) { t.Require([]byte("c/p"), seen); t.Put([]byte("sum"), []byte("1")) }
	e.must(sum) // nothing was inserted since

	e.must(insert("2"))
	e.is("after an insert", e.verdict(sum), store.ErrConflict)

	seen = e.version("c/p")
	verdicts := e.group(txn(insert("3")), txn(sum))
	e.is("after an insert in the same group", verdicts[1], store.ErrConflict)

	// Two inserts do not disturb each other: nobody reads the counter.
	for i, err := range e.group(txn(insert("4")), txn(insert("5"))) {
		if err != nil {
			e.Errorf("insert %d: %v", i, err)
		}
	}
	if got := e.counter("c/p"); got != 5 {
		e.Errorf("counter is %d, want 5", got)
	}
}

func conditionNamesKey(e *env) {
	e.put("a", "1")
	e.put("b", "1")
	a, b := e.version("a"), e.version("b")
	err := e.verdict(func(t *store.Txn) {
		t.Require([]byte("a"), a)
		t.Require([]byte("b"), b+7)
		t.Put([]byte("a"), []byte("2"))
	})
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) {
		e.Fatalf("verdict is %v, want a ConflictError", err)
	}
	if !bytes.Equal(conflict.Key, []byte("b")) || conflict.Want != b+7 || conflict.Got != b {
		e.Errorf("conflict is %+v, want key b, version %d wanted, %d got", conflict, b+7, b)
	}
}
