package entity_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// small is a configuration with one of most kinds.
func small() *entity.Config {
	s := entity.NewService()
	s.Name, s.Host = "weather", "backends"
	r := entity.NewRoute()
	r.Name, r.Paths, r.Service = "forecast", []string{"/weatherforecast"}, entity.RefTo[entity.Service]("weather")
	c := &entity.Consumer{Username: "alice"}
	j := entity.NewJWTCredential()
	j.Key, j.Secret, j.Consumer = "https://issuer/", "0123456789", entity.RefTo[entity.Consumer]("alice")
	p := entity.NewPlugin()
	p.Name, p.Route = "jwt", entity.RefTo[entity.Route]("forecast")
	u := entity.NewUpstream()
	u.Name = "backends"
	t := entity.NewTarget()
	t.Target, t.Upstream = "127.0.0.1", entity.RefTo[entity.Upstream]("backends")
	return &entity.Config{
		Services: []*entity.Service{s}, Routes: []*entity.Route{r}, Consumers: []*entity.Consumer{c},
		JWTs: []*entity.JWTCredential{j}, Plugins: []*entity.Plugin{p}, Upstreams: []*entity.Upstream{u},
		Targets: []*entity.Target{t},
	}
}

func compile(t *testing.T, c *entity.Config) *entity.Config {
	t.Helper()
	compiled, problems := c.Compile(nil)
	if len(problems) > 0 || compiled == nil {
		t.Fatalf("problems: %v", problems)
	}
	return compiled
}

func TestCompileConnects(t *testing.T) {
	t.Parallel()
	c := compile(t, small())
	r := c.Routes[0]
	if r.Service.To != c.Services[0] || c.Services[0].Upstream != c.Upstreams[0] {
		t.Error("the route does not lead to its service, or the service not to its upstream")
	}
	if got := c.Upstreams[0].Targets; len(got) != 1 || got[0].Target != "127.0.0.1:8000" {
		t.Errorf("targets: %v", got)
	}
	if got := c.Consumer("alice").JWTs; len(got) != 1 || got[0] != c.JWT("https://issuer/") {
		t.Errorf("credentials: %v", got)
	}
	if c.Lookup(entity.Routes, r.ID) != r || c.Lookup(entity.Routes, "forecast") != r {
		t.Error("the route is not found by its name and id")
	}
	if c.JWT(c.JWTs[0].ID) != nil {
		t.Error("a credential is found by its id, which no token names")
	}
}

func TestIDsAreKongs(t *testing.T) {
	t.Parallel()
	c := compile(t, small())
	again := compile(t, small())
	// uuid5(uuid5(fd02801f-0957-4a15-a55a-c8d9606f30b5, "services"), "weather")
	if got, want := c.Services[0].ID, "300ef601-b40d-52c1-94c5-17a88ac50e6f"; got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	for e := range c.All() {
		m := entity.MetaOf(e)
		if other := again.Lookup(e.Kind(), m.ID); other == nil {
			t.Errorf("%s: another id after a reload", entity.Describe(e))
		}
	}
}

func TestJSONHasNulls(t *testing.T) {
	t.Parallel()
	c := compile(t, small())
	text, err := json.Marshal(c.Routes[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"hosts":null`, `"paths":["/weatherforecast"]`, `"service":{"id":"` + c.Services[0].ID + `"}`, `"strip_path":true`, `"tags":null`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if text, _ := json.Marshal(c.Plugins[0]); !strings.Contains(string(text), `"service":null`) {
		t.Errorf("%s", text)
	}
}
