package table

import (
	"encoding/json"
	"time"

	"github.com/perdure/perdure/internal/records"
)

// ChangeKind says what happened to a row.
type ChangeKind = records.ChangeKind

// The kinds of change.
const (
	Inserted = records.RowInserted
	Updated  = records.RowUpdated
	Deleted  = records.RowDeleted
)

// Change is a change of a row: an event of the table's change feed. The function that
// perdure.OnChange runs takes it as a field tagged body.
type Change[T any] struct {
	Kind ChangeKind `json:"kind"`
	Key  Key        `json:"key"`
	// Old is the row before; nil if it was inserted.
	Old *T `json:"old,omitempty"`
	// New is the row after; nil if it was deleted.
	New *T `json:"new,omitempty"`
	// Expired says that the row was deleted because its time was over.
	Expired bool `json:"expired,omitempty"`
	// Time is that of the unit that made the change.
	Time time.Time `json:"time"`
}

// DecodeChange reads an event of the change feed.
func (t *Table[T]) DecodeChange(data []byte) (c Change[T], err error) {
	err = json.Unmarshal(data, &c)
	return c, err
}
