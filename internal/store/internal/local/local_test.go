package local_test

import (
	"sync"
	"testing"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/internal/local"
)

func TestGateWaitsForThoseInside(t *testing.T) {
	t.Parallel()
	g := local.NewGate()
	if first, second := g.Enter(), g.Enter(); !first || !second {
		t.Fatal("an open gate let nobody in")
	}
	before, first, second := g.Closed(), g.Close(), g.Close()
	if before || !first || second || !g.Closed() {
		t.Error("Close must report that it closed the gate, once")
	}
	if g.Enter() {
		t.Error("a closed gate let somebody in")
	}
	g.Leave()
	select {
	case <-g.Drained():
		t.Error("drained with somebody inside")
	default:
	}
	g.Leave()
	<-g.Drained()
	g.Enter() // still harmless
	<-g.Drained()
}

func TestGateClosesWhileManyEnter(t *testing.T) {
	t.Parallel()
	for range 200 {
		g := local.NewGate()
		var inside int // no lock: nobody is inside when the gate has drained
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for g.Enter() {
					mu.Lock()
					inside++
					mu.Unlock()
					g.Leave()
				}
			})
		}
		g.Close()
		<-g.Drained()
		inside = -1
		all.Wait()
		if inside != -1 {
			t.Fatal("somebody got in after the gate had drained")
		}
	}
}

func TestSpacesOfRanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		start, end string
		want       string // of the watched spaces 0, a, b, c
	}{
		{"a", "b", "a"},
		{"a", "b\x00", "ab"},
		{"\x00", "b", "0a"},
		{"a5", "c5", "abc"},
		{"b", "a", ""},
		{"a", "\x00", ""},
		{"c", "\xff", "c"},
	} {
		var w local.Watchers
		var got string
		channels := map[string]<-chan struct{}{}
		for name, space := range map[string]byte{"0": 0, "a": 'a', "b": 'b', "c": 'c'} {
			changes, stop := w.Watch(space)
			defer stop()
			channels[name] = changes
		}
		txn := &store.Txn{}
		txn.DeleteRange([]byte(c.start), []byte(c.end))
		var spaces local.Spaces
		spaces.AddTxn(txn)
		w.Notify(&spaces)
		for _, name := range []string{"0", "a", "b", "c"} {
			select {
			case <-channels[name]:
				got += name
			default:
			}
		}
		if got != c.want {
			t.Errorf("range %q to %q signals %q, want %q", c.start, c.end, got, c.want)
		}
	}
}
