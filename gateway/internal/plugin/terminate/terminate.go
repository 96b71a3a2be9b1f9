// Package terminate is Kong's plugin request-termination: requests are answered here.
package terminate

import (
	"fmt"
	"net/http"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

const name = "request-termination"

// Kind returns the plugin.
func Kind() *plugin.Kind {
	return &plugin.Kind{
		Name: name, Priority: 2, New: newInstance,
		Schema: plugin.Schema{
			Fields: []plugin.Field{
				{Name: "status_code", Type: plugin.Integer, Default: 503.0, Required: true, Between: &[2]float64{100, 599}, Check: func(value any) string {
					if value.(float64) < 200 {
						return "is no status that ends a request"
					}
					return ""
				}},
				{Name: "message", Type: plugin.String},
				{Name: "content_type", Type: plugin.String},
				{Name: "body", Type: plugin.String},
				{Name: "echo", Type: plugin.Boolean, Default: false, Required: true, Check: plugin.Unsupported("perdure gateway explain says what was asked, and why it was answered so")},
				{Name: "trigger", Type: plugin.String, Check: plugin.CheckHeaderName},
			},
			Check: check,
		},
	}
}

func check(v plugin.Values) []entity.FieldProblem {
	message, contentType, body := v.String("message") != "", v.String("content_type") != "", v.String("body") != ""
	switch {
	case message && (contentType || body):
		return []entity.FieldProblem{{Field: "message", Message: "cannot be used with content_type or body"}}
	case contentType && !body:
		return []entity.FieldProblem{{Field: "content_type", Message: "needs body"}}
	}
	return nil
}

type instance struct {
	status                     int
	message, contentType, body string
	trigger                    string
}

// messages are what is said if nothing is set.
var messages = map[int]string{
	401: "Unauthorized", 404: "Not found", 405: "Method not allowed", 500: "An unexpected error occurred", 502: "Bad Gateway", 503: "Service unavailable",
}

func newInstance(s plugin.Setup) (any, error) {
	v := s.Values
	p := &instance{
		status: v.Int("status_code"), message: v.String("message"), contentType: v.String("content_type"), body: v.String("body"), trigger: v.String("trigger"),
	}
	if p.message == "" {
		p.message = messages[p.status]
	}
	if p.contentType == "" {
		p.contentType = plugin.JSON
	}
	return p, nil
}

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) {
	if p.trigger != "" && !x.Request.Fields.Has(p.trigger) && !inQuery(x.Request.Query, p.trigger) {
		x.Note(name, "passed over: there is no "+p.trigger)
		return
	}
	plugin.Refuse(x, name, fmt.Sprintf("requests are answered by %d", p.status))
	switch {
	case p.status == http.StatusNoContent || p.status == http.StatusNotModified:
		plugin.Exit(x, p.status, nil)
	case p.body != "":
		x.Answer(p.status, p.contentType, []byte(p.body))
	case p.message != "":
		plugin.Exit(x, p.status, plugin.Message{Message: p.message})
	default:
		plugin.Exit(x, p.status, nil)
	}
}

func inQuery(query, name string) bool {
	for range plugin.QueryValues(query, name) {
		return true
	}
	return false
}
