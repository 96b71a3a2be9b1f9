package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

const (
	// consumerName is the consumer that all apps of a queue share: a work queue has one.
	consumerName = "perdure"
	// ackWait is when a message that was not acknowledged comes again.
	ackWait = 30 * time.Second
	// keptNotes is how many notes of messages are kept though the server has their
	// acknowledgements: one that loses its power may forget the latest of them.
	keptNotes = 10_000
	// maxForget is how many notes are removed in one unit.
	maxForget = 1000
)

// taker takes the messages of a queue into the store.
type taker struct {
	*session
	acked uint64 // all messages up to this sequence number are acknowledged
}

// newTaker makes sure that the consumer is there.
func newTaker(ctx context.Context, s *session) (*taker, error) {
	t := &taker{session: s}
	if _, err := t.ensureConsumer(ctx); err != nil {
		return nil, err
	}
	return t, t.begin(ctx)
}

// ensureConsumer returns the consumer on the server. It is made if it is missing; one that
// is there is not changed.
func (t *taker) ensureConsumer(ctx context.Context) (_ js.Consumer, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("stream %q: consumer %q: %w", t.Address.Stream, consumerName, err)
		}
	}()
	wait := t.Address.wanted.ackWait
	consumer, err := t.stream.Consumer(ctx, consumerName)
	if errors.Is(err, js.ErrConsumerNotFound) {
		config := js.ConsumerConfig{
			Durable: consumerName, FilterSubject: t.Address.Subject,
			AckPolicy: js.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1, MaxAckPending: 4 * maxBatch,
		}
		if wait > 0 {
			config.AckWait = wait
		}
		consumer, err = t.stream.CreateConsumer(ctx, config)
		var refused *js.APIError
		if errors.As(err, &refused) && (refused.ErrorCode == 10099 || refused.ErrorCode == 10100) {
			return nil, fmt.Errorf("%w: the messages of a work queue go to one consumer, and it has another one for this subject: remove that, or name another stream: %w", ErrUnfit, err)
		}
	}
	if err != nil {
		return nil, err
	}
	c := consumer.CachedInfo().Config
	switch {
	case c.AckPolicy != js.AckExplicitPolicy:
		return nil, fmt.Errorf("%w: it acknowledges by %q, not explicitly: remove it, the app makes it anew", ErrUnfit, c.AckPolicy)
	case c.FilterSubject != t.Address.Subject:
		return nil, fmt.Errorf("%w: it takes the subject %q, not %q: remove it, the app makes it anew", ErrUnfit, c.FilterSubject, t.Address.Subject)
	}
	if c.MaxDeliver > 0 {
		t.Log.Warn("a JetStream consumer gives messages up; it is not changed", "resource", t.target, "consumer", c.Name,
			"max_deliver", c.MaxDeliver, "mend", "remove it, the app makes it anew")
	}
	if wait > 0 && c.AckWait != wait {
		t.Log.Warn("a JetStream consumer differs from what was asked for; it is not changed", "resource", t.target, "consumer", c.Name,
			"setting", "ack_wait", "is", c.AckWait, "wanted", wait, "mend", "remove it, the app makes it anew")
	}
	return consumer, nil
}

// begin forgets the notes of an earlier stream, whose sequence numbers meant other
// messages.
func (t *taker) begin(ctx context.Context) error {
	for more := true; more; {
		err := t.unit(ctx, func(u *unit.Unit) error {
			was, err := records.GetMirror(u, t.target)
			if err != nil || was.Made.Equal(t.made) {
				more = false
				return err
			}
			n, err := records.ForgetTaken(u, t.target, math.MaxUint64, maxForget)
			if more = n == maxForget; err != nil || more {
				return err
			}
			return records.PutMirror(u, t.target, records.Mirror{Made: t.made})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// read implements reader.
func (t *taker) read(ctx context.Context, progress func()) error {
	consumer, err := t.ensureConsumer(ctx) // it may have been removed since
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(js.PullMaxMessages(maxBatch), js.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return fmt.Errorf("take: %w", err)
	}
	return batches(ctx, messages, func(batch []js.Msg) error {
		stored, err := t.store(ctx, batch)
		if err != nil {
			return err
		}
		t.acknowledge(ctx, stored)
		info, err := consumer.Info(ctx)
		if err != nil {
			return fmt.Errorf("state of the consumer: %w", err)
		}
		t.acked = info.AckFloor.Stream
		progress()
		return nil
	})
}

// store makes deliveries of messages, unless it did before, and returns those that can be
// acknowledged.
func (t *taker) store(ctx context.Context, batch []js.Msg) (stored []js.Msg, err error) {
	var all []received
	for _, message := range batch {
		r, err := t.receive(message)
		if err != nil {
			return nil, err
		}
		if r.event != nil {
			all, stored = append(all, r), append(stored, message)
		}
	}
	err = t.unit(ctx, func(u *unit.Unit) error {
		for i, r := range all {
			if err := t.deliver(u, r, stored[i].Headers()); err != nil {
				return err
			}
		}
		if t.acked <= keptNotes {
			return nil
		}
		_, err := records.ForgetTaken(u, t.target, t.acked-keptNotes, maxForget)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store messages: %w", err)
	}
	return stored, nil
}

// deliver makes a delivery of a message, unless it is one that comes again.
func (t *taker) deliver(u *unit.Unit, r received, header nats.Header) error {
	first, err := records.Take(u, t.target, r.sequence)
	if err != nil || !first {
		return err
	}
	d := &records.Delivery{
		Function: t.target, Topic: t.target, Lane: r.event.Key, Event: r.event.Data,
		Headers: r.event.Headers, EnqueuedAt: r.event.Time,
	}
	apply(header, d)
	return t.Env.Deliver(u, d)
}

// acknowledge tells the server that messages are stored, and waits until it knows. A
// message of which it does not know comes again, and is dropped then.
func (t *taker) acknowledge(ctx context.Context, batch []js.Msg) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range batch {
		all.Go(func() {
			if err := m.DoubleAck(ctx); err != nil && ctx.Err() == nil {
				t.Log.Warn("an acknowledgement was not heard; the message comes again and is dropped", "resource", t.target, "error", err)
			}
		})
	}
	all.Wait()
}

// caughtUp implements reader. The consumer hears of a new message a little later than who
// sent it, so the stream is asked first.
func (t *taker) caughtUp(ctx context.Context) (bool, error) {
	last, err := t.lastMessage(ctx)
	if err != nil || last == 0 {
		return err == nil, err
	}
	consumer, err := t.stream.Consumer(ctx, consumerName)
	if err != nil {
		return false, fmt.Errorf("state of the consumer: %w", err)
	}
	return consumer.CachedInfo().AckFloor.Stream >= last, nil
}
