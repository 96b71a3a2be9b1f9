//go:build !race

package canary_test

import "testing"

// Deciding allocates nothing. With the race detector this says nothing: the test run has a step of its own.
func TestNothingIsAllocated(t *testing.T) {
	for settings, want := range map[string]float64{
		"upstream_port: 81, percentage: 50":                                    0,
		"upstream_port: 81, percentage: 50, hash: none":                        0,
		"upstream_port: 81, percentage: 50, hash: header, hash_header: X-User": 0,
		"upstream_port: 81, percentage: 50, sticky: release":                   0,
		"upstream_port: 81, canary_by_header_name: X-Canary":                   0,
		"upstream_port: 81, percentage: 100, max_error_rate: 5":                0,
		"service: new, percentage: 100":                                        1, // the path
	} {
		a, exchange := access(t, settings)
		x := exchange()
		x.Request.Fields.Add("X-User", "anna")
		x.Request.Fields.Add("Cookie", "release=1; other=2")
		old := x.Service
		if n := testing.AllocsPerRun(1000, func() {
			x.Service, x.Balancer, x.Target.Path = old, nil, "/v1/1"
			a.Access(x)
		}); n > want {
			t.Errorf("%s: %v allocations for each request, want %v", settings, n, want)
		}
	}
}
