package login

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Errors of a Store.
var (
	// ErrNotFound: the store has no record with this key, or it has expired.
	ErrNotFound = errors.New("login: no such record")
	// ErrConflict: the record of this key is not of the version that was to be replaced.
	ErrConflict = errors.New("login: the record was changed meanwhile")
)

// Record is a session as a Store keeps it.
type Record struct {
	// Version counts the changes of the record; the store gives it. A record that is new has 0.
	Version int64
	// Subject and SID stand for the user and the user's session at the issuer: digests, good to
	// find records by. SID may be empty.
	Subject, SID string
	// Expires is when the record is worth nothing any more.
	Expires time.Time
	// Sealed is the session.
	Sealed []byte
}

// Store keeps sessions. Keys are digests in hexadecimal, 64 characters long. It is safe for
// concurrent use, also by several processes if the application has several.
type Store interface {
	// Get returns the record of a key, or ErrNotFound.
	Get(ctx context.Context, key string) (Record, error)
	// Put stores a record, under the version after record.Version. It is ErrConflict if the stored record has
	// another version than record.Version, where a missing record has 0: a session that was
	// ended is never brought back by a request that was under way.
	Put(ctx context.Context, key string, record Record) error
	// Delete removes a record if there is one.
	Delete(ctx context.Context, key string) error
	// DeleteAll removes the records that have both this subject and this SID, of which an empty one stands for any.
	// It removes nothing when both are empty.
	DeleteAll(ctx context.Context, subject, sid string) error
}

// maxMemorySessions bounds a MemoryStore.
const maxMemorySessions = 100_000

// MemoryStore is a Store in memory, of at most 100,000 sessions: the oldest make room.
type MemoryStore struct {
	now   func() time.Time
	mu    sync.Mutex
	all   map[string]Record
	swept time.Time
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{now: time.Now, all: map[string]Record{}}
}

// Get implements Store.
func (m *MemoryStore) Get(_ context.Context, key string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	record, ok := m.all[key]
	if !ok || !record.Expires.After(m.now()) {
		return Record{}, ErrNotFound
	}
	return record, nil
}

// Put implements Store.
func (m *MemoryStore) Put(_ context.Context, key string, record Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.all[key]
	if ok && !old.Expires.After(m.now()) {
		old = Record{}
	}
	if old.Version != record.Version {
		return ErrConflict
	}
	if !ok {
		m.sweep()
	}
	record.Version++
	m.all[key] = record
	return nil
}

// Delete implements Store.
func (m *MemoryStore) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, key)
	return nil
}

// DeleteAll implements Store.
func (m *MemoryStore) DeleteAll(_ context.Context, subject, sid string) error {
	if subject == "" && sid == "" {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, record := range m.all {
		if (subject == "" || record.Subject == subject) && (sid == "" || record.SID == sid) {
			delete(m.all, key)
		}
	}
	return nil
}

// sweep removes what has expired, now and then, and makes room for one record.
func (m *MemoryStore) sweep() {
	now := m.now()
	full := len(m.all) >= maxMemorySessions
	if !full && now.Sub(m.swept) < time.Minute {
		return
	}
	m.swept = now
	var oldest string
	for key, record := range m.all {
		if !record.Expires.After(now) {
			delete(m.all, key)
		} else if oldest == "" || record.Expires.Before(m.all[oldest].Expires) {
			oldest = key
		}
	}
	if len(m.all) >= maxMemorySessions {
		delete(m.all, oldest)
	}
}
