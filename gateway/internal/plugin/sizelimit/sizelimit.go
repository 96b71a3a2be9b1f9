// Package sizelimit is Kong's plugin request-size-limiting: larger bodies are refused, before they go on if they
// say how large they are, or else once that much has come.
package sizelimit

import (
	"fmt"
	"net/http"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

const name = "request-size-limiting"

// units are how many bytes one is.
var units = map[string]int64{"bytes": 1, "kilobytes": 1 << 10, "megabytes": 1 << 20}

// Kind returns the plugin.
func Kind() *plugin.Kind {
	return &plugin.Kind{
		Name: name, Priority: 951, New: newInstance,
		Schema: plugin.Schema{Fields: []plugin.Field{
			{Name: "allowed_payload_size", Type: plugin.Integer, Default: 128.0, Between: &[2]float64{0, 1 << 40}},
			{Name: "size_unit", Type: plugin.String, Default: "megabytes", Required: true, OneOf: []string{"megabytes", "kilobytes", "bytes"}},
			{Name: "require_content_length", Type: plugin.Boolean, Default: false, Required: true},
		}},
	}
}

type instance struct {
	most     int64
	required bool
}

func newInstance(s plugin.Setup) (any, error) {
	return &instance{
		most:     int64(s.Values.Int("allowed_payload_size")) * units[s.Values.String("size_unit")],
		required: s.Values.Bool("require_content_length"),
	}, nil
}

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) {
	switch n := x.Request.Length; {
	case n > p.most:
		plugin.Refuse(x, name, fmt.Sprintf("the body has %d bytes, at most %d are allowed", n, p.most))
		plugin.Error(x, http.StatusRequestEntityTooLarge, "Request size limit exceeded")
	case n >= 0:
		if x.Explain {
			x.Note(name, fmt.Sprintf("the body has %d bytes of %d that are allowed", n, p.most))
		}
	case p.required && x.Request.Major > 1: // a chunked body is one with a length, to Kong
		plugin.Refuse(x, name, "there is no Content-Length, which require_content_length needs")
		plugin.Error(x, http.StatusLengthRequired, "A valid Content-Length header is required")
	default:
		x.Request.Body.Limit(p.most)
		if x.Explain {
			x.Note(name, fmt.Sprintf("the length of the body is not known; it ends when %d bytes have come", p.most))
		}
	}
}
