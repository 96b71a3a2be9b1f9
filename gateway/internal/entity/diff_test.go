package entity_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	old := compile(t, small())
	c := small()
	c.Routes[0].Paths = []string{"/weather"}
	c.Routes[0].Source = entity.Source{File: "kong.yml", Line: 7}
	c.JWTs[0].Secret = "another secret"
	c.Plugins[0].Config = map[string]any{"key_claim_name": "kid", "client_secret": "s3cret"}
	c.Targets = nil
	other := entity.NewTarget()
	other.Target, other.Upstream = "127.0.0.1:9", entity.RefTo[entity.Upstream]("backends")
	c.Targets = append(c.Targets, other)
	var got strings.Builder
	for _, change := range entity.Diff(old, compile(t, c)) {
		fmt.Fprintln(&got, change)
	}
	want := `~ route "forecast"  (kong.yml:7)
    paths: ["/weatherforecast"] -> ["/weather"]
~ jwt credential "https://issuer/"
    secret: (secret) -> (secret)
~ plugin "jwt"
    config.client_secret: null -> (secret)
    config.key_claim_name: null -> "kid"
+ target "127.0.0.1:9"
- target "127.0.0.1:8000"
`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	if changes := entity.Diff(old, compile(t, small())); len(changes) > 0 {
		t.Errorf("a reload of the same is a change: %v", changes)
	}
	if n := len(entity.Diff(nil, old)); n != 7 {
		t.Errorf("%d changes from nothing, want 7", n)
	}
}

// What is secret within a setting, or a field of a header, is not shown either.
func TestDiffShowsNoHeader(t *testing.T) {
	t.Parallel()
	old := compile(t, small())
	c := small()
	c.Plugins[0].Config = map[string]any{"add": map[string]any{"headers": []any{"Authorization:Bearer s3cret", "X-Api-Key:s3cret", "X-Plain:shown"}}}
	c.Routes[0].Headers = map[string][]string{"X-Api-Key": {"s3cret"}, "X-Plain": {"shown"}}
	c.Upstreams[0].Healthchecks.Active.Headers = map[string][]string{"Authorization": {"s3cret"}}
	var got strings.Builder
	for _, change := range entity.Diff(old, compile(t, c)) {
		fmt.Fprintln(&got, change)
	}
	if text := got.String(); strings.Contains(text, "s3cret") || strings.Count(text, "shown") != 2 || strings.Count(text, "(secret)") != 4 {
		t.Errorf("got\n%s", text)
	}
}

// A reference is told by the name of what it refers to.
func TestDiffNamesReferences(t *testing.T) {
	t.Parallel()
	with := func(service string) *entity.Config {
		c := small()
		other := entity.NewService()
		other.Name, other.Host, other.Protocol = "climate", "climate.test", "https"
		c.Services = append(c.Services, other)
		c.Routes[0].Service = entity.RefTo[entity.Service](service)
		compiled, _ := c.Compile(nil) // without a service there is a warning
		return compiled
	}
	old := with("weather")
	var got strings.Builder
	for _, change := range entity.Diff(old, with("climate")) {
		fmt.Fprintln(&got, change)
	}
	for _, change := range entity.Diff(old, with("")) {
		fmt.Fprintln(&got, change)
	}
	const want = "~ route \"forecast\"\n    service: weather -> climate\n~ route \"forecast\"\n    service: weather -> null\n"
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}
