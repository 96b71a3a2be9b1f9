package terminate_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/plugin/terminate"
)

func config(settings string) string {
	return "routes:\n- name: it\n  paths: [/]\n  plugins: [{name: request-termination, config: {" + settings + "}}]\n"
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const json = "application/json; charset=utf-8"
	for _, tt := range []struct {
		settings, request string
		fields            []string
		status            int
		contentType, body string
	}{
		{"", "GET /", nil, 503, json, `{"message":"Service unavailable"}`},
		{"status_code: 404", "GET /", nil, 404, json, `{"message":"Not found"}`},
		{"status_code: 418", "GET /", nil, 418, "", ""},
		{"status_code: 204", "GET /", nil, 204, "", ""},
		{"status_code: 403, message: So long <and> thanks", "GET /", nil, 403, json, `{"message":"So long <and> thanks"}`},
		{"status_code: 200, body: <p>, content_type: text/html", "GET /", nil, 200, "text/html", "<p>"},
		{"status_code: 200, body: '{}'", "GET /", nil, 200, json, "{}"},
		{"trigger: X-Down", "GET /", nil, 200, "", ""},
		{"trigger: X-Down", "GET /", []string{"x-down: 1"}, 503, json, `{"message":"Service unavailable"}`},
		{"trigger: X-Down", "GET /?X-Down", nil, 503, json, `{"message":"Service unavailable"}`},
	} {
		r := plugintest.New(t, plugin.NewRegistry(terminate.Kind()), config(tt.settings)).Do(tt.request, tt.fields...)
		reached := strings.Contains(tt.settings, "trigger") && tt.status == 200
		if r.Status != tt.status || r.Header.Get("Content-Type") != tt.contentType || r.Body != tt.body || (r.Upstream != nil) != reached || len(r.Notes) == 0 {
			t.Errorf("%+v: answered %d %q %s, upstream %v", tt, r.Status, r.Header.Get("Content-Type"), r.Body, r.Upstream != nil)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"status_code: 600":         "config.status_code: 600 is not between 100 and 599",
		"status_code: 101":         "config.status_code: is no status that ends a request",
		"message: a, body: b":      "config.message: cannot be used with content_type or body",
		"content_type: text/plain": "config.content_type: needs body",
		"echo: true":               "config.echo: is not supported",
	} {
		if problems := plugintest.Problems(plugin.NewRegistry(terminate.Kind()), config(settings)); !strings.Contains(problems, want) {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
}
