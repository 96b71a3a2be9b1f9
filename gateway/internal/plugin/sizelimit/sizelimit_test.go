package sizelimit_test

import (
	"io"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/plugin/plugintest"
	"github.com/perdure/perdure/gateway/internal/plugin/sizelimit"
)

func config(settings string) string {
	return "routes:\n- name: it\n  paths: [/]\n  plugins: [{name: request-size-limiting, config: {" + settings + "}}]\n"
}

// chunked hides the length of a body.
type chunked struct{ io.Reader }

func TestSizes(t *testing.T) {
	t.Parallel()
	body := func(n int) io.Reader { return strings.NewReader(strings.Repeat("x", n)) }
	for _, tt := range []struct {
		settings string
		body     io.Reader
		status   int
	}{
		{"allowed_payload_size: 10, size_unit: bytes", body(10), 200},
		{"allowed_payload_size: 10, size_unit: bytes", body(11), 413},
		{"allowed_payload_size: 10, size_unit: bytes", nil, 200},
		{"allowed_payload_size: 1, size_unit: kilobytes", body(1024), 200},
		{"allowed_payload_size: 1, size_unit: kilobytes", body(1025), 413},
		{"allowed_payload_size: 1", body(1 << 20), 200},
		{"allowed_payload_size: 1", body(1<<20 + 1), 413},
		{"allowed_payload_size: 10, size_unit: bytes", chunked{body(10)}, 200},
		{"allowed_payload_size: 10, size_unit: bytes", chunked{body(11)}, 413},
		{"allowed_payload_size: 10, size_unit: bytes, require_content_length: true", chunked{body(5)}, 200},
	} {
		g := plugintest.New(t, plugin.NewRegistry(sizelimit.Kind()), config(tt.settings))
		r := g.Send("POST /", tt.body)
		if r.Status != tt.status || tt.status == 413 && !strings.Contains(r.Body, `"Request size limit exceeded"`) {
			t.Errorf("{%s}: answered %d %s, want %d", tt.settings, r.Status, r.Body, tt.status)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"allowed_payload_size: -1":  "config.allowed_payload_size: -1 is not between 0 and",
		"allowed_payload_size: 1.5": "config.allowed_payload_size: 1.5 is not a whole number",
		"size_unit: gigabytes":      `config.size_unit: "gigabytes" is none of the values; did you mean "megabytes"?`,
	} {
		if problems := plugintest.Problems(plugin.NewRegistry(sizelimit.Kind()), config(settings)); !strings.Contains(problems, want) {
			t.Errorf("{%s} has the problems %v, want %s", settings, problems, want)
		}
	}
}
