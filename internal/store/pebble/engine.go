package pebble

import (
	"fmt"
	"runtime/debug"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/perdure/perdure/internal/store"
)

// fail ends the store after the first fatal failure: nothing is written any
// more and every later call answers an ErrOutcomeUnknown with the cause.
func (s *Store) fail(cause error) {
	s.failOnce.Do(func() {
		s.fence.cut()
		s.cause = cause
		s.failure = fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, cause)
		close(s.failed)
		if !s.opened.Load() {
			return // Open returns the cause
		}
		s.opts.Logger.Error("the store failed and must be opened again", "folder", s.dir, "error", cause)
		if s.opts.OnFatal != nil {
			go s.opts.OnFatal(s.failure)
		}
	})
}

// guarded runs fn, which calls into Pebble, on a goroutine of its own and waits
// for it or for the store's failure: after one, fn may never return.
func (s *Store) guarded(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		defer s.failOnPanic()
		done <- fn()
	}()
	select {
	case err := <-done:
		return err
	case <-s.failed:
		return s.failure
	}
}

// failOnPanic makes a panic of Pebble on a goroutine of ours the store's
// failure.
func (s *Store) failOnPanic() {
	if r := recover(); r != nil {
		s.fail(fmt.Errorf("engine panic: %v\n%s", r, debug.Stack()))
	}
}

// engineLogger is the Logger that Pebble writes to.
type engineLogger struct{ s *Store }

// Infof implements pebble.Logger.
func (l engineLogger) Infof(format string, args ...any) {
	l.s.opts.Logger.Debug("pebble: " + fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (l engineLogger) Errorf(format string, args ...any) {
	l.s.opts.Logger.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. Pebble relies on it not to return.
func (l engineLogger) Fatalf(format string, args ...any) {
	l.s.fail(fmt.Errorf(format, args...))
	park()
}

// listener reports what Pebble does in the background and meets there.
func (s *Store) listener() *engine.EventListener {
	log := s.opts.Logger
	return &engine.EventListener{
		BackgroundError: func(err error) {
			log.Error("store: background work failed and is tried again", "folder", s.dir, "error", err)
		},
		// The reader gets the error; Pebble's default would end the process.
		DataCorruption: func(info engine.DataCorruptionInfo) {
			log.Error("store: corrupt file", "folder", s.dir, "file", info.Path, "error", info.Details)
		},
		WriteStallBegin: func(info engine.WriteStallBeginInfo) {
			log.Warn("store: commits wait for background work", "folder", s.dir, "reason", info.Reason)
		},
	}
}
