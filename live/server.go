package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// Config is what an endpoint needs of the app it is part of.
type Config struct {
	Env   *unit.Env
	Store store.Store
	Clock clock.Clock
	Log   *slog.Logger
	// TrustedOrigins are those of other sites whose pages may connect.
	TrustedOrigins []string
	// Refuse answers a request that is not served. The error is one of those
	// below or of a Filter.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
}

// Why a request is refused.
var (
	// ErrOrigin: it is sent by a page of another site.
	ErrOrigin = errors.New("live: a page of another site")
	// ErrFull: as many are connected as may be, or the app stops.
	ErrFull = errors.New("live: too many subscribers")
)

// Server is an endpoint of a running app.
type Server struct {
	endpoint *Endpoint
	name     string // the table's
	env      *unit.Env
	store    store.Store
	clock    clock.Clock
	log      *slog.Logger
	refuse   func(http.ResponseWriter, *http.Request, error)
	origin   *http.CrossOriginProtection
	hub      *hub
	reading  chan struct{} // holds one for each client that is sent a snapshot
	reader   sync.WaitGroup
	cancel   context.CancelFunc

	mu      sync.Mutex
	clients int
	gone    chan struct{} // closed when the last client has left after End; nil before End
	ending  chan struct{} // closed by End
}

// Open makes the endpoint ready to serve an app.
func (e *Endpoint) Open(c Config) (*Server, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	s := &Server{
		endpoint: e, name: e.table.ResourceName(),
		env: c.Env, store: c.Store, clock: c.Clock, log: c.Log, refuse: c.Refuse,
		origin: http.NewCrossOriginProtection(), ending: make(chan struct{}), reading: make(chan struct{}, maxSnapshots),
	}
	s.hub = &hub{s: s, subscribers: map[*subscriber]struct{}{}}
	for _, trusted := range c.TrustedOrigins {
		if err := s.origin.AddTrustedOrigin(trusted); err != nil {
			return nil, fmt.Errorf("trusted origin %q: %w", trusted, err)
		}
	}
	return s, nil
}

// Start begins to read the change feed.
func (s *Server) Start(ctx context.Context) error {
	ctx, s.cancel = context.WithCancel(ctx)
	changes, stop := s.store.Watch(records.StreamSpace)
	s.reader.Go(func() {
		defer stop()
		s.hub.run(ctx, changes)
	})
	return nil
}

// End tells the clients that the server stops, and takes no more. It does not wait.
func (s *Server) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil {
		return
	}
	s.gone = make(chan struct{})
	close(s.ending)
	if s.clients == 0 {
		close(s.gone)
	}
}

// Stop ends the server and waits until its clients are gone or ctx is done.
func (s *Server) Stop(ctx context.Context) error {
	s.End()
	var err error
	select {
	case <-s.gone:
	case <-ctx.Done():
		err = fmt.Errorf("live endpoint %q: clients are still connected: %w", s.endpoint.pattern, context.Cause(ctx))
	}
	if s.cancel != nil {
		s.cancel()
		s.reader.Wait()
	}
	return err
}

// Idle returns at once: an endpoint causes no work.
func (s *Server) Idle(context.Context) error { return nil }

// enter counts a client; false if there are too many.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil || s.clients >= s.endpoint.subscribers {
		return false
	}
	s.clients++
	return true
}

func (s *Server) exit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients--
	if s.gone != nil && s.clients == 0 {
		close(s.gone)
	}
}

// ServeHTTP serves one client until it leaves.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A handshake for a WebSocket is a GET, and a browser lets every page send
	// one: what changes nothing elsewhere is checked here as if it did.
	unsafe := *r
	unsafe.Method = http.MethodPost
	if err := s.origin.Check(&unsafe); err != nil {
		s.refuse(w, r, fmt.Errorf("%w: %w", ErrOrigin, err))
		return
	}
	if !s.enter() {
		w.Header().Set("Retry-After", "5")
		s.refuse(w, r, ErrFull)
		return
	}
	defer s.exit()
	v, err := s.view(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	t, ok := s.accept(w, r)
	if !ok {
		return
	}
	c := &client{s: s, view: v, transport: t, id: resumeID(r)}
	why := errUnexpected
	defer func() { t.close(why) }() // also when a filter panics
	if why = c.run(); why != nil {
		s.log.Debug("a live client is disconnected", "endpoint", s.endpoint.pattern, "error", why)
	}
}

// view returns what a request may see.
func (s *Server) view(r *http.Request) (v view, err error) {
	if s.endpoint.filter != nil {
		if v.shows, err = s.endpoint.filter(r); err != nil {
			return v, err
		}
	}
	if s.endpoint.partition != nil {
		partition, err := s.endpoint.partition(r)
		if err != nil {
			return v, err
		}
		v.partition = &partition
	}
	return v, nil
}

// resumeID returns the id that a client goes on from. A browser's EventSource that
// connects again sends the header, and keeps the parameter of its first request.
func resumeID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return r.URL.Query().Get("resume")
}

// wait waits, unless ctx ends before.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	timer := s.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-ctx.Done():
		return false
	}
}
