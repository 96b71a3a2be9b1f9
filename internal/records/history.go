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
