package records

import (
	"encoding/json"
	"time"
)

// FeedPartitions is the number of partitions of the stream that holds the changes of
// a table.
const FeedPartitions = 8

// FeedStream returns the name of that stream. No stream of a user has a name with "/".
func FeedStream(table string) string { return "table/" + table }

// ChangeKind says what happened to a row.
type ChangeKind string

// The kinds of change.
const (
	RowInserted ChangeKind = "insert"
	RowUpdated  ChangeKind = "update"
	RowDeleted  ChangeKind = "delete"
)

// Change is a change of a row. As JSON it is the data of an event of the table's feed.
type Change struct {
	Kind ChangeKind `json:"kind"`
	Key  ChangeKey  `json:"key"`
	// Time is that of the unit that made the change.
	Time time.Time `json:"time"`
	// Expired says that the row was deleted because its time was over.
	Expired bool `json:"expired,omitempty"`
	// Old and New are the row before and after; nil for none.
	Old json.RawMessage `json:"old,omitempty"`
	New json.RawMessage `json:"new,omitempty"`
}

// ChangeKey is the key of a row in its table.
type ChangeKey struct {
	Partition string `json:"partition,omitempty"`
	Row       string `json:"row"`
}

// noteChange appends to the table's feed, if it has one, that old has become row. A
// row that is written over an expired one is deleted first, as it would have been a
// moment later.
func noteChange(u Unit, k RowKey, old, row *Row) error {
	if !u.HasFeed(k.Table) || old == nil && row == nil {
		return nil
	}
	now := u.Now()
	note := func(c Change) error {
		c.Key, c.Time = ChangeKey{k.Partition, k.Row}, now.UTC()
		data, err := json.Marshal(c)
		if err != nil {
			return err
		}
		return AppendEvents(u, FeedStream(k.Table), &Event{
			Partition: PartitionOf(k.Partition, FeedPartitions), Key: k.order(), Time: now, Headers: u.Traced(nil), Data: data,
		})
	}
	if old != nil && old.Live(now) == nil {
		if err := note(Change{Kind: RowDeleted, Expired: true, Old: old.json()}); err != nil {
			return err
		}
		if old = nil; row == nil {
			return nil
		}
	}
	switch {
	case row == nil:
		return note(Change{Kind: RowDeleted, Old: old.json()})
	case old == nil:
		return note(Change{Kind: RowInserted, New: row.json()})
	}
	return note(Change{Kind: RowUpdated, Old: old.json(), New: row.json()})
}

// order returns what is kept in order, also when a change cannot be handled: the
// partition, or the row itself if it is in none.
func (k RowKey) order() string {
	if k.Partition == "" {
		return "/" + k.Row
	}
	return k.Partition
}

// json returns the row's data; nil if it is damaged, which keeps nobody from
// replacing it.
func (r *Row) json() json.RawMessage {
	if !json.Valid(r.Data) {
		return nil
	}
	return r.Data
}
