package delivery

import (
	"slices"

	"github.com/perdure/perdure/internal/records"
)

type ref = records.DeliveryRef

// window is the first part of an ordered range of stored deliveries that is too
// long for memory. Everything stored before the ref from is in refs, or was taken
// out; what is stored from there on is not, and is found by a fill.
//
// A window may hold a ref to nothing, which a run finds out. It never misses one
// of which it was told.
type window struct {
	limit   int
	refs    []ref // ascending, all before from if partial
	partial bool
	from    ref

	filling bool
	// told is the first of the refs that were added, during the fill, to the
	// part that is being filled: its scan may have come too early for them.
	told    ref
	hasTold bool
}

// reset forgets everything, so that the next fill begins anew.
func (w *window) reset() {
	w.cut(ref{})
	if w.filling {
		w.tell(ref{})
	}
}

// cut forgets what is stored from r on.
func (w *window) cut(r ref) {
	i, _ := slices.BinarySearchFunc(w.refs, r, ref.Compare)
	w.refs = w.refs[:i]
	w.partial, w.from = true, r
}

func (w *window) tell(r ref) {
	if !w.hasTold || r.Compare(w.told) < 0 {
		w.told, w.hasTold = r, true
	}
}

// add notes that a delivery is stored at r.
func (w *window) add(r ref) {
	if w.partial && r.Compare(w.from) >= 0 {
		if w.filling {
			w.tell(r)
		}
		return
	}
	i, found := slices.BinarySearchFunc(w.refs, r, ref.Compare)
	if found {
		return
	}
	w.refs = slices.Insert(w.refs, i, r)
	if len(w.refs) <= w.limit {
		return
	}
	last := w.refs[w.limit]
	if w.filling { // the fill goes on where it began, and will be cut here
		w.refs = w.refs[:w.limit]
		w.tell(last)
		return
	}
	w.cut(last)
}

// first returns the first ref.
func (w *window) first() (ref, bool) {
	if len(w.refs) == 0 {
		return ref{}, false
	}
	return w.refs[0], true
}

// drop removes the first ref.
func (w *window) drop() { w.refs = w.refs[1:] }

// hungry reports whether the window should be filled.
func (w *window) hungry() bool { return w.partial && !w.filling && len(w.refs) <= w.limit/2 }

// begin starts a fill and returns where its scan has to start.
func (w *window) begin() ref {
	w.filling = true
	return w.from
}

// end takes what the scan found, in order; more says that it stopped before next
// for want of room.
func (w *window) end(found []ref, next ref, more bool) {
	w.filling = false
	w.partial = more
	w.from = next
	if w.hasTold && (!more || w.told.Compare(next) < 0) {
		w.cut(w.told)
	}
	w.hasTold = false
	for _, r := range found {
		w.add(r)
	}
}

// fail ends a fill without result.
func (w *window) fail() {
	w.filling = false
	if w.hasTold && w.told.Compare(w.from) < 0 {
		w.cut(w.told)
	}
	w.hasTold = false
}
