package mail

import (
	"context"
	"slices"
	"sync"
)

// Memory keeps messages instead of sending them, for tests. It refuses what SMTP refuses. It
// is safe for concurrent use.
type Memory struct {
	mu   sync.Mutex
	kept []Message
}

// NewMemory returns a sender that has kept nothing yet.
func NewMemory() *Memory { return new(Memory) }

// Send keeps a copy of m, with a new ID when it has none.
func (s *Memory) Send(_ context.Context, m *Message) error {
	if err := m.Validate(); err != nil {
		return err
	}
	kept := *m
	if kept.ID == "" {
		kept.ID = NewID()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, kept)
	return nil
}

// Messages returns what was sent, oldest first.
func (s *Memory) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept)
}

var _ Sender = (*Memory)(nil)
