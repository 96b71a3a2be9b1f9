package correlation_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/correlation"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

func config(settings string) string {
	return "routes:\n- name: it\n  paths: [/]\n  plugins: [{name: correlation-id, config: {" + settings + "}}]\n"
}

func TestIDs(t *testing.T) {
	t.Parallel()
	uuid := `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`
	g := plugintest.New(t, plugin.NewRegistry(correlation.Kind()), config(""))
	for _, n := range []string{"1", "2"} {
		r := g.Do("GET /")
		if id := r.Upstream.Header.Get("Kong-Request-ID"); !regexp.MustCompile("^"+uuid+"#"+n+"$").MatchString(id) || r.Header.Get("Kong-Request-ID") != "" {
			t.Errorf("the id is %q, and was told %q", id, r.Header.Get("Kong-Request-ID"))
		}
		g.Load(config("")) // the counter goes on
	}
	if r := g.Do("GET /", "Kong-Request-ID: mine"); r.Upstream.Header.Get("Kong-Request-ID") != "mine" {
		t.Errorf("the id is %q", r.Upstream.Header.Get("Kong-Request-ID"))
	}
	g = plugintest.New(t, plugin.NewRegistry(correlation.Kind()), config("generator: uuid, header_name: X-Id, echo_downstream: true"))
	r := g.Do("GET /")
	if id := r.Upstream.Header.Get("X-Id"); !regexp.MustCompile("^"+uuid+"$").MatchString(id) || r.Header.Get("X-Id") != id {
		t.Errorf("the id is %q, and was told %q", id, r.Header.Get("X-Id"))
	}
	if problems := plugintest.Problems(plugin.NewRegistry(correlation.Kind()), config("generator: tracker")); !strings.Contains(problems, "config.generator: tracker is not supported") {
		t.Errorf("the problems are %s", problems)
	}
}
