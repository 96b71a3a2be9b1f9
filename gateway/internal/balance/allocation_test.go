//go:build !race

package balance_test

import (
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
)

// No algorithm allocates anything for a request. With the race detector this says nothing: the test run has a step of its own.
func TestNothingIsAllocated(t *testing.T) {
	for name, file := range map[string]string{
		"address":           "services:\n- {name: s, url: \"http://10.0.0.1\"}\n",
		"round-robin":       upstream(breaker, "10.0.0.1:80", "10.0.0.2:80 7", "10.0.0.3:80"),
		"least-connections": upstream("  algorithm: least-connections\n"+breaker, "10.0.0.1:80", "10.0.0.2:80"),
		"latency":           upstream("  algorithm: latency\n"+breaker, "10.0.0.1:80", "10.0.0.2:80"),
		"ip":                upstream(hashed+"  hash_on: ip\n", "10.0.0.1:80", "10.0.0.2:80"),
		"header":            upstream(hashed+"  hash_on: header\n  hash_on_header: X-User\n", "10.0.0.1:80", "10.0.0.2:80"),
		"cookie":            upstream(hashed+"  hash_on: cookie\n  hash_on_cookie: sid\n", "10.0.0.1:80", "10.0.0.2:80"),
		"path":              upstream(hashed+"  hash_on: path\n", "10.0.0.1:80", "10.0.0.2:80"),
		"query_arg":         upstream(hashed+"  hash_on: query_arg\n  hash_on_query_arg: user\n", "10.0.0.1:80", "10.0.0.2:80"),
		"uri_capture":       upstream(hashed+"  hash_on: uri_capture\n  hash_on_uri_capture: id\n", "10.0.0.1:80", "10.0.0.2:80"),
	} {
		w := newWorld(t, file, nil)
		b, x := w.balancer(), exchange("GET", "/a?user=1", "X-User: anna", "Cookie: sid=1")
		x.SetValue(plugin.CapturesKey{}, captures{"id": "1"})
		x.Response.Status = 200
		if n := testing.AllocsPerRun(1000, func() {
			e, err := b.Pick(x)
			if err != nil {
				t.Fatal(err)
			}
			b.Done(x, e, nil)
		}); n != 0 {
			t.Errorf("%s: %v allocations for each request, want none", name, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for name, more := range map[string]string{
		"round-robin": "", "least-connections": "  algorithm: least-connections\n", "latency": "  algorithm: latency\n", "hash": hashed + "  hash_on: ip\n",
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, upstream(more+breaker, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80"), nil)
			balancer := w.balancer()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				x := exchange("GET", "/")
				x.Response.Status = 200
				for pb.Next() {
					e, err := balancer.Pick(x)
					if err != nil {
						b.Fatal(err)
					}
					balancer.Done(x, e, nil)
				}
			})
		})
	}
}
