package mail

import (
	"context"
	"errors"
	"slices"

	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/queue"
)

// Outbox keeps messages until they are sent, which begins when the unit of work that wrote them
// has committed. It is a name and a queue under that name; perdure.OnQueue sends what is in it:
//
//	var Mails = mail.NewOutbox("mails")
//
//	app.Add(perdure.OnQueue(Mails.Queue(), Mails.Deliver(sender)))
//
// A field of what a function returns, of type Message, *Message or []Message, goes into it by
// the tag bind:"mails". An app that fills the outbox and lets another send adds Mails.Queue()
// alone. Its methods are safe for concurrent use.
type Outbox struct{ queue *queue.Queue[Message] }

// NewOutbox declares an outbox. The name is unique in an app over all resources; the options
// are those of a queue.
func NewOutbox(name string, options ...queue.Option) *Outbox {
	return &Outbox{queue.Of[Message](name, slices.Concat(options, []queue.Option{queue.Prepare(prepare)})...)}
}

// prepare gives a message its ID, before it is sent for the first time, and refuses one that
// could not be sent, where that can still be told.
func prepare(m Message) (Message, error) {
	if m.ID == "" {
		m.ID = NewID()
	}
	return m, m.Validate()
}

// Queue is what the messages are in: for perdure.OnQueue, and to look at them.
func (o *Outbox) Queue() *queue.Queue[Message] { return o.queue }

// Send puts a message into the outbox when the unit of ctx commits. It fails with ErrInvalid
// when the message could not be sent, and as a queue does. An Outbox is a Sender.
func (o *Outbox) Send(ctx context.Context, m *Message) error {
	if m == nil {
		return m.Validate()
	}
	return o.queue.Send(ctx, *m)
}

// Delivery is what a function of an outbox takes.
type Delivery struct {
	Message queue.Received[Message] `body:""`
}

// Deliver returns the function that sends what is in an outbox. A message that fails is tried
// again as the policy of OnQueue says, with the same ID; one that fails for good becomes a dead
// letter at once, with the reason. A process that dies after the server took a message, and
// before that is committed, sends it again.
func (o *Outbox) Deliver(sender Sender) func(context.Context, *Delivery) (*struct{}, error) {
	return func(ctx context.Context, d *Delivery) (*struct{}, error) {
		m := d.Message.Value
		if m.ID == "" {
			m.ID = d.Message.ID // from a dead letter that was mended, or another program
		}
		err := sender.Send(ctx, &m)
		if errors.Is(err, ErrPermanent) {
			err = delivery.Permanent(err)
		}
		return nil, err
	}
}

// Validate reports what is wrong with the declaration.
func (o *Outbox) Validate() error { return o.queue.Validate() }

var _ Sender = (*Outbox)(nil)
