package records

import (
	"encoding/binary"
	"fmt"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/tuple"
)

func turnKey(k InstanceKey, turn uint32) []byte {
	return binary.BigEndian.AppendUint32(instanceKey(spaceHistory, k), turn)
}

// PutTurn writes a turn of an instance's history.
func PutTurn(w Writer, k InstanceKey, turn uint32, t history.Turn) {
	w.Put(turnKey(k, turn), history.Append(make([]byte, 0, history.Size(t)), t))
}

// DropTurns removes the turns from and up to, but not including, end.
func DropTurns(w Writer, k InstanceKey, from, end uint32) {
	if end-from <= 16 { // a few deletes cost later readers less than a range tombstone
		for turn := from; turn < end; turn++ {
			w.Delete(turnKey(k, turn))
		}
		return
	}
	w.DeleteRange(turnKey(k, from), turnKey(k, end))
}

// turnPage is how many turns ReadHistory holds at a time.
const turnPage = 256

// ReadHistory visits the turns of an instance from base on, in order. Visit may
// take its time: it is not called inside a scan.
func ReadHistory(r store.Reader, k InstanceKey, base uint32, visit func(turn uint32, t history.Turn) error) error {
	type numbered struct {
		history.Turn
		n uint32
	}
	end := tuple.After(instanceKey(spaceHistory, k))
	for more := true; more; {
		var (
			page   []numbered
			failed error
		)
		more = false
		err := r.Scan(store.Range{Start: turnKey(k, base), End: end}, func(it store.Item) bool {
			if len(page) == turnPage {
				more = true
				return false
			}
			n := binary.BigEndian.Uint32(it.Key[9:])
			t, err := history.Decode(append([]byte(nil), it.Value...))
			if err != nil {
				failed = fmt.Errorf("turn %d: %w", n, err)
				return false
			}
			page = append(page, numbered{t, n})
			return true
		})
		if err != nil {
			return err
		}
		for _, t := range page { // those before a malformed one, too
			if err := visit(t.n, t.Turn); err != nil {
				return err
			}
			base = t.n + 1
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}

// SetBusy marks an instance as having work that a restart must resume.
func SetBusy(w Writer, k InstanceKey) { w.Put(instanceKey(spaceBusy, k), nil) }

// ClearBusy removes the mark.
func ClearBusy(w Writer, k InstanceKey) { w.Delete(instanceKey(spaceBusy, k)) }

// BusyInstances visits the instances that are marked busy, oldest first.
func BusyInstances(r store.Reader, visit func(InstanceKey) bool) error {
	return r.Scan(store.Range{Start: []byte{spaceBusy}, End: []byte{spaceBusy + 1}}, func(it store.Item) bool {
		return len(it.Key) != 9 || visit(InstanceKey(binary.BigEndian.Uint64(it.Key[1:])))
	})
}

// IsBusy reports whether instance k is marked busy.
func IsBusy(r store.Reader, k InstanceKey) (bool, error) {
	_, version, err := r.Get(instanceKey(spaceBusy, k))
	return version != 0, err
}
