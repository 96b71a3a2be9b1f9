package pgidentity

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/clock"
)

const (
	// fetchTime is how long it may take to get a certificate.
	fetchTime = 30 * time.Second
	// minAge is how old a certificate is at least that is replaced because a login by it has failed: what fails may have other causes.
	minAge = 2 * time.Second
	// The time between attempts to renew one that is still good, after one has failed.
	minRetry, maxRetry = 100 * time.Millisecond, 15 * time.Second
)

// keeper keeps a certificate of a source. After two thirds of its life, somewhat earlier by chance so that not all programs ask at
// once, the next use begins to renew it, and goes on with the old one as long as that is good. However many ask, there is one
// request at a time. It has no goroutine while nobody asks.
type keeper struct {
	source Source
	server string
	clock  clock.Clock

	mu      sync.Mutex
	current *Certificate
	since   time.Time // when it was asked for
	until   time.Time // when it is not used any more
	renew   time.Time // when it is to be renewed
	running *fetch
}

// fetch is a request for a certificate.
type fetch struct {
	done chan struct{}
	cert *Certificate
	err  error
}

// get returns a certificate that is good. It waits for one if there is none.
func (k *keeper) get(ctx context.Context) (*Certificate, error) {
	k.mu.Lock()
	now := k.clock.Now()
	current := k.current
	if current != nil && !now.Before(k.until) {
		current = nil
	}
	running := k.running
	if running == nil && (current == nil || !now.Before(k.renew)) {
		running = &fetch{done: make(chan struct{})}
		k.running = running
		go k.fetch(running)
	}
	k.mu.Unlock()
	if current != nil {
		return current, nil
	}
	select {
	case <-running.done:
		return running.cert, running.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// failed notes that a login by a certificate has failed: it may have been revoked, so the next login asks for another one.
func (k *keeper) failed(c *Certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == c && !k.clock.Now().Before(k.since.Add(minAge)) {
		k.current = nil
	}
}

// fetch gets a certificate. Whoever asked first may have left: it has a deadline of its own.
func (k *keeper) fetch(f *fetch) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	asked := k.clock.Now()
	f.cert, f.err = k.source.Certificate(ctx, k.server)
	k.mu.Lock()
	defer k.mu.Unlock()
	defer close(f.done)
	k.running = nil
	now := k.clock.Now()
	if f.err != nil {
		k.renew = now.Add(min(max(k.until.Sub(now)/10, minRetry), maxRetry))
		return
	}
	life := f.cert.NotAfter.Sub(asked)
	k.current, k.since = f.cert, asked
	k.renew = asked.Add(life * 2 / 3).Add(-time.Duration(rand.Float64() * float64(life) / 10))
	k.until = f.cert.NotAfter.Add(-min(life/20, 5*time.Second)) // a login takes a moment
}
