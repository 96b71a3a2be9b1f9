package store

// Skip gives tests the rule for vain waits.
type Skip = skip

// MaxPenalty is the greatest number of waits left out in a row.
const MaxPenalty = maxPenalty

// Try reports whether to wait this time.
func (s *skip) Try() bool { return s.try() }

// Learn records whether a wait brought anything.
func (s *skip) Learn(worthwhile bool) { s.learn(worthwhile) }
