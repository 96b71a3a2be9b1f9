package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/replay"
)

// The bounds of what a caller hands over.
const (
	// MaxPayload bounds an input, result or event payload, in bytes.
	MaxPayload = 4 << 20
	// MaxTags bounds the tags of an instance.
	MaxTags = 32
)

// lookup returns the record of the instance called id, or ErrNotFound.
func (e *Engine) lookup(id string) (records.InstanceKey, *records.Instance, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return 0, nil, err
	}
	defer snap.Close()
	key, err := records.FindInstance(snap, id)
	if err != nil {
		return 0, nil, err
	}
	if key == 0 {
		return 0, nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	rec, err := records.GetInstance(snap, key)
	if err == nil && rec == nil {
		err = fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return key, rec, err
}

// ask delivers b and waits for its answer.
func (e *Engine) ask(ctx context.Context, key records.InstanceKey, b *inbound) error {
	done := make(chan error, 1)
	b.done = func(err error) { done <- err }
	e.deliver(key, b, true)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// control has a control change made to the instance called id.
func (e *Engine) control(ctx context.Context, id string, f func(in *instance, c *change) error) error {
	if err := e.Err(); err != nil {
		return err
	}
	key, err := e.find(id)
	if err != nil {
		return err
	}
	if key == 0 {
		return fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return e.ask(ctx, key, &inbound{control: f})
}

// Get returns what is known of the instance called id, and its input if asked.
func (e *Engine) Get(id string, withInput bool) (*records.Instance, []byte, error) {
	key, rec, err := e.lookup(id)
	if err != nil || !withInput {
		return rec, nil, err
	}
	input, err := e.input(key, rec)
	return rec, input, err
}

// input reads the input of an instance from its history.
func (e *Engine) input(key records.InstanceKey, rec *records.Instance) ([]byte, error) {
	snap, err := e.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var input []byte
	found := errors.New("found")
	err = records.ReadHistory(snap, key, rec.Base, func(_ uint32, t history.Turn) error {
		for i := range t.Events {
			if t.Events[i].Kind == history.Started {
				input = t.Events[i].Data
				return found
			}
		}
		return nil
	})
	if errors.Is(err, found) {
		err = nil
	}
	return input, err
}

// History returns the turns of the instance called id.
func (e *Engine) History(id string) ([]history.Turn, error) {
	key, rec, err := e.lookup(id)
	if err != nil {
		return nil, err
	}
	snap, err := e.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var turns []history.Turn
	err = records.ReadHistory(snap, key, rec.Base, func(_ uint32, t history.Turn) error {
		turns = append(turns, t)
		return nil
	})
	return turns, err
}

// Replay checks a recorded history against the code that is registered.
func (e *Engine) Replay(name, id string, turns []history.Turn) error {
	o := e.orchestrations[name]
	if o == nil {
		return fmt.Errorf("%w: orchestration %q", ErrNotRegistered, name)
	}
	m := replay.New(name, id, o.Code)
	defer m.Close()
	for _, t := range turns {
		if err := m.Replay(t); err != nil {
			return err
		}
	}
	return nil
}
