package login

import (
	"net/http"
	"time"
)

// SafePath is safePath.
var SafePath = safePath

// NewMemoryStoreAt returns a store with a clock.
func NewMemoryStoreAt(now func() time.Time) *MemoryStore {
	m := NewMemoryStore()
	m.now = now
	return m
}

// Len returns the number of records.
func (m *MemoryStore) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.all)
}

// Records returns the records.
func (m *MemoryStore) Records() map[string]Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]Record{}
	for key, record := range m.all {
		all[key] = record
	}
	return all
}

// PendingName returns the name of the cookie of a sign-in.
func (l *Login) PendingName(state string) string { return l.pendingName(state) }

// OpenPending reports whether a cookie's value is that of a sign-in under way.
func (l *Login) OpenPending(value string) bool {
	_, ok := l.openPending(value)
	return ok
}

// SessionCookie returns the name of the cookie.
func (l *Login) SessionCookie() string { return l.sessionCookie }

// HasSession reports whether a request claims a session.
func (l *Login) HasSession(r *http.Request) bool {
	_, ok := l.sessionKey(r)
	return ok
}

// LeaseElsewhere marks a session as one whose tokens another process renews since a time.
func (l *Login) LeaseElsewhere(r *http.Request, since time.Time) error {
	key, _ := l.sessionKey(r)
	s, err := l.load(r.Context(), key)
	if err != nil {
		return err
	}
	s.Leased = since
	return l.save(r.Context(), s)
}
