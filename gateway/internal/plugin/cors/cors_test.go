package cors_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/cors"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
)

func config(settings string) string {
	return "routes:\n- name: it\n  paths: [/]\n  plugins: [{name: cors, config: {" + settings + "}}]\n"
}

// told are the fields of an answer, "name: value" in a fixed order.
func told(h http.Header) string {
	var list []string
	for _, name := range []string{"Origin", "Credentials", "Methods", "Headers"} {
		if v := h.Values("Access-Control-Allow-" + name); v != nil {
			list = append(list, strings.ToLower(name)+"="+strings.Join(v, "+"))
		}
	}
	for _, name := range []string{"Access-Control-Expose-Headers", "Access-Control-Max-Age", "Access-Control-Allow-Private-Network", "Vary"} {
		if v := h.Values(name); v != nil {
			list = append(list, strings.ToLower(name)+"="+strings.Join(v, "+"))
		}
	}
	return strings.Join(list, " ")
}

const all = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"

func TestPreflight(t *testing.T) {
	t.Parallel()
	ask := []string{"Origin: https://a.test", "Access-Control-Request-Method: PUT"}
	for _, tt := range []struct {
		settings string
		fields   []string
		want     string // "" goes on to the upstream
	}{
		{"", ask, "origin=* methods=" + all},
		{"methods: [GET, PUT], max_age: 60", ask, "origin=* methods=GET,PUT access-control-max-age=60"},
		{"", append([]string{"Access-Control-Request-Headers: x-a, x-b"}, ask...), "origin=* methods=" + all + " headers=x-a, x-b"},
		{"headers: [X-C, X-D]", ask, "origin=* methods=" + all + " headers=X-C,X-D"},
		{"credentials: true", ask, "origin=https://a.test credentials=true methods=" + all + " vary=Origin"},
		{"origins: [https://a.test]", ask, "origin=https://a.test methods=" + all + " vary=Origin"},
		{"origins: [https://b.test, https://c.test]", ask, "methods=" + all + " vary=Origin"},
		{"private_network: true", append([]string{"Access-Control-Request-Private-Network: true"}, ask...), "origin=* methods=" + all + " access-control-allow-private-network=true"},
		{"preflight_continue: true", ask, ""},
		{"", ask[:1], ""},
		{"", ask[1:], ""},
	} {
		r := plugintest.New(t, plugin.NewRegistry(cors.Kind()), config(tt.settings)).Do("OPTIONS /", tt.fields...)
		if (r.Upstream == nil) != (tt.want != "") || tt.want != "" && (r.Status != 200 || told(r.Header) != tt.want || r.Body != "") {
			t.Errorf("{%s} %v: answered %d %q, upstream %v, want %q", tt.settings, tt.fields, r.Status, told(r.Header), r.Upstream != nil, tt.want)
		}
		if strings.Contains(tt.settings, "preflight_continue") && told(r.Header) != "" {
			t.Errorf("the upstream's answer has %q", told(r.Header))
		}
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ settings, origin, want string }{
		{"", "https://a.test", "origin=*"},
		{"", "", "origin=*"},
		{"allow_origin_absent: false", "", ""},
		{"origins: ['*']", "https://a.test", "origin=*"},
		{"origins: [https://b.test]", "https://a.test", "origin=https://b.test vary=Origin"},
		{"origins: [https://a.test, https://b.test]", "https://a.test:443", "origin=https://a.test vary=Origin"},
		{"origins: [https://a.test, https://b.test]", "http://a.test", "vary=Origin"},
		{"origins: [https://a.test, https://b.test]", "", "vary=Origin"},
		{`origins: ["https://.*\\.a\\.test"]`, "https://x.a.test", "origin=https://x.a.test vary=Origin"},
		{`origins: ["https://.*\\.a\\.test"]`, "https://x.a.test.evil", "vary=Origin"},
		{`origins: ["https://a\\.test|https://b\\.test"]`, "https://a.test.evil", "vary=Origin"},
		{`origins: [".*\\.a\\.test"]`, "http://x.a.test:8080", "origin=http://x.a.test:8080 vary=Origin"},
		{"origins: [https://a.test, https://b.test], credentials: true", "https://b.test", "origin=https://b.test credentials=true vary=Origin"},
		{"credentials: true", "https://b.test", "origin=https://b.test credentials=true vary=Origin"},
		{"credentials: true", "", "origin=*"},
		{"exposed_headers: [X-A, X-B]", "https://a.test", "origin=* access-control-expose-headers=X-A,X-B"},
	} {
		var fields []string
		if tt.origin != "" {
			fields = []string{"Origin: " + tt.origin}
		}
		r := plugintest.New(t, plugin.NewRegistry(cors.Kind()), config(tt.settings)).Do("GET /", fields...)
		if got := told(r.Header); got != tt.want || r.Upstream == nil {
			t.Errorf("{%s} %s: told %q, want %q", tt.settings, tt.origin, got, tt.want)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"origins: ['(']":    `config.origins[0]: "(" is neither * nor an origin`,
		"methods: [GOT]":    `config.methods[0]: "GOT" is none of the values; did you mean "GET"?`,
		"credentials: true": "config.credentials: every web page can send requests",
	} {
		if problems := plugintest.Problems(plugin.NewRegistry(cors.Kind()), config(settings)); !strings.Contains(problems, want) {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
}
