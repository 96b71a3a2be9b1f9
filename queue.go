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
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/queue"
)

// queueFunction is the function of a queue.
type queueFunction struct {
	eventFunction
	queue    resource.Resource
	own      string       // the name that its messages are stored under
	value    reflect.Type // T
	received reflect.Type // queue.Received[T]
}

// OnQueue runs fn for each message of a queue. In takes the message by a field tagged
// body, of type T or queue.Received[T]. Keys of bindings may use {queue.name},
// {queue.id}, {queue.key}, {queue.attempt} and {queue.enqueued}. Each message is handled
// in one unit of work, whose commit removes it.
//
// A queue has one function in an app, whose name in lists of dead letters is "queue/" and
// that of the queue; a FunctionName is refused. For several functions on the same events
// use a stream.
func OnQueue[T, In, Out any](q *queue.Queue[T], fn func(context.Context, *In) (*Out, error), opts ...TriggerOption) Part {
	own := records.QueuePrefix + q.ResourceName()
	return &queueFunction{
		eventFunction: newEventFunction(own, fn, opts...), queue: q, own: own,
		value: reflect.TypeFor[T](), received: reflect.TypeFor[queue.Received[T]](),
	}
}

// queueMetadata are the names that expressions may use.
var queueMetadata = []string{"queue.name", "queue.id", "queue.key", "queue.attempt", "queue.enqueued"}

func (f *queueFunction) resources() []resource.Resource { return []resource.Resource{f.queue} }

func (f *queueFunction) register(r *running, env binding.Env) error {
	if f.name != f.own {
		return fmt.Errorf("function %s: the function of a queue is named by the queue, %q: leave FunctionName out", f.name, f.own)
	}
	plan, err := f.compile(env, nil, queueMetadata)
	if err != nil {
		return err
	}
	whole, err := f.takes(plan.input.Body)
	if err != nil {
		return fmt.Errorf("function %s: %w", f.name, err)
	}
	err = r.dispatcher.Register(delivery.Function{
		Name: f.name, Policy: f.policy,
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			payload, err := queuePayload(d, whole)
			if err != nil {
				return Permanent(err)
			}
			return plan.run(ctx, f.request(d, payload))
		},
	})
	if errors.Is(err, delivery.ErrNameTaken) {
		return fmt.Errorf("queue %q has two functions: one handles its messages; for several use a stream", f.queue.ResourceName())
	}
	return err
}

// takes reports whether the body is a whole message, with id and key. The error says what
// it cannot be.
func (f *queueFunction) takes(body *binding.Body) (whole bool, err error) {
	if body == nil {
		return false, nil
	}
	t := body.Type
	if foreign(t, f.value) && t != f.received {
		return false, fmt.Errorf("the body is a %v: messages of queue %q are of type %v; use that or %v", t, f.queue.ResourceName(), f.value, f.received)
	}
	return t == f.received, nil
}

// request is what bindings see of a message.
func (f *queueFunction) request(d *delivery.Delivery, payload []byte) *binding.Request {
	id := d.ID.String()
	return binding.NewEvent(nil, map[string]string{
		"queue.name": f.queue.ResourceName(), "queue.id": id, "queue.key": d.Lane,
		"queue.attempt":  strconv.Itoa(d.Attempts + 1),
		"queue.enqueued": d.EnqueuedAt.UTC().Format(time.RFC3339Nano),
	}, payload).From(f.name+"/"+id, d.Headers)
}

// queuePayload returns what the body of In is read from.
func queuePayload(d *delivery.Delivery, whole bool) ([]byte, error) {
	if !whole {
		return d.Event, nil
	}
	return json.Marshal(queue.Received[json.RawMessage]{
		Value: d.Event, ID: d.ID.String(), Key: d.Lane, Priority: int(d.Priority), Attempt: d.Attempts + 1,
		Enqueued: d.EnqueuedAt, Headers: d.Headers,
	})
}
