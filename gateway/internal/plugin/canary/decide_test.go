package canary_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// access is the plugin alone, and an exchange for the old service.
func access(t *testing.T, settings string) (proxy.Access, func() *proxy.Exchange) {
	t.Helper()
	config, problems := plugintest.Compile(registry(), file(settings))
	if config == nil {
		t.Fatal(problems)
	}
	plan, problems := registry().Build(config, plugin.Environment{})
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
	}
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
