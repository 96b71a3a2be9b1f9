package storetest

import (
	"time"

	"github.com/perdure/perdure/internal/store"
)

var watchCases = []testCase{
	{name: "watch/signals-its-space", run: watchSignals},
	{name: "watch/coalesces", run: watchCoalesces},
	{name: "watch/range-over-spaces", run: watchRange},
	{name: "watch/stop", run: watchStop},
}

// signalled waits for a signal. Only a failing case waits long.
func (e *env) signalled(what string, changes <-chan struct{}) {
	e.Helper()
	select {
	case _, open := <-changes:
		if !open {
			e.Errorf("%s: the channel is closed", what)
		}
	case <-time.After(20 * time.Second):
		e.Errorf("%s: no signal", what)
	}
}

func watchSignals(e *env) {
	a, stopA := e.Watch('a')
	defer stopA()
	a2, stopA2 := e.Watch('a')
	defer stopA2()
	b, stopB := e.Watch('b')
	defer stopB()
	e.put("a1", "x")
	e.signalled("first watcher", a)
	e.signalled("second watcher", a2)
	e.del("a1")
	e.signalled("after a delete", a)
	e.add("b1", 1)
	e.signalled("after an addition", b)
	e.group(putTxn("c", "x"), putTxn("", "malformed"), putTxn("a2", "x"))
	e.signalled("after a group", a)
	e.view(func(r store.Reader) { e.shows(r, keys("a", "b"), "a2=x") }) // the signal comes after the commit
}

func watchCoalesces(e *env) {
	changes, stop := e.Watch('a')
	defer stop()
	for range 100 { // nobody takes the signals: commits do not wait for it
		e.put("a", "x")
	}
	e.signalled("after many commits", changes)
	e.put("a", "y")
	e.signalled("after one more", changes)
}

func watchRange(e *env) {
	var watched []<-chan struct{}
	for _, space := range []byte{'a', 'b', 'c'} {
		changes, stop := e.Watch(space)
		defer stop()
		watched = append(watched, changes)
	}
	e.must(func(t *store.Txn) { t.DeleteRange([]byte("a5"), []byte("c5")) })
	for _, changes := range watched {
		e.signalled("a space of the range", changes)
	}
}

func watchStop(e *env) {
	changes, stop := e.Watch('a')
	other, stopOther := e.Watch('a')
	defer stopOther()
	stop()
	stop()
	e.put("a", "x")
	e.signalled("the watcher that stays", other)
	select {
	case <-changes:
		e.Error("a signal after stop")
	default:
	}
}
