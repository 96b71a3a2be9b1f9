package storetest

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/perdure/perdure/internal/store"
)

var commitCases = []testCase{
	{name: "commit/own-verdict", run: commitOwnVerdict},
	{name: "commit/sees-earlier-ones-of-the-group", run: commitSeesEarlier},
	{name: "commit/refused-changes-nothing", run: commitRefusedChangesNothing},
	{name: "commit/operations-in-order", run: commitOperationsInOrder},
	{name: "commit/conditions-see-the-state-before", run: commitConditionsBefore},
	{name: "commit/nothing-to-write", run: commitNothingToWrite},
	{name: "commit/visible-when-answered", run: commitVisible},
	{name: "commit/ended-context", run: commitEndedContext},
	{name: "commit/malformed", run: commitMalformed},
	{name: "commit/largest-key-and-value", run: commitLargest},
}

func commitOwnVerdict(e *env) {
	e.put("k", "old")
	long := strings.Repeat("x", store.MaxKeySize+1)
	verdicts := e.group(
		putTxn("a", "1"),
		txn(func(t *store.Txn) { t.Require([]byte("k"), 0); t.Put([]byte("b"), []byte("2")) }),
		putTxn(long, "3"),
		txn(func(t *store.Txn) {
			t.Lease = store.Lease{Name: "nobody's", Epoch: 1}
			t.Put([]byte("c"), []byte("4"))
		}),
		putTxn("d", "5"),
	)
	for i, want := range []error{nil, store.ErrConflict, store.ErrMalformed, store.ErrLeaseLost, nil} {
		if !errors.Is(verdicts[i], want) {
			e.Errorf("verdict %d: got %v, want %v", i, verdicts[i], want)
		}
	}
	e.has("a=1", "d=5", "k=old")
}

func commitSeesEarlier(e *env) {
	e.put("k", "0")
	v := e.version("k")
	take := func(value string) *store.Txn {
		return txn(func(t *store.Txn) { t.Require([]byte("k"), v); t.Put([]byte("k"), []byte(value)) })
	}
	verdicts := e.group(
		take("1"),
		take("2"), // the first one has it
		txn(func(t *store.Txn) { t.Require([]byte("new"), 0); t.Put([]byte("new"), []byte("1")) }),
		txn(func(t *store.Txn) { t.Require([]byte("new"), 0); t.Put([]byte("new"), []byte("2")) }),
		txn(func(t *store.Txn) { t.Delete([]byte("new")) }),
		txn(func(t *store.Txn) { t.Require([]byte("new"), 0); t.Put([]byte("new"), []byte("3")) }),
	)
	for i, want := range []error{nil, store.ErrConflict, nil, store.ErrConflict, nil, nil} {
		if !errors.Is(verdicts[i], want) {
			e.Errorf("verdict %d: got %v, want %v", i, verdicts[i], want)
		}
	}
	e.has("k=1", "new=3")
}

func commitRefusedChangesNothing(e *env) {
	e.put("k", "1")
	e.add("n", 5)
	v := e.version("k")
	refused := func(t *store.Txn) {
		t.Require([]byte("k"), v+1)
		t.Put([]byte("k"), []byte("2"))
		t.Delete([]byte("k"))
		t.Add([]byte("n"), 1)
		t.DeleteRange([]byte("a"), []byte("z"))
	}
	verdicts := e.group(
		txn(refused),
		// A refused transaction is not seen by the later ones either.
		txn(func(t *store.Txn) { t.Require([]byte("k"), v); t.Put([]byte("seen"), []byte("no")) }),
	)
	e.is("refused transaction", verdicts[0], store.ErrConflict)
	e.is("the next one", verdicts[1], nil)
	if got := e.version("k"); got != v {
		e.Errorf("version of k went from %d to %d", v, got)
	}
	if got := e.counter("n"); got != 5 {
		e.Errorf("counter is %d, want 5", got)
	}
}

func commitOperationsInOrder(e *env) {
	e.put("r1", "x")
	e.must(func(t *store.Txn) {
		t.Put([]byte("a"), []byte("1"))
		t.Put([]byte("a"), []byte("2"))
		t.Delete([]byte("a"))
		t.Put([]byte("a"), []byte("3"))
		t.Put([]byte("b"), []byte("1"))
		t.Delete([]byte("b"))
		t.Put([]byte("r2"), []byte("x"))
		t.DeleteRange([]byte("r"), []byte("s"))
		t.Put([]byte("r3"), []byte("kept"))
	})
	e.has("a=3", "r3=kept")
}

