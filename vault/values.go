package vault

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
)

const (
	// rereadAfter is how long a value is remembered: as long as it takes at most until the app notices, on another node, that it may not
	// read it any more.
	rereadAfter = time.Minute
	// maxValues bounds how many values are remembered. An app names its secrets in its code.
	maxValues = 1024
)

// values are what the app itself has read of its secrets.
type values struct {
	// read reads a secret, with the app's rights and an entry of the audit log.
	read func(ctx context.Context, id model.ID) (*model.Secret, error)
	now  func() time.Time

	mu       sync.Mutex
	known    map[model.ID]*value
	watchers map[model.ID]map[chan struct{}]struct{}
}

// value is one of them. While it is read, others wait for that.
type value struct {
	mu     sync.Mutex
	secret *model.Secret // nil: not read, or changed since
	since  time.Time
	stale  bool // guarded by values.mu: it has changed, and another value has taken its place
}

func newValues(now func() time.Time, read func(ctx context.Context, id model.ID) (*model.Secret, error)) *values {
	return &values{read: read, now: now, known: map[model.ID]*value{}, watchers: map[model.ID]map[chan struct{}]struct{}{}}
}

// folded returns the id by which an item is known whatever the case of its name.
func folded(id model.ID) model.ID {
	return model.ID{Vault: id.Vault, Kind: id.Kind, Name: strings.ToLower(id.Name)}
}

// get returns the current version of a secret.
func (v *values) get(ctx context.Context, id model.ID) (*model.Secret, error) {
	for {
		one := v.of(folded(id))
		one.mu.Lock()
		if one.secret != nil && v.now().Sub(one.since) < rereadAfter && !v.isStale(one) {
			secret := one.secret
			one.mu.Unlock()
			return secret, nil
		}
		began := v.now()
		secret, err := v.read(ctx, id)
		if err == nil {
			one.secret, one.since = secret, began
		} else {
			one.secret = nil
		}
		one.mu.Unlock()
		if err != nil || !v.isStale(one) {
			return secret, err
		}
		// It changed while it was read: what was read may be what was before.
	}
}

func (v *values) of(id model.ID) *value {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.known[id]
	if one == nil {
		if len(v.known) >= maxValues {
			for other := range v.known { // in no certain order
				delete(v.known, other)
				break
			}
		}
		one = &value{}
		v.known[id] = one
	}
	return one
}

func (v *values) isStale(one *value) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return one.stale
}

// changed forgets an item and tells who watches it.
func (v *values) changed(id model.ID) {
	if id.Kind != model.Secrets {
		return
	}
	id = folded(id)
	v.mu.Lock()
	defer v.mu.Unlock()
	if one := v.known[id]; one != nil {
		one.stale = true
		delete(v.known, id)
	}
	for watcher := range v.watchers[id] {
		select {
		case watcher <- struct{}{}:
		default: // it has still to look
		}
	}
}

// forget forgets everything, since a right was taken away: each is read anew, if that is still allowed.
func (v *values) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, one := range v.known {
		one.stale = true
		delete(v.known, id)
	}
}

// watch returns a channel that gets something after each change, until stop is called.
func (v *values) watch(id model.ID) (changes <-chan struct{}, stop func()) {
	id = folded(id)
	watcher := make(chan struct{}, 1)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.watchers[id] == nil {
		v.watchers[id] = map[chan struct{}]struct{}{}
	}
	v.watchers[id][watcher] = struct{}{}
	return watcher, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.watchers[id], watcher)
		if len(v.watchers[id]) == 0 {
			delete(v.watchers, id)
		}
	}
}
