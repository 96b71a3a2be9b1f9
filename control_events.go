package perdure

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/stream"
)

// maxPeekBytes is the size of messages after which a page of a queue ends early.
const maxPeekBytes = 4 << 20

// controlledQueues are the app's queues as they are managed.
type controlledQueues struct {
	r     *running
	names []string
}

// Queues implements control.Queues.
func (c controlledQueues) Queues(context.Context) ([]control.Queue, error) {
	snap, err := c.r.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	all := make([]control.Queue, len(c.names))
	for i, name := range c.names {
		all[i].Name = name
		if all[i].Depth, err = records.Depth(snap, records.QueuePrefix+name); err != nil {
			return nil, err
		}
		if all[i].Oldest, err = records.Oldest(snap, records.QueuePrefix+name, c.r.clock.Now()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Peek implements control.Queues.
func (c controlledQueues) Peek(_ context.Context, name, cursor string, limit int) (page control.Page[control.Message], err error) {
	if err := known("queue", c.names, name); err != nil {
		return page, err
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return page, records.ErrCursor
	}
	snap, err := c.r.store.Snapshot()
	if err != nil {
		return page, err
	}
	defer snap.Close()
	page.Items = []control.Message{}
	var last []byte
	size := 0
	err = records.ListDeliveries(snap, records.QueuePrefix+name, after, func(d *records.Delivery, at []byte) bool {
		if len(page.Items) == limit || size >= maxPeekBytes {
			page.Next = base64.RawURLEncoding.EncodeToString(last)
			return false
		}
		page.Items = append(page.Items, control.Message{
			ID: d.ID.String(), Key: d.Lane, Enqueued: d.EnqueuedAt, Due: d.NextAttempt, Attempts: d.Attempts, Body: d.Event,
		})
		size += len(d.Event)
		last = at
		return true
	})
	return page, err
}

// Purge implements control.Queues.
func (c controlledQueues) Purge(ctx context.Context, name string) (total int64, err error) {
	if err := known("queue", c.names, name); err != nil {
		return 0, err
	}
	for n := queue.MaxPurge; n == queue.MaxPurge; total += int64(n) {
		err := c.r.unit(ctx, func(u *unit.Unit) error {
			n, err = records.PurgeDeliveries(u, records.QueuePrefix+name, queue.MaxPurge)
			return err
		})
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// declaredStream is a stream with what was declared of it.
type declaredStream interface {
	resource.Resource
	Settings() stream.Settings
}

// controlledStreams are the app's streams as they are managed.
type controlledStreams struct {
	r       *running
	streams []declaredStream
}

// streamsOf returns the streams of an app, in the order of their names.
func streamsOf(p *parts) []declaredStream {
	var all []declaredStream
	for _, name := range resourcesOf(p, "stream") {
		if s, ok := p.resources[name].(declaredStream); ok {
			all = append(all, s)
		}
	}
	return all
}

// Streams implements control.Streams.
func (c controlledStreams) Streams(context.Context) ([]control.Stream, error) {
	snap, err := c.r.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	view := records.View{Reader: snap}
	var all []control.Stream
	for _, s := range c.streams {
		one := control.Stream{Name: s.ResourceName(), Groups: []control.Group{}}
		for n := range s.Settings().Partitions {
			state, err := records.GetStreamState(view, records.Partition{Stream: one.Name, Number: n})
			if err != nil {
				return nil, err
			}
			one.Partitions = append(one.Partitions, control.Partition{Number: n, First: state.First, Last: state.Last})
		}
		if err := c.groups(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// groups fills in who reads a stream.
func (c controlledStreams) groups(s *control.Stream) error {
	progress, err := c.r.feeder.Progress(s.Name)
	if err != nil {
		return err
	}
	for _, p := range progress { // in the order of functions
		if n := len(s.Groups); n == 0 || s.Groups[n-1].Name != p.Function {
			s.Groups = append(s.Groups, control.Group{Name: p.Function, Positions: make([]uint64, len(s.Partitions))})
		}
		g := &s.Groups[len(s.Groups)-1]
		g.Lag += uint64(max(p.Lag, 0))
		if p.Partition < len(g.Positions) {
			g.Positions[p.Partition] = p.Position
		}
	}
	return nil
}

// Replay implements control.Streams.
func (c controlledStreams) Replay(ctx context.Context, name string, replay control.Replay) error {
	from := stream.FromPosition(replay.Position)
	if !replay.Time.IsZero() {
		from = stream.FromTime(replay.Time)
	}
	err := c.r.feeder.Replay(ctx, records.Group{Stream: name, Function: replay.Group}, from)
	if errors.Is(err, ErrNoReader) {
		return NewProblem(http.StatusNotFound, err.Error())
	}
	return err
}
