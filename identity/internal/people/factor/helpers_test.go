package factor_test

import (
	"context"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/unit"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newRunner runs units on a store of its own.
func newRunner(t testing.TB) func(func(ctx context.Context) error) {
	s := memory.New(nil)
	env := &unit.Env{Snapshot: s.Snapshot, Now: func() time.Time { return epoch }}
	committer := store.NewCommitter(s, store.CommitterOptions{})
	t.Cleanup(func() {
		committer.Close()
		_ = s.Close()
	})
	return func(fn func(ctx context.Context) error) {
		if err := unit.Run(context.Background(), env, committer, 1, fn); err != nil {
			panic(err) // a fuzz target may not call methods of its testing.F
		}
	}
}

// reverse seals by turning bytes around, so that a test sees that it was asked.
type reverse struct{}

func (reverse) Seal(purpose string, plain []byte) ([]byte, error) {
	return append([]byte(purpose+"\x00"), flip(plain)...), nil
}

func (reverse) Open(purpose string, sealed []byte) ([]byte, error) {
	return flip(sealed[len(purpose)+1:]), nil
}

func flip(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[len(b)-1-i] = b[i]
	}
	return out
}
