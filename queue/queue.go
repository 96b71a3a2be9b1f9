package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// Queue is a named queue whose messages hold a T. It is a name and types only: the
// messages are those of the app whose unit of work the context carries. Its methods
// are safe for concurrent use.
type Queue[T any] struct {
	name    string
	key     func(T) string
	id      func(T) string
	prepare func(T) (T, error)
	window  time.Duration // 0: no de-duplication
	errs    []error
}

// Of declares a queue. The name is unique in an app over all resources: a letter, then
// letters, digits, "_" and "-". A bad declaration is reported when the queue is added to
// an app.
func Of[T any](name string, options ...Option) *Queue[T] {
	var c config
	for _, o := range options {
		o.apply(&c)
	}
	q := &Queue[T]{name: name, window: c.window, errs: c.errs}
	of := func(option string, f any) (of func(T) string) {
		if f == nil {
			return nil
		}
		of, ok := f.(func(T) string)
		if !ok {
			q.errs = append(q.errs, fmt.Errorf("%s has a %T; want a %T", option, f, of))
		}
		return of
	}
	q.key, q.id = of("OrderBy", c.orderBy), of("Deduplicate", c.dedupID)
	if prepare, ok := c.prepare.(func(T) (T, error)); ok {
		q.prepare = prepare
	} else if c.prepare != nil {
		q.errs = append(q.errs, fmt.Errorf("Prepare has a %T; want a %T", c.prepare, prepare))
	}
	return q
}

// Validate reports what is wrong with the declaration: a bad name or option, or a T
// that JSON cannot hold.
func (q *Queue[T]) Validate() error {
	errs := append([]error{checkName(q.name)}, q.errs...)
	var unsupported *json.UnsupportedTypeError
	if _, err := json.Marshal(new(T)); errors.As(err, &unsupported) {
		errs = append(errs, fmt.Errorf("a message cannot be JSON: %w", err))
	}
	return q.fault(errors.Join(errs...))
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

// Message is a message to be sent, with what is to be known of it.
type Message[T any] struct {
	Value T
	// Key, unless empty, puts the message in order with the others of its key, in
	// place of the key that OrderBy says.
	Key string
	// DedupID, unless empty, stands for the one that Deduplicate makes.
	DedupID string
	// Delay is how long the message waits before it is handled first.
	Delay time.Duration
	// Priority is 0 to MaxPriority; greater ones are handled first. Within a key
	// it changes nothing.
	Priority int
	// Headers is what travels with the message.
	Headers map[string]string
}

// Send adds a message when the unit commits.
func (q *Queue[T]) Send(ctx context.Context, value T, options ...SendOption) error {
	return q.SendAll(ctx, []T{value}, options...)
}

// SendAll adds messages when the unit commits, in the order given; the options hold for
// each of them.
func (q *Queue[T]) SendAll(ctx context.Context, values []T, options ...SendOption) error {
	var s sending
	for _, o := range options {
		o.applySend(&s)
	}
	messages := make([]Message[T], len(values))
	for i, v := range values {
		messages[i] = Message[T]{
			Value: v, Key: s.key, DedupID: s.dedupID, Delay: s.delay, Priority: s.priority, Headers: s.headers,
		}
	}
	return q.SendMessages(ctx, messages...)
}

// SendMessages adds messages with keys, delays and so on of their own when the unit
// commits, in the order given.
func (q *Queue[T]) SendMessages(ctx context.Context, messages ...Message[T]) error {
	u, err := unit.From(ctx)
	if err != nil {
		return q.fault(err)
	}
	if u.Env().Deliver == nil {
		return q.fault(errors.New("the app of this unit has no queues"))
	}
	for i := range messages {
		m := &messages[i]
		d, id, err := q.encode(m)
		if err == nil {
			err = u.Do(func() error { return q.send(u, d, id, m.Delay) })
		}
		if err != nil {
			return q.fault(err)
		}
	}
	return nil
}

// send adds a delivery to u, unless one with its id came lately.
func (q *Queue[T]) send(u *unit.Unit, d *records.Delivery, id string, delay time.Duration) error {
	now := u.Now()
	if id != "" {
		first, err := records.ClaimID(u, d.Function, id, now, now.Add(q.window))
		if err != nil || !first {
			return err
		}
	}
	if delay > 0 {
		d.NextAttempt = now.Add(delay)
	}
	d.Headers = u.Traced(d.Headers)
	if u.Env().Outbox[d.Function] {
		return records.AppendOutboxDelivery(u, d)
	}
	return u.Env().Deliver(u, d)
}

// encode makes the delivery that a message is kept as, and returns the id by which it
// is known when it comes again.
func (q *Queue[T]) encode(m *Message[T]) (*records.Delivery, string, error) {
	value := m.Value
	if q.prepare != nil {
		var err error
		if value, err = q.prepare(value); err != nil {
			return nil, "", err
		}
	}
	data, err := json.Marshal(value)
	if err != nil {
		return nil, "", err
	}
	key, id := m.Key, m.DedupID
	if key == "" && q.key != nil {
		key = q.key(value)
	}
	if id == "" && q.id != nil {
		id = q.id(value)
	}
	headers := 0
	for name, value := range m.Headers {
		headers += len(name) + len(value)
	}
	switch {
	case len(data) > MaxMessage:
		return nil, "", fmt.Errorf("%w: message of %d bytes of JSON, at most %d are allowed", ErrTooLarge, len(data), MaxMessage)
	case len(key) > MaxKey:
		return nil, "", fmt.Errorf("%w: key of %d bytes, at most %d are allowed", ErrTooLarge, len(key), MaxKey)
	case len(id) > MaxKey:
		return nil, "", fmt.Errorf("%w: id for de-duplication of %d bytes, at most %d are allowed", ErrTooLarge, len(id), MaxKey)
	case headers > MaxHeaders:
		return nil, "", fmt.Errorf("%w: headers of %d bytes, at most %d are allowed", ErrTooLarge, headers, MaxHeaders)
	case id != "" && q.window == 0:
		return nil, "", fmt.Errorf("%w: a DedupID is of use with Deduplicate in the queue's declaration alone", ErrInvalid)
	case m.Priority < 0 || m.Priority > MaxPriority:
		return nil, "", fmt.Errorf("%w: priority %d: want 0 to %d", ErrInvalid, m.Priority, MaxPriority)
	case m.Delay < 0 || m.Delay > MaxDelay:
		return nil, "", fmt.Errorf("%w: delay of %v: want 0 to %v", ErrInvalid, m.Delay, MaxDelay)
	}
	return &records.Delivery{
		Function: q.function(), Topic: q.function(), Lane: key, Priority: uint8(m.Priority),
		Event: data, Headers: maps.Clone(m.Headers),
	}, id, nil
}

// function is the name under which the messages are stored.
func (q *Queue[T]) function() string { return records.QueuePrefix + q.name }

// fault says which queue err is about.
func (q *Queue[T]) fault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("queue %q: %w", q.name, err)
}
