package control

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Queues are the queues of an app.
type Queues interface {
	// Queues returns all of them.
	Queues(ctx context.Context) ([]Queue, error)
	// Peek returns up to limit messages, those that come first before others, from
	// cursor on. The bodies are as they were sent.
	Peek(ctx context.Context, queue, cursor string, limit int) (Page[Message], error)
	// Purge removes all messages and says how many there were.
	Purge(ctx context.Context, queue string) (int64, error)
}

// Queue is a queue of the app.
type Queue struct {
	Name string `json:"name"`
	// Depth is how many messages it has.
	Depth int64 `json:"depth"`
	// Oldest is when the oldest of them was sent; zero without one.
	Oldest time.Time `json:"oldest,omitzero"`
}

// Message is a message of a queue.
type Message struct {
	ID       string    `json:"id"`
	Key      string    `json:"key,omitempty"`
	Enqueued time.Time `json:"enqueued"`
	// Due, unless zero, is when it is handled at the earliest.
	Due      time.Time `json:"due,omitzero"`
	Attempts int       `json:"attempts"`
	// Body is masked unless it was to be revealed.
	Body json.RawMessage `json:"body,omitempty"`
}

// Purged says how many messages were removed.
type Purged struct {
	Count int64 `json:"count"`
}

func (s *server) routeQueues() {
	s.handle("GET queues", func(r *http.Request) (any, error) {
		if err := readQuery(r).done(); err != nil {
			return nil, err
		}
		return all(s.Queues.Queues(r.Context()))
	})
	s.handle("GET queues/{queue}/messages", s.peek)
	s.handle("DELETE queues/{queue}/messages", func(r *http.Request) (any, error) {
		n, err := s.Queues.Purge(r.Context(), named(r, "queue"))
		return Purged{n}, err
	})
}

func (s *server) peek(r *http.Request) (any, error) {
	q := readQuery(r)
	cursor, limit, reveal := q.text("cursor"), q.limit(), q.flag("reveal")
	if err := q.done(); err != nil {
		return nil, err
	}
	page, err := s.Queues.Peek(r.Context(), named(r, "queue"), cursor, limit)
	if err != nil {
		return nil, err
	}
	for i := range page.Items {
		m := &page.Items[i]
		if !reveal || !json.Valid(m.Body) {
			m.Body = Mask(m.Body)
		}
	}
	return page, nil
}
