//go:build !race

package observe_test

import (
	"io"
	"net/http"
	"net/netip"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/observe"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// A request that went well costs no memory: neither what is kept of the others, nor its line in the log.
func TestNothingIsAllocated(t *testing.T) { // not parallel: it counts
	c := clock.NewManual(plugintest.Start)
	log, err := observe.NewAccessLog(observe.AccessLogOptions{Writer: io.Discard, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	recent := observe.NewRecent(observe.RecentOptions{Clock: c})
	x := exchange(http.StatusOK, "/weather/secure")
	x.Client, x.Sent, x.Attempts = netip.MustParseAddr("203.0.113.7"), 100, 1
	x.Route, x.Service, x.Consumer = &entity.Route{Name: "secure"}, &entity.Service{Name: "weather"}, &entity.Consumer{Username: "ann"}
	x.Credential = &entity.KeyAuth{Meta: entity.Meta{ID: "id"}}
	x.Endpoint = proxy.NewEndpoint(proxy.EndpointOptions{Address: "127.0.0.1:80", HTTP2: true})
	defer x.Endpoint.Close()
	x.Request.Fields.Add("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	for name, told := range map[string]proxy.Log{"what is kept": recent, "the log": log} {
		n := testing.AllocsPerRun(1000, func() {
			told.Log(x)
			log.Flush()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations for each request, want none", name, n)
		}
	}
}

// BenchmarkKeep is what keeping a refusal costs.
func BenchmarkKeep(b *testing.B) {
	recent := observe.NewRecent(observe.RecentOptions{Clock: clock.NewManual(plugintest.Start)})
	x := exchange(http.StatusOK, "/weather/secure")
	x.Response.Status = http.StatusUnauthorized
	plugin.Refuse(x, "jwt", "no jwt credential has the key")
	x.Request.Fields.Add("User-Agent", "curl/8")
	x.Request.Fields.Add("Authorization", "Bearer "+token("s", nil, claims{"iss": "http://issuer", "aud": "api", "exp": 1}))
	b.ReportAllocs()
	for b.Loop() {
		recent.Log(x)
	}
}

// BenchmarkLine is what a line of the log costs.
func BenchmarkLine(b *testing.B) {
	log, err := observe.NewAccessLog(observe.AccessLogOptions{Writer: io.Discard, Clock: clock.NewManual(plugintest.Start)})
	if err != nil {
		b.Fatal(err)
	}
	x := exchange(http.StatusOK, "/weather/secure")
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if log.Log(x); n%100 == 0 {
			log.Flush()
		}
	}
}
