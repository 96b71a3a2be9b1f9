package pebble_test

import (
	"testing"

	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/store/storetest"
)

func BenchmarkCommit(b *testing.B) {
	storetest.Bench(b, func(tb testing.TB) store.Store {
		s, err := pebble.Open(tb.TempDir(), nil)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
		})
		return s
	})
}
