package auth

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// An answer that does not say for how long it is fresh is so for freshKeys. What it says counts within
	// the bounds: a key that the issuer removed is refused within maxFresh.
	freshKeys = 15 * time.Minute
	minFresh  = time.Minute
	maxFresh  = time.Hour

	// keepDiscovery is for how long the place of the keys is taken as known.
	keepDiscovery = 24 * time.Hour

	// After a failure the issuer is left alone for firstPause, and for twice as long after each further one, up to maxPause.
	firstPause = time.Second
	maxPause   = time.Minute

	// A token with a key that is not known makes the keys be fetched: extraFetches at once, and one more in each extraEvery.
	// So a new key is good at once, and tokens with invented keys cannot load the issuer.
	extraFetches = 3
	extraEvery   = 10 * time.Second
)

// remoteKeys is a KeySource that fetches an issuer's keys and keeps them.
type remoteKeys struct {
	config  VerifierConfig
	fetcher *fetcher

	current atomic.Pointer[fetchedKeys]

	mu       sync.Mutex
	running  *fetch // nil when none runs
	failures int    // since the last success
	retryAt  time.Time
	lastErr  error
	extra    float64 // fetches for unknown keys that may be made
	extraAt  time.Time
	jwksURL  string // as discovered; empty to discover it again
	foundAt  time.Time
}

// fetchedKeys are keys as they were at a time. From renew on they are fetched again, from stale on before
// they are used; they are not used from dead on.
type fetchedKeys struct {
	*keySet
	renew, stale, dead time.Time
}

// fetch is one round trip to the issuer, which all share who need it.
type fetch struct {
	done chan struct{}
	err  error // when done
}

func newRemoteKeys(c VerifierConfig) (*remoteKeys, error) {
	address := c.JWKSURL
	if address == "" {
		var err error
		if address, err = discoveryURL(c.Issuer); err != nil {
			return nil, err
		}
	}
	if err := checkURL(address, c.AllowHTTP); err != nil {
		return nil, err
	}
	return &remoteKeys{config: c, fetcher: newFetcher(c), extra: extraFetches, extraAt: c.Now()}, nil
}

// Keys implements KeySource.
func (r *remoteKeys) Keys(ctx context.Context, kid string) ([]Key, error) {
	now := r.config.Now()
	if set := r.current.Load(); set != nil && now.Before(set.renew) {
		if keys := set.get(kid); keys != nil {
			return keys, nil
		}
	}
	running, err := r.plan(kid, now)
	if running != nil {
		select {
		case <-running.done:
			err = running.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	// Whatever became of the fetch: keys that are still good are used.
	if set := r.current.Load(); set != nil && now.Before(set.dead) {
		if keys := set.get(kid); keys != nil {
			return keys, nil
		}
	}
	return nil, err
}

// plan decides whether to fetch, and returns the fetch to wait for; nil for none. The error is what is
// known without it.
func (r *remoteKeys) plan(kid string, now time.Time) (*fetch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.current.Load()
	usable := set != nil && now.Before(set.dead)
	known := usable && set.get(kid) != nil
	resting := now.Before(r.retryAt) // after a failure
	switch {
	case known && (now.Before(set.stale) || r.failures > 0):
		// Nobody waits: the keys are fresh, or it is known that the issuer may be long in answering.
		if !now.Before(set.renew) && !resting {
			r.start()
		}
		return nil, nil
	case r.running != nil:
		return r.running, nil
	case resting:
		return nil, r.lastErr
	case usable && !known && now.Before(set.stale) && !r.takeExtra(now):
		return nil, nil // the issuer has no such key, as far as is known
	}
	return r.start(), nil
}

// takeExtra reports whether the keys may be fetched for one that is unknown.
func (r *remoteKeys) takeExtra(now time.Time) bool {
	r.extra = min(extraFetches, r.extra+max(0, now.Sub(r.extraAt).Seconds()/extraEvery.Seconds()))
	r.extraAt = now
	if r.extra < 1 {
		return false
	}
	r.extra--
	return true
}

// start fetches the keys on a goroutine of its own, unless that is being done. It outlives who asked for it.
func (r *remoteKeys) start() *fetch {
	if r.running != nil {
		return r.running
	}
	running := &fetch{done: make(chan struct{})}
	r.running = running
	go func() {
		set, err := r.fetch()
		r.finish(running, set, err)
	}()
	return running
}

// finish takes over what was fetched.
func (r *remoteKeys) finish(running *fetch, set *fetchedKeys, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(running.done)
	r.running = nil
	before := r.current.Load()
	if err == nil {
		r.failures, r.retryAt, r.lastErr = 0, time.Time{}, nil
		r.current.Store(set)
		r.logChange(before, set)
		return
	}
	running.err = err
	pause := min(maxPause, firstPause<<min(r.failures, 10))
	r.failures++
	r.retryAt, r.lastErr = r.config.Now().Add(pause), err
	r.jwksURL = "" // it may have moved
	level, good := slog.LevelError, time.Time{}
	if before != nil && r.config.Now().Before(before.dead) {
		level, good = slog.LevelWarn, before.dead
	}
	r.config.Log.Log(context.Background(), level, "the keys of the issuer cannot be fetched",
		"issuer", r.config.Issuer, "err", err, "failures", r.failures, "old_keys_good_until", good)
}

// fetch asks the issuer. What it answers comes from outside: a panic of a parser must not end the program.
func (r *remoteKeys) fetch() (set *fetchedKeys, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the keys of the issuer: panic: %v", cause)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	address := r.config.JWKSURL
	if address == "" {
		if address, err = r.discovered(ctx); err != nil {
			return nil, err
		}
	}
	started := r.config.Now()
	body, age, err := r.fetcher.get(ctx, address)
	if err != nil {
		return nil, err
	}
	keys, err := parseJWKS(body, func(kid string, why error) {
		r.config.Log.Debug("a key of the issuer is left out", "issuer", r.config.Issuer, "kid", kid, "err", why)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	fresh := freshKeys
	if age >= 0 {
		fresh = min(max(age, minFresh), maxFresh)
	}
	stale := started.Add(fresh)
	return &fetchedKeys{newKeySet(keys), started.Add(fresh * 3 / 4), stale, stale.Add(r.config.KeepKeys)}, nil
}

func (r *remoteKeys) discovered(ctx context.Context) (string, error) {
	now := r.config.Now()
	r.mu.Lock()
	address, foundAt := r.jwksURL, r.foundAt
	r.mu.Unlock()
	if address != "" && now.Before(foundAt.Add(keepDiscovery)) {
		return address, nil
	}
	address, err := r.fetcher.discover(ctx, r.config.Issuer)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jwksURL, r.foundAt = address, now
	return address, nil
}

// logChange tells which keys came and went.
func (r *remoteKeys) logChange(before, after *fetchedKeys) {
	var came, went []string
	for _, key := range after.all {
		if before == nil || len(before.byID[key.ID]) == 0 {
			came = append(came, key.ID)
		}
	}
	if before != nil {
		for _, key := range before.all {
			if len(after.byID[key.ID]) == 0 {
				went = append(went, key.ID)
			}
		}
	}
	if len(after.all) == 0 {
		r.config.Log.Warn("the issuer has no key that verifies tokens", "issuer", r.config.Issuer)
	}
	if len(came)+len(went) > 0 {
		r.config.Log.Info("the keys of the issuer changed", "issuer", r.config.Issuer, "new", came, "gone", went)
	}
}
