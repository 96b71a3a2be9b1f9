package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	js "github.com/nats-io/nats.go/jetstream"

	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// mirror reads the events of a stream into the store.
type mirror struct {
	*session
	sequence atomic.Uint64 // of the last message that was read
}

// newMirror finds the place from which to read on.
func newMirror(ctx context.Context, s *session) (*mirror, error) {
	m := &mirror{session: s}
	return m, m.unit(ctx, func(u *unit.Unit) error { return m.begin(u) })
}

// begin makes what is known of the source agree with what the server has.
func (m *mirror) begin(u *unit.Unit) error {
	was, err := records.GetMirror(u, m.target)
	if err != nil {
		return err
	}
	state := m.stream.CachedInfo().State
	now, log := was, m.Log.With("resource", m.target, "stream", m.Address.Stream)
	first, last := state.FirstSeq, state.LastSeq
	switch {
	case was.Made.IsZero():
		now.Made = m.made
	case !was.Made.Equal(m.made):
		log.Warn("the JetStream stream was made anew; it is read from its beginning")
		now = records.Mirror{Made: m.made}
	case was.Sequence > last:
		log.Warn("the JetStream stream has lost messages at its end, which had been read", "from", last+1, "to", was.Sequence)
		now.Sequence = last
	case was.Sequence > 0 && first > was.Sequence+1:
		log.Warn("messages were removed from the JetStream stream before they were read", "from", was.Sequence+1, "to", first-1)
	}
	m.sequence.Store(now.Sequence)
	if now == was {
		return nil
	}
	return records.PutMirror(u, m.target, now)
}

// read implements reader.
func (m *mirror) read(ctx context.Context, progress func()) error {
	consumer, err := m.stream.OrderedConsumer(ctx, js.OrderedConsumerConfig{
		FilterSubjects: []string{m.Address.Subject},
		DeliverPolicy:  js.DeliverByStartSequencePolicy, OptStartSeq: m.sequence.Load() + 1,
	})
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	messages, err := consumer.Messages(js.PullMaxMessages(maxBatch))
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return batches(ctx, messages, func(batch []js.Msg) error {
		if err := m.store(ctx, batch); err != nil {
			return err
		}
		progress()
		return nil
	})
}

// received is what is stored of a message.
type received struct {
	sequence uint64
	event    *records.Event // nil if it cannot be one
	from     source
}

// store stores a batch and how far it goes.
func (m *mirror) store(ctx context.Context, batch []js.Msg) error {
	all := make([]received, len(batch))
	for i, message := range batch {
		var err error
		if all[i], err = m.receive(message); err != nil {
			return err
		}
	}
	last := all[len(all)-1].sequence
	err := m.unit(ctx, func(u *unit.Unit) error {
		place, err := records.GetMirror(u, m.target)
		if err != nil {
			return err
		}
		for _, r := range all {
			if r.sequence <= place.Sequence { // stored by a commit that was not heard of
				continue
			}
			if err := m.add(u, r); err != nil {
				return err
			}
		}
		place.Sequence = max(place.Sequence, last)
		return records.PutMirror(u, m.target, place)
	})
	if err != nil {
		return fmt.Errorf("store events up to %d: %w", last, err)
	}
	m.sequence.Store(last)
	return nil
}

// receive decodes a message. One that cannot be an event is told of.
func (s *session) receive(message js.Msg) (received, error) {
	meta, err := message.Metadata()
	if err != nil {
		return received{}, err
	}
	r := received{sequence: meta.Sequence.Stream}
	if size := len(message.Data()); size > maxMessage {
		err = fmt.Errorf("it has %d bytes, at most %d are allowed", size, maxMessage)
	} else {
		r.event, r.from, err = decode(message.Headers(), message.Data(), meta.Timestamp)
	}
	if err != nil {
		s.Log.Error("a message in JetStream cannot be taken and is left there", "resource", s.target, "stream", s.Address.Stream, "sequence", r.sequence, "error", err)
	}
	return r, nil
}

// add adds an event to its partition, unless it was stored before.
func (m *mirror) add(u *unit.Unit, r received) error {
	if r.event == nil {
		return nil
	}
	if r.from.origin != "" {
		fresh, err := records.Advance(u, m.target, r.from.origin, r.from.position)
		if err != nil || !fresh {
			return err
		}
	}
	if r.event.Key != "" {
		r.event.Partition = records.PartitionOf(r.event.Key, m.Partitions)
	} else {
		r.event.Partition = int(r.sequence % uint64(m.Partitions))
	}
	return records.AppendEvents(u, m.Stream, r.event)
}

// caughtUp implements reader.
func (m *mirror) caughtUp(ctx context.Context) (bool, error) {
	last, err := m.lastMessage(ctx)
	return err == nil && m.sequence.Load() >= last, err
}

// lastMessage returns the sequence number of the last message that is on the server; 0
// without one.
func (s *session) lastMessage(ctx context.Context) (uint64, error) {
	last, err := s.stream.GetLastMsgForSubject(ctx, s.Address.Subject)
	if errors.Is(err, js.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("last message: %w", err)
	}
	return last.Sequence, nil
}
