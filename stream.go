package perdure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/stream"
)

// OnStream runs fn for each event of a stream, in the order of its key. In takes the
// event by a field tagged body, of type T or stream.Event[T]. Keys of bindings may use
// {stream.name}, {stream.partition}, {stream.position} and {stream.key}.
//
// The function reads all events, whatever else reads the stream, and remembers how far
// it has come under its name: two functions on one stream need a FunctionName each.
// Events that wait are handled several in one unit of work, each as if it were alone:
// what one writes, the next one sees. An event that fails is tried again by the Policy;
// meanwhile the later events of its key wait, and all others go on.
func OnStream[T, In, Out any](s *stream.Stream[T], fn func(context.Context, *In) (*Out, error), opts ...StreamOption) Part {
	return newStreamFunction(s, false, fn, opts)
}

// OnStreamBatch is OnStream for functions that handle several events of one partition at
// a time, in order and in one unit of work: the field tagged body has type []T or
// []stream.Event[T]. A batch that fails is tried again whole, by the Policy; meanwhile
// its partition waits, also behind a dead letter. Keys of bindings may use
// {stream.name}, {stream.partition} and {stream.position}, which is that of the first
// event.
func OnStreamBatch[T, In, Out any](s *stream.Stream[T], fn func(context.Context, *In) (*Out, error), opts ...StreamOption) Part {
	return newStreamFunction(s, true, fn, opts)
}

// StreamOption configures a function that a stream triggers: Policy, FunctionName, From,
// BatchSize and BatchWait are.
type StreamOption interface{ applyStream(*streamFunction) }

func (p Policy) applyStream(f *streamFunction)       { p.applyTrigger(&f.eventFunction) }
func (n FunctionName) applyStream(f *streamFunction) { n.applyTrigger(&f.eventFunction) }

// From says where a function begins to read a stream when an app first has it; by
// default with the first event that is kept. Later it goes on where it was.
func From(p stream.Place) StreamOption { return streamFrom{p} }

type streamFrom struct{ place stream.Place }

func (o streamFrom) applyStream(f *streamFunction) { f.from = o.place }

// BatchSize is how many events a batch has at most. Default 100.
type BatchSize int

func (n BatchSize) applyStream(f *streamFunction) { f.size = &n }

// BatchWait is how long a batch that is not full waits for more events. Default: it
// does not.
type BatchWait time.Duration

func (d BatchWait) applyStream(f *streamFunction) { f.wait = &d }

// streamFunction is a function that a stream triggers.
type streamFunction struct {
	eventFunction
	stream interface {
		resource.Resource
		Settings() stream.Settings
	}
	value, event reflect.Type // T and stream.Event[T]
	batch        bool
	from         stream.Place
	size         *BatchSize
	wait         *BatchWait
}

func newStreamFunction[T, In, Out any](s *stream.Stream[T], batch bool, fn func(context.Context, *In) (*Out, error), opts []StreamOption) *streamFunction {
	f := &streamFunction{
		eventFunction: newEventFunction("stream/"+s.ResourceName(), fn), stream: s, batch: batch,
		value: reflect.TypeFor[T](), event: reflect.TypeFor[stream.Event[T]](),
	}
	for _, o := range opts {
		o.applyStream(f)
	}
	return f
}

// The names that expressions may use.
var (
	batchMetadata  = []string{"stream.name", "stream.partition", "stream.position"}
	streamMetadata = append(batchMetadata[:3:3], "stream.key")
)

func (f *streamFunction) resources() []resource.Resource { return []resource.Resource{f.stream} }

func (f *streamFunction) register(r *running, env binding.Env) error {
	metadata := streamMetadata
	if f.batch {
		metadata = batchMetadata
	}
	plan, err := f.compile(env, nil, metadata)
	if err != nil {
		return err
	}
	whole, err := f.takes(plan.input.Body)
	if err != nil {
		return fmt.Errorf("function %s: %w", f.name, err)
	}
	g := consumer.Group{
		Function: f.name, Stream: f.stream.ResourceName(), Partitions: f.stream.Settings().Partitions,
		From: f.from, Policy: f.policy,
	}
	if f.batch {
		g.Batch, err = f.bounds()
		g.HandleBatch = func(ctx context.Context, batch []*consumer.Event) error {
			payload, err := batchPayload(batch, whole)
			if err != nil {
				return Permanent(err)
			}
			return plan.run(ctx, f.request(batch[0], payload))
		}
	} else {
		if f.size != nil || f.wait != nil {
			err = errors.New("BatchSize and BatchWait are for OnStreamBatch")
		}
		g.Handle = func(ctx context.Context, e *consumer.Event) error {
			payload, err := eventPayload(e, whole)
			if err != nil {
				return Permanent(err)
			}
			return plan.run(ctx, f.request(e, payload))
		}
	}
	if err != nil {
		return fmt.Errorf("function %s: %w", f.name, err)
	}
	if err := r.feeder.Register(g); errors.Is(err, delivery.ErrBadFunction) {
		return fmt.Errorf("%w; functions on one stream need a FunctionName each", err)
	} else if err != nil {
		return err
	}
	return nil
}

