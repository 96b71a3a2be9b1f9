package transform

import (
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// Response returns the plugin response-transformer.
func Response() *plugin.Kind {
	var fields []plugin.Field
	for _, action := range actions {
		inner := []plugin.Field{bodies("json"), part(action, "headers", false)}
		if action != "remove" && action != "rename" {
			inner = append(inner, bodies("json_types"))
		}
		fields = append(fields, plugin.Field{Name: action, Type: plugin.Record, Fields: inner})
	}
	return &plugin.Kind{
		Name: "response-transformer", Priority: 800, Schema: plugin.Schema{Fields: fields},
		New: func(s plugin.Setup) (any, error) {
			r, _ := newRules(s.Values, "headers", false)
			return &response{r}, nil
		},
	}
}

type response struct{ fields rules }

// HeaderFilter implements proxy.HeaderFilter.
func (p *response) HeaderFilter(x *proxy.Exchange) { p.fields.headers(x.Response.Fields, x) }
