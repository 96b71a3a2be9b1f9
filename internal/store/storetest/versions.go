package storetest

import (
	"github.com/perdure/perdure/internal/store"
)

var versionCases = []testCase{
	{name: "version/grows-with-each-commit", run: versionGrows},
	{name: "version/changes-only-with-its-key", run: versionOwnKey},
	{name: "durable/survives-reopening", needs: Caps{Durable: true}, run: durableReopen},
	{name: "durable/versions-grow-across-reopening", needs: Caps{Durable: true}, run: durableVersions},
}

func versionGrows(e *env) {
	var last store.Version
	for _, key := range []string{"b", "a", "b", "c", "a"} {
		e.put(key, "x")
		v := e.version(key)
		if v <= last {
			e.Errorf("key %q: version %d after %d", key, v, last)
		}
		last = v
	}
	e.add("n", 1)
	if v := e.version("n"); v <= last {
		e.Errorf("counter: version %d after %d", v, last)
	}
}

func versionOwnKey(e *env) {
	e.put("a", "1")
	v := e.version("a")
	e.put("b", "1")
	e.must(func(t *store.Txn) { t.Require([]byte("a"), v) })
	e.must(func(t *store.Txn) { t.DeleteRange([]byte("a\x00"), []byte("z")) })
	if got := e.version("a"); got != v {
		e.Errorf("version went from %d to %d while others were written", v, got)
	}
	e.put("a", "1")
	if got := e.version("a"); got <= v {
		e.Errorf("the same value again: version %d after %d", got, v)
	}
}

func durableReopen(e *env) {
	e.put("gone", "1")
	e.put("r1", "1")
	e.put("k", "1")
	e.add("n", 40)
	e.must(func(t *store.Txn) {
		t.Put([]byte("k"), []byte("2"))
		t.Delete([]byte("gone"))
		t.DeleteRange([]byte("r"), []byte("s"))
		t.Add([]byte("n"), 2)
	})
	v := e.version("k")
	for range 2 {
		e.reopen()
		e.view(func(r store.Reader) { e.shows(r, keys("", "n"), "k=2") })
		if got := e.counter("n"); got != 42 {
			e.Errorf("counter is %d, want 42", got)
		}
		if got := e.version("k"); got != v {
			e.Errorf("version went from %d to %d", v, got)
		}
		e.view(func(r store.Reader) { e.shows(r, keys("n\x00", "")) })
	}
}

func durableVersions(e *env) {
	e.put("a", "1")
	e.put("b", "1")
	last := e.version("b")
	e.del("b") // the greatest version is in no key any more
	for range 3 {
		e.reopen()
		e.put("c", "1")
		v := e.version("c")
		if v <= last {
			e.Errorf("version %d after %d", v, last)
		}
		last = v
	}
}
