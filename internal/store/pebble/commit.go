package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/internal/local"
)

// maxGroupSize bounds one batch; Pebble's own limit is 4 GiB.
const maxGroupSize = 1 << 30

// Commit implements store.Store. Groups are committed one after another.
func (s *Store) Commit(ctx context.Context, group []*store.Txn) ([]error, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.end()

	batch := s.db.NewBatch()
	verdicts, spaces, err := s.decide(batch, group)
	if err == nil && batch.Empty() { // nothing was accepted that writes
		return verdicts, batch.Close()
	}
	if err == nil {
		err = batch.Set(seqKey, binary.BigEndian.AppendUint64(nil, uint64(s.seq)), nil)
	}
	if err != nil {
		s.logs.forget() // they count what is not written
		return nil, err
	}
	if err := s.sync(batch); err != nil {
		return nil, err
	}
	if spaces != nil {
		s.watchers.Notify(spaces)
	}
	return verdicts, nil
}

// begin waits for the right to commit; end gives it back.
func (s *Store) begin(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	err := ctx.Err()
	if err == nil {
		select {
		case <-s.turn:
			if err = s.dead(); err == nil {
				return nil
			}
			s.turn <- struct{}{}
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.calls.Leave()
	return err
}

func (s *Store) end() {
	s.turn <- struct{}{}
	s.calls.Leave()
}

// decide gives each transaction its verdict and adds the operations of the
// accepted ones to batch. It returns the spaces they write if anybody watches.
// An error means that the engine could not be read; nothing was written then.
func (s *Store) decide(batch *engine.Batch, group []*store.Txn) ([]error, *local.Spaces, error) {
	verdicts := make([]error, len(group))
	var spaces *local.Spaces
	if s.watchers.Active() {
		spaces = new(local.Spaces)
	}
	s.conds.reset(group)
	if err := s.loadLogs(group); err != nil {
		return nil, nil, err
	}
	size := 0
	for i, t := range group {
		verdict, err := s.verdict(t, &size)
		if err != nil {
			return nil, nil, err
		}
		verdicts[i] = verdict
		if verdict != nil || t.Empty() {
			continue
		}
		s.seq++
		if err := s.write(batch, t); err != nil {
			return nil, nil, err
		}
		if spaces != nil {
			spaces.AddTxn(t)
		}
	}
	if err := s.logs.write(batch); err != nil {
		return nil, nil, err
	}
	return verdicts, spaces, nil
}

// verdict decides one transaction. The second error is the engine's.
func (s *Store) verdict(t *store.Txn, size *int) (verdict, err error) {
	if err := t.Validate(); err != nil {
		return err, nil
	}
	if t.Lease.Name != "" {
		if err := s.leases.Check(t.Lease); err != nil {
			return err, nil
		}
	}
	for i := range t.Conditions {
		want := &t.Conditions[i]
		got, err := s.version(want.Key)
		if err != nil {
			return nil, err
		}
		if got != want.Version {
			return &store.ConflictError{Key: want.Key, Want: want.Version, Got: got}, nil
		}
	}
	total := *size + t.Size()
	if total > maxGroupSize {
		return fmt.Errorf("%w: the group is greater than %d bytes", store.ErrMalformed, maxGroupSize), nil
	}
	*size = total
	return nil, nil
}

// version returns the version of a key that a condition of the group names.
// Nothing is under way in the engine here, so what it shows is durable.
func (s *Store) version(key []byte) (store.Version, error) {
	e := s.conds.entry(key)
	if e.known {
		return e.version, nil
	}
	value, closer, err := s.db.Get(key)
	switch {
	case errors.Is(err, engine.ErrNotFound):
		e.version, e.known = 0, true
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("store: read %q for a condition: %w", key, err)
	}
	version, _, err := splitValue(key, value)
	if err := errors.Join(err, closer.Close()); err != nil {
		return 0, err
	}
	e.version, e.known = version, true
	return version, nil
}

// write adds the operations of an accepted transaction to batch under the
// version s.seq.
func (s *Store) write(batch *engine.Batch, t *store.Txn) error {
	for i := range t.Ops {
		var err error
		switch op := &t.Ops[i]; op.Kind {
		case store.OpPut:
			err = s.put(batch, op.Key, op.Value)
		case store.OpDelete:
			s.logs.deleted(op.Key)
			s.conds.wrote(op.Key, 0)
			err = batch.Delete(op.Key, nil)
		case store.OpAdd:
			err = s.add(batch, op.Key, uint64(op.Delta))
		case store.OpAppend:
			err = s.append(batch, op.Key, op.Value)
		case store.OpDeleteRange:
			err = s.deleteRange(batch, op.Key, op.End)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) put(batch *engine.Batch, key, value []byte) error {
	d := batch.SetDeferred(len(key), versionSize+len(value))
	copy(d.Key, key)
	binary.BigEndian.PutUint64(d.Value, uint64(s.seq))
	copy(d.Value[versionSize:], value)
	s.logs.put(key, value)
	s.conds.wrote(key, s.seq)
	return d.Finish()
}

func (s *Store) add(batch *engine.Batch, key []byte, delta uint64) error {
	s.conds.wrote(key, s.seq)
	if l := s.logs.get(key); l != nil {
		s.logs.add(l, delta, s.seq)
		return nil
	}
	d := batch.MergeDeferred(len(key), counterSize)
	copy(d.Key, key)
	putCounter(d.Value, s.seq, delta)
	return d.Finish()
}

func (s *Store) append(batch *engine.Batch, key, value []byte) error {
	l := s.logs.get(key)
	s.logs.add(l, 1, s.seq)
	s.conds.wrote(key, s.seq)
	s.position = binary.BigEndian.AppendUint64(append(s.position[:0], key...), l.count)
	return s.put(batch, s.position, value)
}

func (s *Store) deleteRange(batch *engine.Batch, start, end []byte) error {
	if end[0] == store.ReservedSpace {
		end = reservedStart
	}
	if bytes.Compare(start, end) >= 0 {
		return nil
	}
	s.logs.deletedRange(start, end)
	s.conds.deleted(start, end)
	return batch.DeleteRange(start, end, nil)
}

// sync makes batch durable and visible to new snapshots. An error means that
// the outcome is unknown and the store has failed.
func (s *Store) sync(batch *engine.Batch) error {
	select {
	case s.work <- batch:
	case <-s.failed:
		return s.failure
	}
	select {
	case err := <-s.done:
		return err
	case <-s.failed:
		return s.failure
	}
}

// committer applies batches until the store is closed. It is a goroutine of its
// own because Pebble does not come back from a fatal failure, and whoever
// called Commit must.
func (s *Store) committer() {
	defer s.failOnPanic()
	for batch := range s.work {
		s.done <- s.apply(batch)
	}
}

func (s *Store) apply(batch *engine.Batch) error {
	err := batch.Commit(engine.Sync)
	if err == nil {
		err = s.views.publish(s.db.NewSnapshot())
	}
	if err != nil {
		s.fail(err)
		return s.failure
	}
	if err := batch.Close(); err != nil {
		s.opts.Logger.Warn("store: a batch could not be reused", "error", err)
	}
	return nil
}
