package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Stream is a named stream whose events hold a T. It is a name and types only: the
// events are those of the app whose unit of work the context carries. Its methods
// are safe for concurrent use.
type Stream[T any] struct {
	name     string
	settings Settings
	key      func(T) string
	errs     []error
}

// Settings is how a stream was declared.
type Settings struct {
	// Partitions is the number of partitions.
	Partitions int
	// Age, unless 0, is how long an event is kept at least.
	Age time.Duration
	// Bytes, unless 0, is how much of each partition is kept.
	Bytes int64
	// Hard says that old events go also if a function has still to read them.
	Hard bool
}

// Of declares a stream. The name is unique in an app over all resources: a letter,
// then letters, digits, "_" and "-". Without options it has one partition, so all
// its events are in one order, and keeps every event. A bad declaration is reported
// when the stream is added to an app.
func Of[T any](name string, options ...Option) *Stream[T] {
	c := config{Settings: Settings{Partitions: 1}}
	for _, o := range options {
		o.apply(&c)
	}
	s := &Stream[T]{name: name, settings: c.Settings, errs: c.errs}
	if c.keyBy != nil {
		var ok bool
		if s.key, ok = c.keyBy.(func(T) string); !ok {
			s.errs = append(s.errs, fmt.Errorf("KeyBy has a %T; want a %T", c.keyBy, s.key))
		}
	}
	return s
}

// Settings returns how the stream was declared.
func (s *Stream[T]) Settings() Settings { return s.settings }

// Validate reports what is wrong with the declaration: a bad name or option, or a T
// that JSON cannot hold.
func (s *Stream[T]) Validate() error {
	errs := append([]error{checkName(s.name), s.settings.check()}, s.errs...)
	var unsupported *json.UnsupportedTypeError
	if _, err := json.Marshal(new(T)); errors.As(err, &unsupported) {
		errs = append(errs, fmt.Errorf("an event cannot be JSON: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stream %q: %w", s.name, err)
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("a name has 1 to %d bytes", MaxName)
	}
	for i, c := range name {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && c != '-' && (c < '0' || c > '9')) {
			return errors.New(`a name is a letter, then letters, digits, "_" and "-"`)
		}
	}
	return nil
}

// Event is an event with what the stream knows of it.
type Event[T any] struct {
	Value T `json:"value"`
	// Key says which events are kept in order: those of one key are in one
	// partition. The events of the empty key are spread over all.
	Key string `json:"key,omitempty"`
	// Headers is what travels with the event.
	Headers map[string]string `json:"headers,omitempty"`
	// Time is when the event was appended. Appending sets it.
	Time time.Time `json:"time"`
	// Partition and Position say where the event is; positions of a partition
	// are 1, 2, 3 and so on. The commit of the unit gives them.
	Partition int    `json:"partition"`
	Position  uint64 `json:"position"`
}

// Append adds events when the unit commits, under the keys that KeyBy says.
// Those of one key are in the order given.
func (s *Stream[T]) Append(ctx context.Context, values ...T) error {
	events := make([]Event[T], len(values))
	for i, v := range values {
		events[i].Value = v
	}
	return s.AppendEvents(ctx, events...)
}

// AppendEvents is Append for events with a key or headers of their own. An empty
// key is the one that KeyBy says. Time, partition and position are not looked at.
func (s *Stream[T]) AppendEvents(ctx context.Context, events ...Event[T]) error {
	u, err := unit.From(ctx)
	if err != nil {
		return s.fault(err)
	}
	stored := make([]*records.Event, len(events))
	now, partitions := u.Now(), s.settings.Partitions
	anywhere := rand.IntN(partitions) // for the events of this call that have no key
	for i := range events {
		if stored[i], err = s.encode(&events[i]); err != nil {
			return s.fault(err)
		}
		stored[i].Time, stored[i].Partition, stored[i].Headers = now, anywhere, u.Traced(stored[i].Headers)
		if key := stored[i].Key; key != "" {
			stored[i].Partition = records.PartitionOf(key, partitions)
		}
	}
	if target := records.StreamTarget(s.name); u.Env().Outbox[target] {
		return s.fault(u.Do(func() error { return records.AppendOutbox(u, target, stored...) }))
	}
	return s.fault(u.Do(func() error { return records.AppendEvents(u, s.name, stored...) }))
}

// encode makes the record of an event.
func (s *Stream[T]) encode(e *Event[T]) (*records.Event, error) {
	data, err := json.Marshal(e.Value)
	if err != nil {
		return nil, err
	}
	key := e.Key
	if key == "" && s.key != nil {
		key = s.key(e.Value)
	}
	headers := 0
	for name, value := range e.Headers {
		headers += len(name) + len(value)
	}
	switch {
	case len(data) > MaxEvent:
		return nil, fmt.Errorf("%w: event of %d bytes of JSON, at most %d are allowed", ErrTooLarge, len(data), MaxEvent)
	case len(key) > MaxKey:
		return nil, fmt.Errorf("%w: key of %d bytes, at most %d are allowed", ErrTooLarge, len(key), MaxKey)
	case headers > MaxHeaders:
		return nil, fmt.Errorf("%w: headers of %d bytes, at most %d are allowed", ErrTooLarge, headers, MaxHeaders)
	}
	return &records.Event{Key: key, Headers: e.Headers, Data: data}, nil
}

// decode makes an event of its record.
func (s *Stream[T]) decode(e *records.Event) (Event[T], error) {
	event := Event[T]{Key: e.Key, Headers: e.Headers, Time: e.Time, Partition: e.Partition, Position: e.Position}
	if err := json.Unmarshal(e.Data, &event.Value); err != nil {
		return event, fmt.Errorf("partition %d: position %d: %w", e.Partition, e.Position, err)
	}
	return event, nil
}

// fault says which stream err is about.
func (s *Stream[T]) fault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("stream %q: %w", s.name, err)
}
