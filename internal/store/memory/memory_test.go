package memory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Open: func(t testing.TB, now func() time.Time) store.Store {
			s := memory.New(&memory.Options{Now: now})
			t.Cleanup(func() { _ = s.Close() }) // some cases close it themselves
			return s
		},
	})
}

func TestBackupIsUnsupported(t *testing.T) {
	t.Parallel()
	if err := memory.New(nil).Backup(context.Background(), "x"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Backup: %v", err)
	}
}

func BenchmarkCommit(b *testing.B) {
	storetest.Bench(b, func(testing.TB) store.Store { return memory.New(nil) })
}
