//go:build !race

package proxy_test

import (
	"runtime"
	"testing"

	"github.com/perdure/perdure/gateway/internal/proxy"
)

// On the plain path nothing is allocated for a request, whatever Kong's fields are. The race detector makes pools forget, so the
// test run has a step of its own for it.
func TestNothingIsAllocated(t *testing.T) {
	for name, o := range map[string]proxy.Options{"plain": {}, "with Kong's fields": {Headers: proxy.KongHeaders}} {
		e := newExchanger(t, o, plain)
		const n = 2000
		for range 100 {
			e.exchange(t)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			e.exchange(t)
		}
		runtime.ReadMemStats(&after)
		if each := float64(after.Mallocs-before.Mallocs) / n; each > 0.1 { // pools are emptied by the collector
			t.Errorf("%s: %.2f allocations for each request, want none", name, each)
		}
	}
}
