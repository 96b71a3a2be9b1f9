package router_test

import (
	"fmt"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/router"
)

// many makes routes as a large gateway has them: on hosts, with prefixes and exact paths, and some for all.
func many(n int) (list []*entity.Route) {
	for i := range n {
		i := i
		list = append(list, route(fmt.Sprint(i), func(r *entity.Route) {
			switch i % 4 {
			case 0:
				r.Hosts = []string{fmt.Sprintf("host-%d.example.com", i)}
				r.Paths = []string{fmt.Sprintf("/service-%d/", i), fmt.Sprintf("~/service-%d$", i)}
			case 1:
				r.Paths = []string{fmt.Sprintf("/api/v%d/orders", i)}
			case 2:
				r.Hosts = []string{fmt.Sprintf("*.tenant-%d.example.com", i)}
				r.Paths = []string{"/"}
			default:
				r.Paths = []string{fmt.Sprintf(`~/items-%d/\d+$`, i)}
			}
		}))
	}
	return list
}

func requests(n int) []router.Request {
	last := n - n%4 - 4
	return []router.Request{
		{Method: "GET", Host: fmt.Sprintf("host-%d.example.com", last), Path: fmt.Sprintf("/service-%d/things/42", last)},
		{Method: "GET", Host: "any.example.com", Path: fmt.Sprintf("/api/v%d/orders/7", last+1)},
		{Method: "GET", Host: fmt.Sprintf("a.tenant-%d.example.com", last+2), Path: "/index.html"},
		{Method: "GET", Host: "any.example.com", Path: fmt.Sprintf("/items-%d/17", last+3)},
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{12, 10000} {
		r := newRouter(b, many(n)...)
		for i, name := range []string{"host", "prefix", "wildcard", "regex"} {
			q := requests(n)[i]
			b.Run(fmt.Sprintf("%s/routes=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, ok := r.Match(&q); !ok {
						b.Fatal("no route")
					}
				}
			})
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) { // not parallel: it counts
	r := newRouter(t, many(1000)...)
	for _, q := range requests(1000) {
		if n := testing.AllocsPerRun(100, func() {
			if m, ok := r.Match(&q); !ok || m.Route == nil {
				t.Fatal("no route")
			}
		}); n != 0 {
			t.Errorf("%s%s: %v allocations", q.Host, q.Path, n)
		}
	}
}
