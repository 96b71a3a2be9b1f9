package delivery

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestWindowMissesNothing plays a window against a model of the store: what was
// stored and then told to the window is taken out of it sooner or later, in order
// except for what arrives late, whatever fills run when.
func TestWindowMissesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &window{limit: rapid.IntRange(1, 5).Draw(t, "limit")}
		w.reset()
		var (
			stored   []ref // in order
			unheard  []ref // stored, the window is not told yet
			snapshot []ref // of the fill under way
			from     ref
			taken    = map[ref]bool{}
		)
		take := func() bool {
			r, ok := w.first()
			if !ok {
				return false
			}
			w.drop()
			taken[r] = true // may be a note of what is not there any more
			if i, found := slices.BinarySearchFunc(stored, r, ref.Compare); found {
				stored = slices.Delete(stored, i, i+1)
			}
			return true
		}
		begin := func() {
			if w.hungry() {
				from, snapshot = w.begin(), slices.Clone(stored)
			}
		}
		end := func() {
			var found []ref
			for _, r := range snapshot {
				if r.Compare(from) >= 0 && len(found) <= w.limit {
					found = append(found, r)
				}
			}
			if more := len(found) > w.limit; more {
				w.end(found[:w.limit], found[w.limit], true)
			} else {
				w.end(found, ref{}, false)
			}
		}
		hear := func() {
			for _, r := range unheard {
				w.add(r)
			}
			unheard = nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				r := ref{Due: rapid.Int64Range(1, 30).Draw(t, "due")}
				if i, found := slices.BinarySearchFunc(stored, r, ref.Compare); !found {
					stored = slices.Insert(stored, i, r)
					unheard = append(unheard, r)
				}
			},
			"hear":  func(*rapid.T) { hear() },
			"take":  func(*rapid.T) { take() },
			"begin": func(*rapid.T) { begin() },
			"end": func(*rapid.T) {
				if w.filling {
					end()
				}
			},
			"fail": func(*rapid.T) {
				if w.filling {
					w.fail()
				}
			},
			"reset": func(*rapid.T) { w.reset() },
			"": func(t *rapid.T) {
				if len(w.refs) > w.limit {
					t.Fatalf("%d refs in a window of %d", len(w.refs), w.limit)
				}
				if !slices.IsSortedFunc(w.refs, ref.Compare) {
					t.Fatalf("refs %v out of order", w.refs)
				}
				if n := len(w.refs); n > 0 && w.partial && w.refs[n-1].Compare(w.from) >= 0 {
					t.Fatalf("ref %v in the part that is not known, from %v", w.refs[n-1], w.from)
				}
			},
		})
		hear()
		for range 200 {
			begin()
			if w.filling {
				end()
			}
			take()
		}
		if len(stored) > 0 {
			t.Fatalf("missed %v; window %+v", stored, w)
		}
	})
}
