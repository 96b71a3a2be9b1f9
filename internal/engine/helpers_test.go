package engine_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/unit"
)

func mustDecode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
}

// backwards is a clock that can be set back.
type backwards struct {
	*clock.Manual
	offset atomic.Int64
}

func (b *backwards) Now() time.Time { return b.Manual.Now().Add(time.Duration(b.offset.Load())) }

// unit runs f in a unit of work, as a function of an app is run.
func (w *world) unit(f func(ctx context.Context) error) error {
	return unit.Run(w.Context(), w.env, w.committer, 10, f)
}

func countKeys(t *testing.T, r store.Reader, space byte) int {
	t.Helper()
	n := 0
	err := r.Scan(store.Range{Start: []byte{space}, End: []byte{space + 1}}, func(store.Item) bool {
		n++
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
