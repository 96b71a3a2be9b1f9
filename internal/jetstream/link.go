package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

// ErrUnfit: a stream or a consumer on the server cannot be used as it is. The text says
// why, and the mend.
var ErrUnfit = errors.New("perdure: JetStream stream cannot be used")

const (
	// minPause and maxPause bound the wait after a failure, which doubles.
	minPause, maxPause = time.Second, 30 * time.Second
	// attempts is how often a unit is run when it conflicts.
	attempts = 20
)

// Config is what a Link is made of.
type Config struct {
	Env       *unit.Env
	Committer unit.Committer
	// Watch is that of the store.
	Watch func(space byte) (changes <-chan struct{}, stop func())
	Clock clock.Clock
	Log   *slog.Logger
	// Address is where the stream or queue lives.
	Address *Address
	// Stream or Queue is the name of what lives there; the other one is empty.
	Stream, Queue string
	// SendOnly says that the queue has no function here, so nothing is taken.
	SendOnly bool
	// Partitions is how many the stream has.
	Partitions int
	// Age, unless 0, is how long the stream keeps events.
	Age time.Duration
	// Secret reads the secret that Address.Secret names, for each connection.
	Secret func(ctx context.Context, ref string) (string, error)
}

// target names the outbox, and what has been read.
func (c *Config) target() string {
	if c.Queue != "" {
		return records.QueueTarget(c.Queue)
	}
	return records.StreamTarget(c.Stream)
}

// Link ties a stream or a queue to JetStream. It is safe for concurrent use.
type Link struct {
	Config
	target string
	origin string // of what this store sends

	cancel context.CancelFunc
	done   chan struct{} // closed when it has stopped

	mu      sync.Mutex
	session *session      // nil without a connection
	resting int           // pauses after a failure
	changed chan struct{} // closed when something may have become idle
}

// New returns a link, which does nothing before Start.
func New(c Config) *Link {
	return &Link{Config: c, target: c.target(), done: make(chan struct{}), changed: make(chan struct{})}
}

// Target names the outbox of the link.
func (l *Link) Target() string { return l.target }

// Start connects, and makes what is missing on the server. A server that cannot be reached
// is tried again later; one whose stream cannot be used is an error (ErrUnfit).
func (l *Link) Start(ctx context.Context) error {
	err := l.unit(ctx, func(u *unit.Unit) (err error) {
		l.origin, err = records.OutboxOrigin(u, rand.Text())
		return err
	})
	if err != nil {
		return fmt.Errorf("jetstream: %s: %w", l.target, err)
	}
	first, err := l.connect(ctx)
	if errors.Is(err, ErrUnfit) {
		return fmt.Errorf("jetstream: %s: %w", l.target, err)
	}
	ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go l.run(ctx, first, err)
	return nil
}

// run keeps a session until ctx ends, beginning with one that is open or has failed to be.
func (l *Link) run(ctx context.Context, s *session, err error) {
	defer close(l.done)
	wait := backoff{link: l}
	for ctx.Err() == nil {
		if err == nil {
			wait.reset()
			l.Log.Info("connected to NATS", "resource", l.target, "address", l.Address.String())
			l.setSession(s)
			err = s.work(ctx)
			l.setSession(nil)
			s.close()
		}
		if ctx.Err() != nil {
			return
		}
		l.Log.Warn("NATS cannot be used for now; what is sent waits in the outbox",
			"resource", l.target, "address", l.Address.String(), "waiting", l.depth(), "error", err)
		if !wait.pause(ctx) {
			return
		}
		s, err = l.connect(ctx)
	}
	if err == nil { // the end came while it connected
		s.close()
	}
}

func (l *Link) setSession(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = s
	l.note()
}

// note tells those who wait that something has changed; the caller holds the mutex.
func (l *Link) note() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// noteChange is note for who does not hold the mutex.
func (l *Link) noteChange() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note()
}

// Stop ends the link. What waits in the outbox stays there.
func (l *Link) Stop(ctx context.Context) error {
	if l.cancel == nil {
		return nil // it was not started
	}
	l.cancel()
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("jetstream: %s: still busy: %w", l.target, context.Cause(ctx))
	}
}

// Idle waits until everything that was sent has arrived and everything that is on the
// server has been read, or nothing can be done before the next attempt.
func (l *Link) Idle(ctx context.Context) error {
	for {
		l.mu.Lock()
		session, resting, changed := l.session, l.resting > 0, l.changed
		l.mu.Unlock()
		if resting {
			return nil
		}
		if session != nil {
			idle, err := session.idle(ctx)
			if err != nil {
				return fmt.Errorf("jetstream: %s: %w", l.target, err)
			}
			if idle {
				return nil
			}
		}
		select {
		case <-changed:
		case <-l.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// State is what is known of a link.
type State struct {
	records.OutboxState
	// Connected says whether there is a connection to the server.
	Connected bool
}

// State returns what waits, and whether the server is there.
func (l *Link) State() (State, error) {
	l.mu.Lock()
	s := State{Connected: l.session != nil}
	l.mu.Unlock()
	snap, err := l.Env.Snapshot()
	if err != nil {
		return s, err
	}
	defer snap.Close()
	s.OutboxState, err = records.GetOutboxState(records.View{Reader: snap}, l.target)
	return s, err
}

// depth is how much waits, for the log.
func (l *Link) depth() uint64 {
	s, err := l.State()
	if err != nil {
		return 0
	}
	return s.Depth
}

// unit runs fn in a unit of work.
func (l *Link) unit(ctx context.Context, fn func(u *unit.Unit) error) error {
	return unit.Run(ctx, l.Env, l.Committer, attempts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return fn(u)
	})
}

// snapshot calls read with the present state.
func (l *Link) snapshot(read func(s store.Snapshot) error) error {
	snap, err := l.Env.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	return read(snap)
}

// backoff is the wait after failures in a row.
type backoff struct {
	link *Link
	next time.Duration
}

func (b *backoff) reset() { b.next = 0 }

// pause waits; false when ctx ends.
func (b *backoff) pause(ctx context.Context) bool {
	b.next = min(max(2*b.next, minPause), maxPause)
	over := make(chan struct{})
	b.link.rest(1)
	timer := b.link.Clock.AfterFunc(b.next, func() { // so that who moves the clock knows that it is over
		b.link.rest(-1)
		close(over)
	})
	select {
	case <-over:
		return true
	case <-ctx.Done():
		if timer.Stop() {
			b.link.rest(-1)
		}
		return false
	}
}

func (l *Link) rest(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resting += n
	l.note()
}