// takes reports whether the body is made of whole events, with key and position. The
// error says what it cannot be.
func (f *streamFunction) takes(body *binding.Body) (whole bool, err error) {
	if body == nil {
		return false, nil
	}
	switch t := body.Type; {
	case !f.batch && (t == reflect.SliceOf(f.value) || t == reflect.SliceOf(f.event)):
		return false, fmt.Errorf("the body is a %v, but events come one by one: use %v, or OnStreamBatch", t, f.value)
	case f.batch && (t == f.value || t == f.event):
		return false, fmt.Errorf("the body is a %v, but events come in batches: use []%[1]v, or OnStream", t)
	case t == f.event || t == reflect.SliceOf(f.event):
		return true, nil
	case foreign(t, f.value) || f.batch && t.Kind() == reflect.Slice && foreign(t.Elem(), f.value):
		return false, fmt.Errorf("the body is a %v: events of stream %q are of type %v, or of %v with position and key", t, f.stream.ResourceName(), f.value, f.event)
	default:
		return false, nil
	}
}

func (f *streamFunction) bounds() (consumer.Batch, error) {
	var b consumer.Batch
	if f.size != nil {
		if b.Size = int(*f.size); b.Size < 1 || b.Size > consumer.MaxBatch {
			return b, fmt.Errorf("BatchSize %d: want 1 to %d", b.Size, consumer.MaxBatch)
		}
	}
	if f.wait != nil {
		if b.Wait = time.Duration(*f.wait); b.Wait < 0 {
			return b, fmt.Errorf("BatchWait %v: want none or more", b.Wait)
		}
	}
	return b, nil
}

// request is what bindings see of an event, or of a batch that begins with it.
func (f *streamFunction) request(first *consumer.Event, payload []byte) *binding.Request {
	partition, position := strconv.Itoa(first.Partition), strconv.FormatUint(first.Position, 10)
	return binding.NewEvent(nil, map[string]string{
		"stream.name": f.stream.ResourceName(), "stream.partition": partition,
		"stream.position": position, "stream.key": first.Key,
	}, payload).From(f.name+"/"+partition+"/"+position, first.Headers)
}

// wholeEvent returns an event as stream.Event has it in JSON.
func wholeEvent(e *consumer.Event) stream.Event[json.RawMessage] {
	return stream.Event[json.RawMessage]{
		Value: e.Data, Key: e.Key, Headers: e.Headers, Time: e.Time, Partition: e.Partition, Position: e.Position,
	}
}

func eventPayload(e *consumer.Event, whole bool) ([]byte, error) {
	if !whole {
		return e.Data, nil
	}
	return json.Marshal(wholeEvent(e))
}

func batchPayload(batch []*consumer.Event, whole bool) ([]byte, error) {
	payload := []byte{'['}
	for i, e := range batch {
		one, err := eventPayload(e, whole)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			payload = append(payload, ',')
		}
		payload = append(payload, one...)
	}
	return append(payload, ']'), nil
}

// retainStreams says what is kept of the streams of the app.
func (r *running) retainStreams(resources map[string]resource.Resource) {
	for name, one := range resources {
		if s, ok := one.(interface{ Settings() stream.Settings }); ok {
			settings := s.Settings()
			r.feeder.Retain(consumer.Retention{Stream: name, Age: settings.Age, Bytes: settings.Bytes, Hard: settings.Hard})
		}
	}
}

// Streams manages the streams of an app and the functions that read them.
type Streams struct{ app *App }

// Streams manages the streams of the app. Its methods fail with ErrNotRunning while the
// app does not run.
func (a *App) Streams() Streams { return Streams{a} }

// StreamProgress is how far a function has come in a partition of a stream.
type StreamProgress = consumer.Progress

// ErrNoReader: no function of that name reads that stream.
var ErrNoReader = consumer.ErrNoGroup

// Progress returns how far each function has come in each partition of a stream; of all
// streams when it is empty. Events that failed, and wait for their next attempt or are
// dead letters, count as handled.
func (s Streams) Progress(name string) ([]StreamProgress, error) {
	r := s.app.running.Load()
	if r == nil {
		return nil, ErrNotRunning
	}
	return r.feeder.Progress(name)
}

// Replay lets a function read on from a place, in every partition of a stream: it
// handles again what it has handled before. It fails with ErrNoReader.
func (s Streams) Replay(ctx context.Context, name, function string, from stream.Place) error {
	r := s.app.running.Load()
	if r == nil {
		return ErrNotRunning
	}
	return r.feeder.Replay(ctx, records.Group{Stream: name, Function: function}, from)
}

// Forget removes what is known of a function that the app does not have any more, so
// that a stream keeps no events for it. It fails with ErrNoReader.
func (s Streams) Forget(ctx context.Context, name, function string) error {
	r := s.app.running.Load()
	if r == nil {
		return ErrNotRunning
	}
	return r.feeder.Forget(ctx, records.Group{Stream: name, Function: function})
}
