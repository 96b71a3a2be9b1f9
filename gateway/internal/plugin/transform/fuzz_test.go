package transform_test

import (
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin/transform"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

func FuzzTemplate(f *testing.F) {
	for _, text := range []string{"plain", "$(headers.a)", "a$(query_params['b'] or \"c\")d$(uri_captures[1])", "$(", "$(headers", "$(headers[)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x := new(proxy.Exchange)
		x.Request.Fields = new(h1.Fields)
		got, err := transform.Render(text, x)
		if err == nil && !strings.Contains(text, "$(") && got != text {
			t.Errorf("%q is rendered as %q", text, got)
		}
		if err == nil && len(got) > len(text) {
			t.Errorf("%q is rendered as %q of nothing", text, got)
		}
	})
}
