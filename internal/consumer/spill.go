package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// The topics of deliveries that were events or batches of a stream, before its name.
const (
	eventTopic = "stream/"
	batchTopic = "stream-batch/"
)

// The headers of such a delivery that say where the event was.
const (
	partitionHeader = "stream-partition"
	positionHeader  = "stream-position"
)

// giveAway moves the cursor behind events, which become deliveries: one each, or one
// together in a group of batches. Cause is why they failed; nil when the process died
// over the first one.
func (r *runner) giveAway(events []*Event, cause error) verdict {
	there := false
	err := r.f.unit(context.WithoutCancel(r.f.base), func(u *unit.Unit) (err error) {
		if there, err = r.there(u); !there || err != nil {
			return err
		}
		if err := r.move(u, events); err != nil {
			return err
		}
		if r.g.HandleBatch != nil {
			return r.spillBatch(u, events, cause)
		}
		for _, e := range events {
			if err := r.spill(u, e, cause); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return r.pause(err)
	case there:
		r.moved(len(events))
		if cause != nil && r.g.pace.failed(r.f.Clock.Now(), cause) {
			r.f.Log.Warn("a function pauses after failures in a row", "function", r.g.Function, "for", r.g.pace.brake.Pause)
		}
	}
	return goOn
}

// spill makes a delivery of an event, in the lane of its key.
func (r *runner) spill(u *unit.Unit, e *Event, cause error) error {
	headers := map[string]string{}
	maps.Copy(headers, e.Headers)
	headers[partitionHeader] = strconv.Itoa(e.Partition)
	headers[positionHeader] = strconv.FormatUint(e.Position, 10)
	return r.deliver(u, e, &delivery.Delivery{
		Lane: e.Key, Topic: eventTopic + r.g.Stream, Event: e.Data, Headers: headers, EnqueuedAt: e.Time,
	}, cause)
}

// batchEvent is an event of a batch that failed, as people look at it.
type batchEvent struct {
	Position uint64            `json:"position"`
	Key      string            `json:"key,omitempty"`
	Time     time.Time         `json:"time"`
	Headers  map[string]string `json:"headers,omitempty"`
	Data     json.RawMessage   `json:"data"`
}

// spillBatch makes one delivery of a batch, in the lane of the partition.
func (r *runner) spillBatch(u *unit.Unit, events []*Event, cause error) error {
	batch := make([]batchEvent, len(events))
	for i, e := range events {
		batch[i] = batchEvent{Position: e.Position, Key: e.Key, Time: e.Time, Headers: e.Headers, Data: e.Data}
	}
	encoded, err := json.Marshal(batch)
	if err != nil {
		return fmt.Errorf("batch from position %d: %w", events[0].Position, err)
	}
	return r.deliver(u, events[0], &delivery.Delivery{
		Lane: r.lane(), Topic: batchTopic + r.g.Stream, Event: encoded, EnqueuedAt: events[0].Time,
		Headers: map[string]string{partitionHeader: strconv.Itoa(r.partition.Number)},
	}, cause)
}

// deliver hands a delivery that begins with event e to the dispatcher.
func (r *runner) deliver(u *unit.Unit, e *Event, d *delivery.Delivery, cause error) error {
	d.Function = r.g.Function
	if deaths := r.deaths[e.Position]; deaths > 0 {
		d.ProcessDeaths = deaths
		d.Fail(u.Now(), "the process died while it ran")
		if err := records.DeleteSuspect(u, r.g.id, e.Partition, e.Position); err != nil {
			return err
		}
	}
	return r.f.Dispatcher.Spill(u, d, cause)
}

// handleSpilled handles a delivery that was an event or batch of the stream. What was
// spilled by a release in which the function handled batches, or did not, is handled
// all the same.
func (g *group) handleSpilled(ctx context.Context, d *delivery.Delivery) error {
	events, err := unspill(d)
	if err != nil {
		return delivery.Permanent(err) // it reads the same each time
	}
	if g.HandleBatch != nil {
		return g.HandleBatch(ctx, events)
	}
	for _, e := range events {
		if err := g.Handle(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// unspill returns the events of a delivery.
func unspill(d *delivery.Delivery) ([]*Event, error) {
	partition, err := strconv.Atoi(d.Headers[partitionHeader])
	if err != nil {
		return nil, fmt.Errorf("header %s: %w", partitionHeader, err)
	}
	if strings.HasPrefix(d.Topic, batchTopic) {
		var batch []batchEvent
		if err := json.Unmarshal(d.Event, &batch); err != nil {
			return nil, fmt.Errorf("batch of a stream: %w", err)
		}
		if len(batch) == 0 {
			return nil, errors.New("batch of a stream: it is empty")
		}
		events := make([]*Event, len(batch))
		for i, e := range batch {
			events[i] = &Event{Partition: partition, Position: e.Position, Key: e.Key, Time: e.Time, Headers: e.Headers, Data: e.Data}
		}
		return events, nil
	}
	position, err := strconv.ParseUint(d.Headers[positionHeader], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("header %s: %w", positionHeader, err)
	}
	headers := maps.Clone(d.Headers)
	delete(headers, partitionHeader)
	delete(headers, positionHeader)
	return []*Event{{
		Partition: partition, Position: position, Key: d.Lane, Time: d.EnqueuedAt, Headers: headers, Data: d.Event,
	}}, nil
}
