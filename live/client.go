package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/table"
)

const (
	// sendChanges and sendBytes bound what one message holds, roughly.
	sendChanges = 256
	sendBytes   = 1 << 20
	// joinBelow is how many changes a client may be behind when it joins those
	// who are told of changes as they come.
	joinBelow = 128
	// maxRounds is how often it may try to come so near.
	maxRounds = 100
	// snapshotTime bounds how long a snapshot is kept for a client, and
	// maxSnapshots for how many at a time: after a restart all come at once.
	snapshotTime = time.Minute
	maxSnapshots = 32
)

// Why a client is disconnected.
var (
	errSlow = errors.New("live: the client is too slow")
	errEnd  = errors.New("live: the server stops")
	errGone = errors.New("live: the client has left")
	// errUnexpected stands for a panic.
	errUnexpected = errors.New("live: the client could not be served")
)

// transport carries messages to a client. Its methods fail when the client is gone or
// does not take the message in time.
type transport interface {
	// send sends a message. An id is left out if it is empty; reset takes away
	// the one that the client has.
	send(event, id string, changes []json.RawMessage) error
	// beat shows that the connection is alive.
	beat(id string) error
	// gone is closed when the client has left.
	gone() <-chan struct{}
	// close tells the client why it is disconnected, if it can, and does so.
	close(why error)
}

// client is one connection.
type client struct {
	s         *Server
	view      view
	transport transport
	id        string // what it sent to go on from

	at   place  // what it knows
	sent string // the id it was last sent
}

// run serves the client until it leaves, and returns why.
func (c *client) run() error {
	known := false
	if c.at, known = parsePlace(c.id); known {
		switch err := c.approach(); {
		case errors.Is(err, errGap):
			known = false
		case err != nil:
			return err
		}
	}
	if !known {
		if err := c.snapshot(); err != nil {
			return err
		}
		if err := c.approach(); err != nil {
			return err
		}
	}
	sub, err := c.s.hub.join()
	if err != nil {
		return err
	}
	defer c.s.hub.leave(sub)
	for more := true; more; {
		if _, more, err = c.catchUp(); err != nil {
			return err
		}
	}
	c.sent = c.at.String()
	if err := c.transport.send("ready", c.sent, nil); err != nil {
		return err
	}
	return c.follow(sub)
}

// approach catches up until little is left.
func (c *client) approach() error {
	for range maxRounds {
		n, more, err := c.catchUp()
		if err != nil {
			return err
		}
		if !more && n < joinBelow {
			return nil
		}
	}
	return errSlow
}

// catchUp sends changes that are stored and the client does not know, and returns how
// many there were and whether there are more.
func (c *client) catchUp() (n int, more bool, err error) {
	at := c.at
	changes, more, err := c.s.after(&at)
	if err != nil {
		return 0, false, err
	}
	if err := c.tell(changes); err != nil {
		return 0, false, err
	}
	c.at = at
	return len(changes), more, c.leaving()
}

// leaving returns why the client should not be served on.
func (c *client) leaving() error {
	select {
	case <-c.s.ending:
		return errEnd
	default:
		return nil
	}
}

// follow sends changes as they come.
func (c *client) follow(sub *subscriber) error {
	heartbeat := c.s.clock.NewTimer(c.s.endpoint.heartbeat)
	defer func() { heartbeat.Stop() }()
	for {
		select {
		case <-sub.wake:
			changes, slow := sub.take()
			if slow {
				return errSlow
			}
			if err := c.tell(changes); err != nil {
				return err
			}
		case <-heartbeat.C():
			id := c.at.String()
			if id == c.sent {
				id = ""
			} else {
				c.sent = id
			}
			if err := c.transport.beat(id); err != nil {
				return err
			}
			heartbeat.Reset(c.s.endpoint.heartbeat)
		case <-c.transport.gone():
			return nil
		case <-c.s.ending:
			return errEnd
		}
	}
}

// tell sends what the client may see of changes, except those it knows.
func (c *client) tell(changes []*change) error {
	var (
		messages []json.RawMessage
		size     int
	)
	flush := func() error {
		if len(messages) == 0 {
			return nil
		}
		c.sent = c.at.String()
		err := c.transport.send("changes", c.sent, messages)
		messages, size = nil, 0
		return err
	}
	for _, ch := range changes {
		if ch.position <= c.at[ch.partition] {
			continue
		}
		c.at[ch.partition] = ch.position
		if m := c.view.of(ch); m != nil {
			messages = append(messages, m)
			size += len(m)
		}
		if len(messages) >= sendChanges || size >= sendBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// snapshot sends all rows that the client may see, and moves it to their place in the
// feed.
func (c *client) snapshot() error {
	select {
	case c.s.reading <- struct{}{}:
		defer func() { <-c.s.reading }()
	case <-c.transport.gone():
		return errGone
	case <-c.s.ending:
		return errEnd
	}
	u := unit.New(c.s.env)
	defer u.Discarded()
	at, err := c.s.tailsIn(u)
	if err != nil {
		return err
	}
	if err := c.transport.send("reset", "", nil); err != nil {
		return err
	}
	late := c.s.clock.NewTimer(snapshotTime)
	defer late.Stop()
	var (
		messages []json.RawMessage
		size     int
		failed   error
	)
	flush := func() error {
		if len(messages) == 0 {
			return nil
		}
		err := c.transport.send("changes", "", messages)
		messages, size = nil, 0
		return errors.Join(err, c.leaving(), overdue(late))
	}
	err = records.ScanRows(u, records.RowScan{Table: c.s.name, Partition: c.view.partition}, func(k records.RowKey, row *records.Row, _ []byte) bool {
		m, err := c.row(table.Key{Partition: k.Partition, Row: k.Row}, row)
		if err != nil {
			c.s.log.Error("a row cannot be read and is not shown", "table", c.s.name, "error", err)
		}
		if m == nil {
			return true
		}
		messages = append(messages, m)
		size += len(m)
		if len(messages) >= sendChanges || size >= sendBytes {
			failed = flush()
		}
		return failed == nil
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	c.at = at
	return flush()
}

// row returns what the client is told of a row that is there; nil for nothing.
func (c *client) row(key table.Key, row *records.Row) (json.RawMessage, error) {
	if c.view.shows != nil {
		value, err := c.s.endpoint.decode(row.Data)
		if err != nil {
			return nil, fmt.Errorf("row %q: %w", key, err)
		}
		if !c.view.shows(key, value) {
			return nil, nil
		}
	}
	m, err := encode(message{Kind: "put", Key: key.String(), Row: row.Data, Time: row.Written.UTC()})
	if err != nil {
		return nil, fmt.Errorf("row %q: %w", key, err)
	}
	return m, nil
}

func overdue(timer clock.Timer) error {
	select {
	case <-timer.C():
		return errSlow
	default:
		return nil
	}
}
