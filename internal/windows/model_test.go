package windows_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/window"
)

// naive computes what the windows hold of visits that all came in time.
func naive(w window.Windows, visits []visit) (all []result) {
	type id struct {
		who  string
		from int64
	}
	if w.Kind == window.KindSession {
		return naiveSessions(int64(w.Size/second), visits)
	}
	size, every := int64(w.Size/second), int64(w.Every/second)
	ends := map[id]bool{}
	for _, v := range visits {
		for from := int64(-200); from < 200; from += every {
			inside := from <= v.At && v.At < from+size
			if w.Kind == window.KindSliding {
				inside = from+size-every <= v.At && v.At < from+size
			}
			if inside {
				ends[id{v.Who, from}] = true
			}
		}
	}
	for of := range ends {
		n := 0
		for _, v := range visits {
			if v.Who == of.who && of.from <= v.At && v.At < of.from+size {
				n++
			}
		}
		all = append(all, naiveResult(of.who, of.from, of.from+size, n))
	}
	return all
}

func naiveSessions(gap int64, visits []visit) (all []result) {
	byWho := map[string][]int64{}
	for _, v := range visits {
		byWho[v.Who] = append(byWho[v.Who], v.At)
	}
	for who, times := range byWho {
		slices.Sort(times)
		from, n := times[0], 0
		for i, at := range times {
			n++
			if i+1 == len(times) || times[i+1] >= at+gap {
				all = append(all, naiveResult(who, from, at+gap, n))
				n = 0
				if i+1 < len(times) {
					from = times[i+1]
				}
			}
		}
	}
	return all
}

func naiveResult(who string, from, until int64, n int) result {
	s := func(n int64) time.Time { return start.Add(time.Duration(n) * second) }
	return result{Key: who, Start: s(from), End: s(until), Value: n, Final: true}
}

// texts makes results comparable; revisions do not count.
func texts(results []result) (all []string) {
	for _, r := range results {
		all = append(all, fmt.Sprintf("%s %4g-%g=%d %v", r.Key, r.Start.Sub(start).Seconds(), r.End.Sub(start).Seconds(), r.Value, r.Final))
	}
	slices.Sort(all)
	return all
}

// Whatever the order in which events come, in whatever batches and from whatever
// partitions, however often commits or their answers are lost and the process dies: if no
// event was too late for anything, the results that hold are those of a naive computation. If some were,
// the counts of windows of which each event is in one, together with the late
// events, are the number of events. Each revision of each result is handed over once,
// and nothing is left when all windows have closed.
func TestWindowsBehaveAsNaive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		grace := rapid.SampledFrom([]time.Duration{0, 3 * second, 24 * time.Hour}).Draw(t, "lateness")
		options := []window.Option{
			eventTime, window.Lateness(grace), window.Idle(10 * second),
			window.OutOfOrder(rapid.SampledFrom([]time.Duration{0, 2 * second, 20 * second}).Draw(t, "out of order")),
		}
		kind := rapid.SampledFrom([]string{"tumbling", "hopping", "sliding", "session"}).Draw(t, "kind")
		if kind != "sliding" && rapid.Bool().Draw(t, "early") {
			options = append(options, window.Early(2*second))
		}
		cut := map[string]window.Windows{
			"tumbling": window.Tumbling(5*second, options...),
			"hopping":  window.Hopping(6*second, 2*second, options...),
			"sliding":  window.Sliding(6*second, 2*second, options...),
			"session":  window.Session(5*second, options...),
		}[kind]
		w := newWorld(t, cut)
		defer w.end()
		if rapid.Bool().Draw(t, "clock ahead") {
			w.clock.Advance(time.Hour)
		}
		if share := rapid.SampledFrom([]int{0, 0, 5, 20}).Draw(t, "lost commits in 100"); share > 0 {
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
			lose := func() (before, after bool) {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(100) < share, random.IntN(100) < share
			}
			w.lose.Store(&lose)
		}
		var visits []visit
		partition := rapid.IntRange(0, partitions-1)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				base := rapid.Int64Range(0, 60).Draw(t, "about")
				var some []visit
				for range rapid.IntRange(1, 8).Draw(t, "events") {
					some = append(some, visit{
						Who: rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "who"),
						At:  base + rapid.Int64Range(-10, 10).Draw(t, "offset"),
					})
				}
				visits = append(visits, some...)
				w.append(partition.Draw(t, "partition"), some...)
			},
			"feed": func(t *rapid.T) {
				_, err := w.feed(partition.Draw(t, "partition"), rapid.IntRange(1, 10).Draw(t, "batch"))
				switch {
				case errors.Is(err, store.ErrOutcomeUnknown):
					w.crash() // as the app does
				case err != nil && !errors.Is(err, errLost):
					t.Fatal(err)
				}
			},
			"feed while windows close": func(t *rapid.T) {
				pass := time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * second
				_, err := w.feedAside(partition.Draw(t, "partition"), rapid.IntRange(1, 10).Draw(t, "batch"), func() { w.pass(pass) })
				if err != nil && !errors.Is(err, errLost) && !errors.Is(err, store.ErrOutcomeUnknown) {
					t.Fatal(err)
				}
			},
			"time": func(t *rapid.T) {
				w.clock.Advance(time.Duration(rapid.IntRange(1, 12).Draw(t, "seconds")) * second)
			},
			"settle": func(t *rapid.T) { w.settle() },
			"crash":  func(t *rapid.T) { w.crash() },
		})
		w.lose.Store(nil)
		w.feedAll()
		w.pass(2 * second) // after a failure
		w.pass(48 * time.Hour)
		if n := w.stored(); n != 0 {
			t.Errorf("%d records are left", n)
		}
		// In time for a session, or for some of its windows, is too late for a naive computation.
		if grace > time.Hour || kind == "tumbling" && w.late() == 0 {
			got, naive := texts(w.latest()), texts(naive(cut, visits))
			if !slices.Equal(got, naive) {
				t.Errorf("%v:\n%q, want\n%q", cut, got, naive)
			}
		}
		if grace > time.Hour && w.late() > 0 {
			t.Errorf("%d late events", w.late())
		}
		if kind == "tumbling" || kind == "session" {
			sum := w.late()
			for _, r := range w.latest() {
				sum += r.Value
			}
			if sum != len(visits) {
				t.Errorf("%d events counted, want %d", sum, len(visits))
			}
		}
		w.checkRevisions()
	})
}

// checkRevisions checks that the revisions of each window are 1, 2, 3 and so on, until it is
// withdrawn; then it may begin again.
func (w *world) checkRevisions() {
	w.t.Helper()
	all := w.results()
	slices.SortStableFunc(all, func(a, b result) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), a.Start.Compare(b.Start), cmp.Compare(a.Revision, b.Revision))
	})
	for i, r := range all {
		next := 1
		if i > 0 && all[i-1].Key == r.Key && all[i-1].Start.Equal(r.Start) {
			next = all[i-1].Revision + 1
		}
		if r.Revision != next {
			w.t.Errorf("revision %d of %s from %v, want %d", r.Revision, r.Key, r.Start, next)
		}
	}
}
