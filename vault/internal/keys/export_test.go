package keys

import "time"

// CachedKeys is how many opened keys are in memory.
func (s *Service) CachedKeys() int { return s.cache.size() }

// Duration is a duration for tests.
type Duration = duration

// ParseDuration is parseDuration for tests.
func ParseDuration(s string) (Duration, error) { return parseDuration(s) }

// After is when a duration is over that begins at t, and Before when it begins that is over at t.
func After(d Duration, t time.Time) time.Time  { return d.after(t) }
func Before(d Duration, t time.Time) time.Time { return d.before(t) }

// About is how long a duration is.
func About(d Duration) time.Duration { return d.about() }
