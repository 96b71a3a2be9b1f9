package engine

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/replay"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// The bounds of what a caller hands over.
const (
	// MaxPayload bounds an input, result or event payload, in bytes.
	MaxPayload = 4 << 20
	// MaxTags bounds the tags of an instance.
	MaxTags = 32
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
		Tags: maps.Clone(s.Tags), StartAt: s.At.UTC(),
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
		done: func(err error) { done <- err },
	}}
	e.instances.add(in)
	e.work.begin()
	e.turn(in)
	e.work.end()
	// Once submitted, the start may happen whatever becomes of the caller: one that is
	// canceled and gave an id can ask again.
	select {
	case err := <-done:
		return end, err
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

// Raise delivers an event to an instance and returns once it is durable.
func (e *Engine) Raise(ctx context.Context, r unit.Raise) error {
	if err := e.Err(); err != nil {
		return err
	}
	if err := checkRaise(&r); err != nil {
		return err
	}
	for {
		key, err := e.find(r.ID)
		if err != nil {
			return err
		}
		if key == 0 {
			err = ErrNotFound
		} else {
			err = e.ask(ctx, key, &inbound{event: history.Event{Kind: history.EventRaised, Name: r.Name, Data: r.Payload}})
		}
		switch {
		case !errors.Is(err, ErrNotFound):
			return err
		case r.KeepFor <= 0:
			return fmt.Errorf("%w: %q", err, r.ID)
		}
		if err := e.keep(ctx, &r); !errors.Is(err, store.ErrConflict) {
			return err
		}
		// It was started meanwhile.
	}
}

func checkRaise(r *unit.Raise) error {
	if err := checkName("event", r.Name); err != nil {
		return err
	}
	if r.ID == "" || len(r.ID) > records.MaxID {
		return fmt.Errorf("%w: instance id of %d bytes, want 1 to %d", ErrInvalid, len(r.ID), records.MaxID)
	}
	if len(r.Payload) > MaxPayload {
		return fmt.Errorf("%w: payload of %d bytes, want at most %d", ErrInvalid, len(r.Payload), MaxPayload)
	}
	return nil
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

// Wait waits until the instance called id has ended.
func (e *Engine) Wait(ctx context.Context, id string) (*records.Instance, error) {
	key, err := e.find(id)
	if err != nil {
		return nil, err
	}
	if key == 0 {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	end := e.waits.add(key)
	defer e.waits.drop(end)
	rec, err := e.record(key)
	switch {
	case err != nil:
		return nil, err
	case rec == nil:
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	case rec.State.Ended():
		return rec, nil
	}
	return e.awaitEnd(ctx, end)
}

func (e *Engine) awaitEnd(ctx context.Context, end *waiting) (*records.Instance, error) {
	select {
	case <-end.ended:
		return end.rec, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.stopping:
		return nil, e.stopError()
	}
}

// waits tells who waits for the end of an instance.
type waits struct {
	mu sync.Mutex
	m  map[records.InstanceKey]*waiting
}

type waiting struct {
	key   records.InstanceKey
	ended chan struct{}
	rec   *records.Instance // how it ended; set before ended is closed
	n     int
}

func (w *waits) init() { w.m = map[records.InstanceKey]*waiting{} }

// add begins to wait for the end of an instance. Whoever waits looks afterwards
// whether it has ended already.
func (w *waits) add(k records.InstanceKey) *waiting {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.m[k]
	if one == nil {
		one = &waiting{key: k, ended: make(chan struct{})}
		w.m[k] = one
	}
	one.n++
	return one
}

// drop ends a wait.
func (w *waits) drop(one *waiting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one.n--; one.n == 0 && w.m[one.key] == one {
		delete(w.m, one.key)
	}
}

// notify tells everybody who waits how an instance ended.
func (w *waits) notify(k records.InstanceKey, rec *records.Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.m[k]; one != nil {
		one.rec = rec
		close(one.ended)
		delete(w.m, k)
	}
}

// CompleteActivity ends a call from outside, with its result or a failure.
func (e *Engine) CompleteActivity(ctx context.Context, token string, out []byte, failure *history.Failure) error {
	if err := e.Err(); err != nil {
		return err
	}
	key, seq, secret, err := parseToken(token)
	if err != nil {
		return err
	}
	if len(out) > MaxPayload {
		return fmt.Errorf("%w: result of %d bytes, want at most %d", ErrInvalid, len(out), MaxPayload)
	}
	b := &inbound{event: history.Event{Kind: history.ActivityCompleted, Seq: seq, Data: out}}
	if failure != nil {
		b.event = history.Event{Kind: history.ActivityFailed, Seq: seq, Failure: failure}
	}
	b.check = func(in *instance) error {
		want, err := e.token(in, seq)
		if err != nil {
			return err
		}
		if want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(secret)) != 1 {
			return ErrToken
		}
		return nil
	}
	err = e.ask(ctx, key, b)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnded) {
		return ErrToken
	}
	return err
}

// token returns the secret of call seq, which may still be running.
func (e *Engine) token(in *instance, seq uint32) (string, error) {
	if t := in.tasks[seq]; t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.token, nil
	}
	kept, err := e.storedTask(in.key, seq)
	if err != nil || kept == nil {
		return "", err
	}
	return kept.Token, nil
}

func parseToken(token string) (records.InstanceKey, uint32, string, error) {
	parts := strings.SplitN(token, ".", 3)
	if len(parts) != 3 || len(token) > 128 {
		return 0, 0, "", ErrToken
	}
	key, err1 := strconv.ParseUint(parts[0], 16, 64)
	seq, err2 := strconv.ParseUint(parts[1], 16, 32)
	if err1 != nil || err2 != nil || key == 0 || parts[2] == "" {
		return 0, 0, "", ErrToken
	}
	return records.InstanceKey(key), uint32(seq), parts[2], nil
}
