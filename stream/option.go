package stream

import (
	"errors"
	"fmt"
	"time"
)

// Option configures a stream.
type Option interface{ apply(*config) }

type config struct {
	Settings
	keyBy any // func(T) string
	errs  []error
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

// Partitions sets the number of partitions: as many events of a stream are handled
// at a time by a function. Raising it later moves keys to other partitions: what
// was appended before stays in its order, and so does what is appended after.
// After lowering it, what is left in the partitions above is still handled.
func Partitions(n int) Option { return option(func(c *config) { c.Partitions = n }) }

// KeyBy sets the key of the events that are appended without one.
func KeyBy[T any](key func(T) string) Option {
	return option(func(c *config) {
		if c.keyBy = key; key == nil {
			c.keyBy = nil
			c.errs = append(c.errs, errors.New("KeyBy has no function"))
		}
	})
}

// Retain sets what is kept: each event for age at least, unless its partition has
// more than bytes bytes; 0 is no bound. Old events are removed in the background, so
// there may be more. An event that a function has still to read is kept, unless Hard
// says otherwise.
func Retain(age time.Duration, bytes int64) Option {
	return option(func(c *config) { c.Age, c.Bytes = age, bytes })
}

// Hard lets Retain remove also events that a function has still to read, which
// passes over them.
var Hard Option = option(func(c *config) { c.Hard = true })

// check reports what is wrong with the settings.
func (s Settings) check() error {
	switch {
	case s.Partitions < 1 || s.Partitions > MaxPartitions:
		return fmt.Errorf("%d partitions; want 1 to %d", s.Partitions, MaxPartitions)
	case s.Age < 0 || s.Bytes < 0:
		return errors.New("Retain has a negative bound; 0 stands for none")
	case s.Hard && s.Age == 0 && s.Bytes == 0:
		return errors.New("Hard is of use together with Retain only")
	}
	return nil
}
