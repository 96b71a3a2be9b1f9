package pebble

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/perdure/perdure/internal/store"
)

// maxLogs bounds how many counters of logs are kept in memory.
const maxLogs = 1 << 16

// logs holds the counters of the logs that were appended to, so that appending
// reads nothing. Within a group they run ahead of the engine; write ends that,
// with one record for each log, however much was appended.
type logs struct {
	counters map[string]*logCounter
	dirty    []*logCounter
	spaces   [256]bool // those that have a log in counters
}

// logCounter is what the key of a log holds, as of the operation being written.
type logCounter struct {
	key     []byte
	count   uint64
	version store.Version
	dirty   bool // it is ahead of the batch
}

// loadLogs gets the counters of all logs that group appends to, before any of it
// is decided.
func (s *Store) loadLogs(group []*store.Txn) error {
	for _, t := range group {
		for i := range t.Ops {
			if op := &t.Ops[i]; op.Kind == store.OpAppend && s.logs.get(op.Key) == nil {
				if err := s.loadLog(op.Key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Store) loadLog(key []byte) error {
	if !store.ValidKey(key) {
		return nil // its transaction will be refused
	}
	var count uint64
	value, closer, err := s.db.Get(key)
	switch {
	case errors.Is(err, engine.ErrNotFound):
	case err != nil:
		return fmt.Errorf("store: read log %q: %w", key, err)
	default:
		_, payload, err := splitValue(key, value)
		count = counterOf(payload)
		if err := errors.Join(err, closer.Close()); err != nil {
			return err
		}
	}
	if s.logs.counters == nil {
		s.logs.counters = make(map[string]*logCounter)
	}
	key = bytes.Clone(key)
	s.logs.counters[string(key)] = &logCounter{key: key, count: count}
	s.logs.spaces[key[0]] = true
	return nil
}

// get returns the counter of the log at key, or nil if it is not in memory.
func (l *logs) get(key []byte) *logCounter {
	if len(key) == 0 || !l.spaces[key[0]] {
		return nil
	}
	return l.counters[string(key)]
}

// add adds to a counter that is in memory.
func (l *logs) add(c *logCounter, delta uint64, version store.Version) {
	c.count += delta
	c.version = version
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// put notes that the batch puts a value at key.
func (l *logs) put(key, value []byte) {
	if c := l.get(key); c != nil {
		c.count, c.dirty = counterOf(value), false
	}
}

// deleted notes that the batch deletes key.
func (l *logs) deleted(key []byte) { l.put(key, nil) }

// deletedRange notes that the batch deletes [start, end).
func (l *logs) deletedRange(start, end []byte) {
	if !slices.Contains(l.spaces[start[0]:int(end[0])+1], true) {
		return
	}
	for _, c := range l.counters {
		if bytes.Compare(c.key, start) >= 0 && bytes.Compare(c.key, end) < 0 {
			c.count, c.dirty = 0, false
		}
	}
}

// write adds the counters that changed to batch.
func (l *logs) write(batch *engine.Batch) error {
	for i, c := range l.dirty {
		l.dirty[i] = nil
		if !c.dirty { // overwritten since, or noted twice
			continue
		}
		c.dirty = false
		d := batch.SetDeferred(len(c.key), counterSize)
		copy(d.Key, c.key)
		putCounter(d.Value, c.version, c.count)
		if err := d.Finish(); err != nil {
			return err
		}
	}
	l.dirty = l.dirty[:0]
	if len(l.counters) > maxLogs {
		l.forget()
	}
	return nil
}

// forget drops all counters; the engine has them, or they must not count.
func (l *logs) forget() { *l = logs{} }
