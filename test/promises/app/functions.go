package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/stream"
	"github.com/perdure/perdure/table"
)

// Event is what is sent: the Seq-th of a key, from 1 on.
type Event struct {
	Key string `json:"key"`
	Seq int    `json:"seq"`
}

func (e Event) key() string { return e.Key }

// Order is what was handled of a key in one place, in that order.
type Order struct {
	Seqs []int `json:"seqs"`
}

// Count is how often something took effect.
type Count struct {
	N int `json:"n"`
}

// Run is what a tick did.
type Run struct {
	Scheduled time.Time `json:"scheduled"`
	Last      time.Time `json:"last"`
	N         int       `json:"n"`
}

var (
	Jobs   = queue.Of[Event]("jobs", queue.OrderBy(Event.key))
	Facts  = stream.Of[Event]("facts", stream.Partitions(4), stream.KeyBy(Event.key))
	Seen   = table.Of[Order]("seen")   // PLACE/KEY
	Latest = table.Of[Event]("latest") // KEY
	Counts = table.Of[Count]("counts") // EFFECT/KEY-SEQ
	Ticks  = table.Of[Run]("ticks")    // TIMER/TIME

	Follow = durable.NewOrchestration[Event, Event]("Follow")
	Note   = durable.NewActivity[Event, Event]("Note")
)

type nothing struct{}

type acceptIn struct {
	Event Event `body:",strict"`
}

type acceptOut struct {
	Status int    `status:"202"`
	Job    *Event `bind:"jobs"`
	Fact   *Event `bind:"facts"`
}

// accept sends an event to the queue and to the stream.
func accept(_ context.Context, in *acceptIn) (*acceptOut, error) {
	return &acceptOut{Job: &in.Event, Fact: &in.Event}, nil
}

// see adds an event to what was handled of its key in a place.
func see(ctx context.Context, place string, e *Event) error {
	key := place + "/" + e.Key
	order, err := Seen.Get(ctx, key)
	if errors.Is(err, table.ErrNotFound) {
		order = &Order{}
	} else if err != nil {
		return err
	}
	order.Seqs = append(order.Seqs, e.Seq)
	return Seen.Put(ctx, key, order)
}

// count adds to how often something took effect.
func count(ctx context.Context, effect string, e *Event) error {
	key := fmt.Sprintf("%s/%s-%d", effect, e.Key, e.Seq)
	n, err := Counts.Get(ctx, key)
	if errors.Is(err, table.ErrNotFound) {
		n = &Count{}
	} else if err != nil {
		return err
	}
	n.N++
	return Counts.Put(ctx, key, n)
}

type eventIn struct {
	Event Event `body:""`
}

// handleJob writes before it asks: what a failed run has written must not be there.
func (d *dependency) handleJob(ctx context.Context, in *eventIn) (*nothing, error) {
	if err := see(ctx, "queue", &in.Event); err != nil {
		return nil, err
	}
	return nil, d.call("queue", &in.Event)
}

// handleFact changes the row of the key and starts an orchestration, whose id is made:
// one that is started twice shows.
func (d *dependency) handleFact(ctx context.Context, in *eventIn) (*nothing, error) {
	if err := see(ctx, "stream", &in.Event); err != nil {
		return nil, err
	}
	if err := Latest.Put(ctx, in.Event.Key, &in.Event); err != nil {
		return nil, err
	}
	if _, err := Follow.Start(ctx, in.Event); err != nil {
		return nil, err
	}
	return nil, d.call("stream", &in.Event)
}

type changeIn struct {
	Change table.Change[Event] `body:""`
}

// noteChange notes which row came after which.
func noteChange(ctx context.Context, in *changeIn) (*nothing, error) {
	if in.Change.New == nil {
		return nil, perdure.Permanent(errors.New("a row is gone that nobody deletes"))
	}
	return nil, see(ctx, "change", in.Change.New)
}

func follow(ctx *durable.Context, e Event) (Event, error) { return Note.Call(ctx, e) }

func note(ctx context.Context, e Event) (Event, error) { return e, count(ctx, "activity", &e) }

type endedIn struct {
	Ended perdure.Ended `body:""`
}

// noteEnd notes the end of the orchestration of an event, which is its result.
func noteEnd(ctx context.Context, in *endedIn) (*nothing, error) {
	if in.Ended.State != durable.Completed {
		return nil, perdure.Permanent(fmt.Errorf("instance %s is %s: %s", in.Ended.InstanceID, in.Ended.State, in.Ended.Failure))
	}
	var e Event
	if err := json.Unmarshal(in.Ended.Result, &e); err != nil {
		return nil, perdure.Permanent(err)
	}
	return nil, count(ctx, "ended", &e)
}

type tickIn struct {
	Tick perdure.Tick `body:""`
	Run  *Run         `bind:"ticks/{timer.name}/{timer.scheduled},optional"`
}

type tickOut struct {
	Run *Run `bind:"ticks/{timer.name}/{timer.scheduled}"`
}

func noteTick(_ context.Context, in *tickIn) (*tickOut, error) {
	run := Run{Scheduled: in.Tick.Scheduled, Last: in.Tick.Last, N: 1}
	if in.Run != nil {
		run.N += in.Run.N
	}
	return &tickOut{&run}, nil
}
