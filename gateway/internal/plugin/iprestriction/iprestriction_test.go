package iprestriction_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/iprestriction"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

func config(settings string) string {
	return "routes:\n- name: it\n  paths: [/]\n  plugins: [{name: ip-restriction, config: {" + settings + "}}]\n"
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for settings, statuses := range map[string]map[string]int{
		"allow: [10.1.0.0/16, 192.0.2.7]":             {"10.1.2.3": 200, "10.2.2.3": 403, "192.0.2.7": 200, "192.0.2.8": 403, "::ffff:10.1.2.3": 200, "2001:db8::1": 403},
		"deny: [10.1.0.0/16, '2001:db8::/32']":        {"10.1.2.3": 403, "10.2.2.3": 200, "2001:db8:1::1": 403, "2001:db9::1": 200},
		"allow: [10.0.0.0/8], deny: [10.1.0.0/16]":    {"10.1.2.3": 403, "10.2.2.3": 200, "11.1.1.1": 403},
		"allow: ['::ffff:10.0.0.0/104'], status: 418": {"10.1.2.3": 200, "11.1.1.1": 418},
		"allow: [0.0.0.0/0]":                          {"10.1.2.3": 200, "2001:db8::1": 403},
	} {
		g := plugintest.New(t, plugin.NewRegistry(iprestriction.Kind()), config(settings))
		for addr, want := range statuses {
			r := g.Do("GET /", "X-Forwarded-For: "+addr)
			message := fmt.Sprintf(`"message":"IP address not allowed: %s"`, strings.TrimPrefix(addr, "::ffff:"))
			if r.Status != want || want != 200 && !strings.Contains(r.Body, message) || len(r.Notes) != 1 {
				t.Errorf("{%s} %s: answered %d %s %v, want %d", settings, addr, r.Status, r.Body, r.Notes, want)
			}
		}
	}
	g := plugintest.New(t, plugin.NewRegistry(iprestriction.Kind()), config("allow: [10.0.0.1], message: go away"))
	if r := g.Do("GET /"); !strings.Contains(r.Body, `"message":"go away"`) {
		t.Errorf("answered %s", r.Body)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"":                     "config: needs allow or deny",
		"allow: [10.0.0.0/33]": "config.allow[0]: is neither an IP address nor a network",
		"deny: [localhost]":    "config.deny[0]: is neither an IP address nor a network",
	} {
		if problems := plugintest.Problems(plugin.NewRegistry(iprestriction.Kind()), config(settings)); !strings.Contains(problems, want) {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
}