func commitConditionsBefore(e *env) {
	// The conditions hold before the transaction's own operations.
	e.must(func(t *store.Txn) {
		t.Put([]byte("k"), []byte("1"))
		t.Require([]byte("k"), 0)
	})
	v := e.version("k")
	e.must(func(t *store.Txn) {
		t.Delete([]byte("k"))
		t.Require([]byte("k"), v)
		t.Require([]byte("k"), v) // the same demand twice is one demand
	})
	e.is("two demands of which one must fail", e.verdict(func(t *store.Txn) {
		t.Require([]byte("k"), 0)
		t.Require([]byte("k"), v)
	}), store.ErrConflict)
	e.has()
}

func commitNothingToWrite(e *env) {
	e.put("k", "1")
	v := e.version("k")
	if got := e.group(); len(got) != 0 {
		e.Errorf("an empty group has verdicts %v", got)
	}
	e.must(func(*store.Txn) {})
	e.must(func(t *store.Txn) { t.Require([]byte("k"), v) })
	e.is("a failed condition without operations", e.verdict(func(t *store.Txn) { t.Require([]byte("k"), 0) }), store.ErrConflict)
	e.must(func(t *store.Txn) { t.Delete([]byte("absent")) })
	e.has("k=1")
}

func commitVisible(e *env) {
	for _, value := range []string{"1", "2", "3"} {
		e.put("k", value)
		e.has("k=" + value)
	}
}

func commitEndedContext(e *env) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Commit(ctx, []*store.Txn{putTxn("k", "1")}); !errors.Is(err, context.Canceled) {
		e.Errorf("Commit with an ended context: %v", err)
	}
	e.has()
	e.put("k", "2") // the store goes on
	e.has("k=2")
}

func commitMalformed(e *env) {
	long := bytes.Repeat([]byte("x"), store.MaxKeySize+1)
	reserved := []byte{store.ReservedSpace, 'k'}
	ok := []byte("k")
	for name, build := range map[string]func(t *store.Txn){
		"empty key":           func(t *store.Txn) { t.Put(nil, ok) },
		"long key":            func(t *store.Txn) { t.Put(long, ok) },
		"reserved key":        func(t *store.Txn) { t.Put(reserved, ok) },
		"delete empty key":    func(t *store.Txn) { t.Delete([]byte{}) },
		"delete reserved key": func(t *store.Txn) { t.Delete(reserved) },
		"add to long key":     func(t *store.Txn) { t.Add(long, 1) },
		"range without start": func(t *store.Txn) { t.DeleteRange(nil, ok) },
		"range without end":   func(t *store.Txn) { t.DeleteRange(ok, nil) },
		"range with long end": func(t *store.Txn) { t.DeleteRange(ok, long) },
		"reserved range":      func(t *store.Txn) { t.DeleteRange(reserved, []byte{0xFF, 0xFF}) },
		"require empty key":   func(t *store.Txn) { t.Require(nil, 0) },
		"require long key":    func(t *store.Txn) { t.Require(long, 0) },
		"require reserved":    func(t *store.Txn) { t.Require(reserved, 0) },
		"no kind":             func(t *store.Txn) { t.Ops = append(t.Ops, store.Op{Key: ok}) },
		"unknown kind":        func(t *store.Txn) { t.Ops = append(t.Ops, store.Op{Kind: 99, Key: ok}) },
		"long lease name":     func(t *store.Txn) { t.Lease.Name = string(long); t.Put(ok, ok) },
		"too many bytes":      func(t *store.Txn) { t.Put(ok, make([]byte, store.MaxTxnSize+1)) },
		"a bad one after a good one": func(t *store.Txn) {
			t.Put(ok, ok)
			t.Delete(nil)
		},
	} {
		verdicts := e.group(putTxn("before", "1"), txn(build), putTxn("after", "1"))
		e.is(name, verdicts[1], store.ErrMalformed)
		e.is(name+": the one before", verdicts[0], nil)
		e.is(name+": the one after", verdicts[2], nil)
	}
	e.has("after=1", "before=1")
}

func commitLargest(e *env) {
	key := bytes.Repeat([]byte{0xFE}, store.MaxKeySize)
	value := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	e.must(func(t *store.Txn) { t.Put(key, value); t.Put([]byte{0}, nil); t.Put([]byte{0, 0}, []byte("\x00\xff")) })
	e.view(func(r store.Reader) {
		if got, _ := e.read(r, string(key)); !bytes.Equal(got, value) {
			e.Errorf("got %d bytes back, want %d", len(got), len(value))
		}
		if got, _ := e.read(r, "\x00\x00"); string(got) != "\x00\xff" {
			e.Errorf("got %q", got)
		}
	})
	v := e.version(string(key))
	e.must(func(t *store.Txn) {
		t.Require(key, v)
		t.DeleteRange([]byte{0}, append(key[:len(key)-1:len(key)-1], 0xFF))
	})
	e.has()
}
