package table

import (
	"encoding/json"
	"fmt"
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

// DecodeRow reads the JSON of a row.
func (t *Table[T]) DecodeRow(data []byte) (*T, error) {
	value := new(T)
	if err := json.Unmarshal(data, value); err != nil {
		return nil, fmt.Errorf("table %q: %w", t.name, err)
	}
	return value, nil
}
