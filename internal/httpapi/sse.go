package httpapi

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/clock"
)

const (
	// keepAlive is after how long without an event a comment is sent: proxies end
	// connections that are silent.
	keepAlive = 15 * time.Second
	// writeTimeout bounds how long a client may take to accept an event.
	writeTimeout = 30 * time.Second
)

// streamContext returns the context of a request whose answer may go on for ever: it ends
// when the client leaves, and when the app stops.
func (rt *route) streamContext(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	if rt.cfg.Closing == nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(rt.cfg.Closing, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// sendEvents sends the events of an answer until they end, or ctx does.
func (rt *route) sendEvents(ctx context.Context, w http.ResponseWriter, res *binding.Response) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for name, lines := range res.Header {
		w.Header()[name] = lines
	}
	if res.Header.Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Header().Set("X-Accel-Buffering", "no") // or a proxy in front keeps events back
	w.WriteHeader(res.Status)
	s := &eventStream{w: w, control: http.NewResponseController(w), clock: rt.cfg.clock(), last: rt.cfg.clock().Now()}
	if err := s.control.Flush(); err != nil {
		return err
	}
	var alive sync.WaitGroup
	alive.Go(func() {
		if s.keepAlive(ctx) != nil {
			cancel()
		}
	})
	defer alive.Wait()
	defer cancel()
	for event, err := range res.Events {
		if err == nil && ctx.Err() == nil {
			err = s.send(event)
		}
		if ctx.Err() != nil {
			return nil // the client is gone, or the app stops
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eventStream writes events to a connection.
type eventStream struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
	clock   clock.Clock
	last    time.Time // when something was sent
	buffer  []byte
}

// send sends an event at once.
func (s *eventStream) send(event binding.ServerSentEvent) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buffer, err = event.Append(s.buffer[:0]); err != nil {
		return err
	}
	s.last = s.clock.Now()
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where it cannot be set there is no connection
	if _, err := s.w.Write(s.buffer); err != nil {
		return err
	}
	return s.control.Flush()
}

// keepAlive sends comments while there are no events, until ctx ends or the connection
// is broken.
func (s *eventStream) keepAlive(ctx context.Context) error {
	t := s.clock.NewTimer(keepAlive)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C():
		}
		if wait := keepAlive - s.silence(); wait > 0 {
			t.Reset(wait)
			continue
		}
		if err := s.send(binding.ServerSentEvent{Comment: "keep-alive"}); err != nil {
			return err
		}
		t.Reset(keepAlive)
	}
}

// silence is how long nothing was sent.
func (s *eventStream) silence() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.Now().Sub(s.last)
}
