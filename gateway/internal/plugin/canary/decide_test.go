package canary_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
	"github.com/perdure/perdure/internal/clock"
)

// access is the plugin alone, and an exchange for the old service.
func access(t *testing.T, settings string) (proxy.Access, func() *proxy.Exchange) {
	t.Helper()
	a, exchange, _ := clocked(t, settings)
	return a, exchange
}

// clocked is access with a clock.
func clocked(t *testing.T, settings string) (proxy.Access, func() *proxy.Exchange, *clock.Manual) {
	t.Helper()
	now := clock.NewManual(plugintest.Start)
	config, problems := plugintest.Compile(registry(), file(settings))
	if config == nil {
		t.Fatal(problems)
	}
	plan, problems := registry().Build(config, plugin.Environment{Clock: now, Balancer: func(*entity.Service) proxy.Balancer { return new(proxy.Endpoint) }})
	if plan == nil {
		t.Fatal(problems)
	}
	var chain proxy.Chain
	plan.Attach(config.Routes[0], &chain)
	old := config.Lookup(entity.Services, "old")
	return chain.Access[0], func() *proxy.Exchange {
		x := &proxy.Exchange{Service: old, Client: netip.MustParseAddr("192.0.2.1")}
		x.Request.Fields = new(h1.Fields)
		x.Target.Path = "/v1/1"
		return x
	}, now
}

// A dry run takes nobody's turn.
func TestDryRunDoesNotCount(t *testing.T) {
	t.Parallel()
	a, exchange := access(t, "service: new, hash: none, percentage: 50")
	side := func(dry bool) string {
		x := exchange()
		x.DryRun = dry
		a.Access(x)
		return x.Service.(*entity.Service).Name
	}
	for i := range 20 {
		var dry []string
		for range 3 {
			dry = append(dry, side(true))
		}
		if got := fmt.Sprint(dry); got != fmt.Sprint([]string{dry[0], dry[0], dry[0]}) || side(false) != dry[0] {
			t.Errorf("dry run %d goes to %v, and the request elsewhere", i, got)
		}
	}
}

// Errors of requests that were sent before a pause began do not prolong it.
func TestLateErrorsDoNotCount(t *testing.T) {
	t.Parallel()
	a, exchange, now := clocked(t, "service: new, percentage: 100, max_error_rate: 10, pause: 10")
	var sent []*proxy.Exchange
	for range 12 {
		x := exchange()
		a.Access(x)
		x.Attempts, x.Response.Status = 1, http.StatusBadGateway
		sent = append(sent, x)
	}
	for i, x := range sent {
		if i == 6 { // within the pause
			now.Advance(9 * time.Second)
		}
		a.(proxy.Log).Log(x)
	}
	now.Advance(time.Second)
	x := exchange()
	if a.Access(x); x.Service.(*entity.Service).Name != "new" {
		t.Error("the pause is longer than 10 s")
	}
}

// Clients who leave, dry runs and answers of other plugins say nothing of the canary.
func TestWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	a, exchange, _ := clocked(t, "service: new, percentage: 100, max_error_rate: 10")
	for name, change := range map[string]func(*proxy.Exchange){
		"dry run":      func(x *proxy.Exchange) { x.DryRun = true },
		"other plugin": func(x *proxy.Exchange) { x.Attempts = 0 },
		"client":       func(x *proxy.Exchange) { x.Err = context.Canceled },
		"old service":  func(x *proxy.Exchange) { x.Service, x.Balancer = exchange().Service, nil },
	} {
		for range 20 {
			x := exchange()
			a.Access(x)
			x.Attempts, x.Response.Status = 1, http.StatusServiceUnavailable
			change(x)
			a.(proxy.Log).Log(x)
		}
		x := exchange()
		if a.Access(x); x.Service.(*entity.Service).Name != "new" {
			t.Errorf("%s: the canary has a pause", name)
		}
	}
}
