package queue

import (
	"errors"
	"fmt"
	"time"
)

// Option configures a queue.
type Option interface{ apply(*config) }

type config struct {
	orderBy any // func(T) string
	dedupID any // func(T) string
	window  time.Duration
	prepare any // func(T) (T, error)
	errs    []error
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

// OrderBy puts the messages of one key in order: they are handled one after another, as
// they were sent, while those of other keys go on. The empty key stands for no order.
func OrderBy[T any](key func(T) string) Option {
	return option(func(c *config) {
		if key == nil {
			c.errs = append(c.errs, errors.New("OrderBy has no function"))
			return
		}
		c.orderBy = key
	})
}

// Deduplicate accepts and drops a message when one with the same id was sent less than
// window before, whether that has been handled or not. A message for which id returns
// "" is not compared. Id may be nil, when senders give a DedupID.
func Deduplicate[T any](id func(T) string, window time.Duration) Option {
	return option(func(c *config) {
		if window <= 0 || window > MaxWindow {
			c.errs = append(c.errs, fmt.Errorf("Deduplicate has a window of %v; want more than 0, up to %v", window, MaxWindow))
		}
		c.window = window
		if id != nil {
			c.dedupID = id
		}
	})
}

// Prepare completes and checks each message before it is stored, however it is sent. The
// other functions of the declaration see what it returns. Its error refuses the message, and
// is that of Send.
func Prepare[T any](prepare func(T) (T, error)) Option {
	return option(func(c *config) {
		if prepare == nil {
			c.errs = append(c.errs, errors.New("Prepare has no function"))
			return
		}
		c.prepare = prepare
	})
}

// SendOption says how messages are sent.
type SendOption interface{ applySend(*sending) }

type sending struct {
	key, dedupID string
	delay        time.Duration
	priority     int
	headers      map[string]string
}

type sendOption func(*sending)

func (o sendOption) applySend(s *sending) { o(s) }

// Delay lets messages wait before they are handled first. In the order of its key a
// message takes the place that it would have if it were sent when it is due.
func Delay(d time.Duration) SendOption { return sendOption(func(s *sending) { s.delay = d }) }

// Priority is 0 to MaxPriority; messages of greater ones are handled first. Within a key
// it changes nothing.
func Priority(n int) SendOption { return sendOption(func(s *sending) { s.priority = n }) }

// Key puts messages in order with the others of a key, in place of what OrderBy says.
func Key(key string) SendOption { return sendOption(func(s *sending) { s.key = key }) }

// DedupID is the id by which Deduplicate knows a message, in place of the one that it
// makes.
func DedupID(id string) SendOption { return sendOption(func(s *sending) { s.dedupID = id }) }

// Headers is what travels with messages.
func Headers(headers map[string]string) SendOption {
	return sendOption(func(s *sending) { s.headers = headers })
}
