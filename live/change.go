package live

import (
	"encoding/json"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/table"
)

// change is a change of a row as all subscribers share it.
type change struct {
	partition int
	position  uint64
	key       table.Key
	old, new  any // the decoded rows; nil for none, or if nobody filters
	// put and remove are what a subscriber is told; put is nil if there is no row.
	put, remove json.RawMessage
}

// message is what a subscriber is told of a row.
type message struct {
	Kind string          `json:"kind"`
	Key  string          `json:"key"`
	Row  json.RawMessage `json:"row,omitempty"`
	Time time.Time       `json:"time"`
}

func encode(m message) (json.RawMessage, error) { return json.Marshal(m) }

// read decodes an event of the table's feed.
func (e *Endpoint) read(ev *records.Event) (*change, error) {
	var stored records.Change
	if err := json.Unmarshal(ev.Data, &stored); err != nil {
		return nil, err
	}
	c := &change{
		partition: ev.Partition, position: ev.Position,
		key: table.Key{Partition: stored.Key.Partition, Row: stored.Key.Row},
	}
	key := c.key.String()
	var err error
	if c.remove, err = encode(message{Kind: "delete", Key: key, Time: stored.Time}); err != nil {
		return nil, err
	}
	if stored.New != nil {
		if c.put, err = encode(message{Kind: "put", Key: key, Row: stored.New, Time: stored.Time}); err != nil {
			return nil, err
		}
	}
	if e.filter != nil {
		c.old, c.new = e.rowOf(stored.Old), e.rowOf(stored.New)
	}
	return c, nil
}

// rowOf decodes a row; nil for none, or for one that is no T any more, or whose decoding
// panics: nobody who filters can be shown it.
func (e *Endpoint) rowOf(data []byte) (row any) {
	if data == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			row = nil
		}
	}()
	row, err := e.decode(data)
	if err != nil {
		return nil
	}
	return row
}

// view is what one subscriber may see.
type view struct {
	shows     shows   // nil for all rows
	partition *string // nil for all
}

// of returns what the subscriber is told of a change; nil for nothing.
func (v view) of(c *change) json.RawMessage {
	if v.partition != nil && c.key.Partition != *v.partition {
		return nil
	}
	if v.shows == nil {
		if c.put != nil {
			return c.put
		}
		return c.remove
	}
	switch {
	case c.new != nil && v.shows(c.key, c.new):
		return c.put
	case c.old != nil && v.shows(c.key, c.old):
		return c.remove
	}
	return nil
}
