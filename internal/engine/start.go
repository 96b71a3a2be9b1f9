package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// IfExists says what a start does when the id is taken.
type IfExists uint8

// The policies of a start with a given id.
const (
	// UseSame answers the existing instance if it was started with the same
	// input, and fails with ErrExists otherwise.
	UseSame IfExists = iota
	// Refuse always fails with ErrExists.
	Refuse
	// ReplaceEnded purges an instance that has ended and starts anew; one that
	// has not is treated as by UseSame.
	ReplaceEnded
)

// StartRequest asks for a new instance.
type StartRequest struct {
	unit.Start
	IfExists IfExists
}

// check reports what is wrong with the request.
func (e *Engine) checkStart(s *unit.Start) error {
	if e.orchestrations[s.Name] == nil {
		return fmt.Errorf("%w: orchestration %q; add its Impl to the app", ErrNotRegistered, s.Name)
	}
	if len(s.ID) > records.MaxID {
		return fmt.Errorf("%w: instance id of %d bytes, want at most %d", ErrInvalid, len(s.ID), records.MaxID)
	}
	if len(s.Input) > MaxPayload {
		return fmt.Errorf("%w: input of %d bytes, want at most %d", ErrInvalid, len(s.Input), MaxPayload)
	}
	if len(s.Tags) > MaxTags {
		return fmt.Errorf("%w: %d tags, want at most %d", ErrInvalid, len(s.Tags), MaxTags)
	}
	for k, v := range s.Tags {
		if k == "" || len(k) > records.MaxID || len(v) > records.MaxID {
			return fmt.Errorf("%w: tag %.40q, want a name of 1 to %d and a value of up to %d bytes", ErrInvalid, k, records.MaxID, records.MaxID)
		}
	}
	return nil
}

// fingerprint tells one start from another with the same id.
func fingerprint(name string, input []byte) uint64 {
	h := fnv.New64a()
	h.Write(binary.AppendUvarint(nil, uint64(len(name))))
	h.Write([]byte(name))
	h.Write(input)
	return h.Sum64()
}

// newRecord is the record of a new instance.
func newRecord(s *unit.Start, now time.Time) *records.Instance {
	rec := &records.Instance{
		ID: s.ID, Name: s.Name, State: records.Running, Created: now,
		Tags: maps.Clone(s.Tags), StartAt: s.At.UTC(), Trace: s.Trace,
	}
	if s.At.IsZero() {
		rec.StartAt = time.Time{}
	}
	return rec
}

// StartInstance starts an instance and returns its id once that is durable. The first
// turn has been run then, too.
func (e *Engine) StartInstance(ctx context.Context, s StartRequest) (string, error) {
	id, _, err := e.start(ctx, s, false)
	return id, err
}

// RunInstance starts an instance and waits until it has ended.
func (e *Engine) RunInstance(ctx context.Context, s StartRequest) (*records.Instance, error) {
	id, end, err := e.start(ctx, s, true)
	if err != nil {
		return nil, err
	}
	if end == nil { // an earlier start answers this one, or it starts later
		return e.Wait(ctx, id)
	}
	defer e.waits.drop(end)
	return e.awaitEnd(ctx, end)
}

// start starts an instance. If asked, it begins to wait for the end before that can
// have come; the wait is nil when the instance is not a new one.
func (e *Engine) start(ctx context.Context, s StartRequest, follow bool) (string, *waiting, error) {
	if err := e.Err(); err != nil {
		return "", nil, err
	}
	if err := e.checkStart(&s.Start); err != nil {
		return "", nil, err
	}
	s.Trace = e.traceOf(ctx)
	if !s.At.IsZero() {
		id, err := e.startLater(ctx, s)
		return id, nil, err
	}
	given := s.ID != ""
	if !given {
		s.ID = e.keys.id()
	}
	for {
		rec := newRecord(&s.Start, e.now())
		if given {
			rec.InputHash = fingerprint(s.Name, s.Input)
		}
		end, err := e.create(ctx, rec, s.Input, given, follow)
		switch {
		case err == nil:
			return s.ID, end, nil
		case !given || !errors.Is(err, store.ErrConflict):
			return "", nil, fmt.Errorf("start %q: %w", s.Name, err)
		}
		// The id was taken when the start was to be committed.
		if found, err := e.existing(ctx, rec, s.IfExists); err != nil || found {
			return s.ID, nil, err
		}
	}
}

// create runs the first turn of a new instance and waits until it is durable. It fails
// with store.ErrConflict when the id must be unique and is taken.
func (e *Engine) create(ctx context.Context, rec *records.Instance, input []byte, unique, follow bool) (end *waiting, err error) {
	key, err := e.keys.next(e)
	if err != nil {
		return nil, err
	}
	if follow {
		end = e.waits.add(key)
		defer func() {
			if err != nil {
				e.waits.drop(end)
			}
		}()
	}
	done := make(chan error, 1)
	in := &instance{key: key, active: true}
	in.queue = []*inbound{{
		event:  e.startedEvent(rec, input, rec.Created),
		create: rec, unique: unique,
		done: func(err error) {
			if err != nil || !follow { // who waits for the end need not be woken before
				done <- err
			}
		},
	}}
	e.instances.add(in)
	e.work.begin()
	e.turn(in)
	e.work.end()
	// Once submitted, the start may happen whatever becomes of the caller: one that is
	// canceled and gave an id can ask again.
	var ended, stopping chan struct{}
	if follow {
		ended, stopping = end.ended, e.stopping
	}
	select {
	case err := <-done:
		return end, err
	case <-ended:
		return end, nil
	case <-stopping:
		return end, nil
	case <-ctx.Done():
		return end, ctx.Err()
	}
}

// existing looks for an instance with the id of rec. It reports whether that one
// answers the start.
func (e *Engine) existing(ctx context.Context, rec *records.Instance, policy IfExists) (bool, error) {
	key, old, err := e.lookup(rec.ID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if policy == ReplaceEnded && old.State.Ended() {
		if err := e.purge(ctx, key); err != nil && !errors.Is(err, ErrNotFound) {
			return false, err
		}
		return false, nil
	}
	if policy == Refuse || old.Name != rec.Name || old.InputHash != rec.InputHash {
		return false, fmt.Errorf("%w: %q", ErrExists, rec.ID)
	}
	return true, nil
}

// startLater starts an instance through a unit, as functions do.
func (e *Engine) startLater(ctx context.Context, s StartRequest) (id string, err error) {
	err = unit.Run(ctx, e.opts.Env, e.opts.Committer, maxConflicts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		id, err = e.StartIn(u, s.Start)
		return err
	})
	return id, err
}
