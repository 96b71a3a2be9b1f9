package perdure

import (
	"context"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

const (
	// sweepRows bounds the expired rows removed in one unit.
	sweepRows = 256
	// sweepAgain is how long the sweeper waits after a failure.
	sweepAgain = time.Second
	// sweepLook is how long it waits at most: a machine that was asleep does not
	// count that time for its timers.
	sweepLook = 10 * time.Minute
)

// sweeper removes rows that have expired: at the start, and whenever the first one of
// those that are left is due.
type sweeper struct {
	r    *running
	wake chan struct{} // holds one signal
	done sync.WaitGroup

	mu      sync.Mutex
	cancel  context.CancelFunc // nil while it does not work
	timer   clock.Timer
	due     time.Time       // when the timer fires; zero while it is not set
	pending bool            // there may be rows to remove now
	idle    []chan struct{} // closed when there are none
}

// removeExpiredRows lets a sweeper work beside the app.
func (r *running) removeExpiredRows() {
	s := &sweeper{r: r, wake: make(chan struct{}, 1)}
	r.env.RowExpires = s.expires
	r.services = append(r.services, s)
}

func (s *sweeper) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
	s.ring()
	s.done.Go(func() { s.run(ctx) })
	return nil
}

func (s *sweeper) Stop(context.Context) error {
	s.mu.Lock()
	cancel := s.cancel
	s.cancel = nil
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		s.done.Wait() // at most for the commit of one batch
	}
	return nil
}

func (s *sweeper) Idle(ctx context.Context) error {
	s.mu.Lock()
	if !s.pending || s.cancel == nil {
		s.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	s.idle = append(s.idle, idle)
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// expires notes when a row that was committed expires.
func (s *sweeper) expires(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil { // else Start looks for itself
		s.set(at)
	}
}

// set makes sure that the rows due at a time are removed then. The caller holds the
// mutex.
func (s *sweeper) set(at time.Time) {
	if !s.due.IsZero() && !at.Before(s.due) {
		return
	}
	now := s.r.clock.Now()
	wait := min(at.Sub(now), sweepLook)
	switch {
	case wait <= 0:
		s.ring()
		return
	case s.timer == nil:
		s.timer = s.r.clock.AfterFunc(wait, s.fire)
	default:
		s.timer.Reset(wait)
	}
	s.due = now.Add(wait)
}

func (s *sweeper) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = time.Time{}
	s.ring()
}

// ring has run look for rows. The caller holds the mutex.
func (s *sweeper) ring() {
	s.pending = true
	select {
	case s.wake <- struct{}{}:
	default: // one signal is enough
	}
}

func (s *sweeper) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			s.rest()
			s.mu.Unlock()
			return
		case <-s.wake:
		}
		next, err := s.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			s.r.config.Logger.Error("expired rows could not be removed", "error", err)
			next = s.r.clock.Now().Add(sweepAgain)
		}
		s.mu.Lock()
		if s.cancel != nil && !next.IsZero() {
			s.set(next)
		}
		if len(s.wake) == 0 {
			s.rest()
		}
		s.mu.Unlock()
	}
}

// rest tells those who wait in Idle that there is nothing to do. The caller holds the
// mutex.
func (s *sweeper) rest() {
	s.pending = false
	for _, idle := range s.idle {
		close(idle)
	}
	s.idle = nil
}

// sweep removes what has expired, and returns when the next row does; the zero time
// if none does.
func (s *sweeper) sweep(ctx context.Context) (next time.Time, err error) {
	for more := true; more; {
		err := unit.Run(ctx, s.r.env, s.r.committer, unitAttempts, func(ctx context.Context) error {
			u, err := unit.From(ctx)
			if err != nil {
				return err
			}
			more, err = records.ExpireRows(u, u.Now(), sweepRows)
			return err
		})
		if err != nil {
			return time.Time{}, err
		}
	}
	snap, err := s.r.store.Snapshot()
	if err != nil {
		return time.Time{}, err
	}
	defer snap.Close()
	next, _, err = records.NextExpiry(snap)
	return next, err
}
