// Package correlation is Kong's plugin correlation-id: requests get an id in a header, unless they have one.
package correlation

import (
	"strconv"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

const name = "correlation-id"

// Kind returns the plugin.
func Kind() *plugin.Kind {
	return &plugin.Kind{
		Name: name, Priority: 100001, New: newInstance,
		Schema: plugin.Schema{Fields: []plugin.Field{
			{Name: "header_name", Type: plugin.String, Default: "Kong-Request-ID", Check: plugin.CheckHeaderName},
			{Name: "generator", Type: plugin.String, Default: "uuid#counter", Required: true, OneOf: []string{"uuid", "uuid#counter", "tracker"}, Check: func(value any) string {
				if value == "tracker" {
					return "tracker is not supported; uuid and uuid#counter are"
				}
				return ""
			}},
			{Name: "echo_downstream", Type: plugin.Boolean, Default: false, Required: true},
		}},
	}
}

// counter makes the ids of "uuid#counter".
type counter struct {
	prefix string
	n      atomic.Int64
}

type instance struct {
	header  string
	added   any      // says that the header is of here
	counter *counter // nil for "uuid"
	echo    bool
}

func newInstance(s plugin.Setup) (any, error) {
	p := &instance{header: s.Values.String("header_name"), echo: s.Values.Bool("echo_downstream")}
	p.added = plugin.AddedKey(p.header)
	if s.Values.String("generator") == "uuid#counter" {
		p.counter = plugin.KeepForAll(s, name, func() *counter { return &counter{prefix: uuid.NewString() + "#"} })
	}
	return p, nil
}

// newID makes an id. A dry run counts nothing: it has the one that the next request will have.
func (p *instance) newID(x *proxy.Exchange) string {
	switch {
	case p.counter == nil:
		return uuid.NewString()
	case x.DryRun:
		return p.counter.prefix + strconv.FormatInt(p.counter.n.Load()+1, 10)
	}
	return p.counter.prefix + strconv.FormatInt(p.counter.n.Add(1), 10)
}

// Access implements proxy.Access.
func (p *instance) Access(x *proxy.Exchange) {
	if len(x.Request.Fields.Peek(p.header)) == 0 {
		x.Request.Fields.Set(p.header, p.newID(x))
		x.SetValue(p.added, true)
	}
}

// HeaderFilter implements proxy.HeaderFilter.
func (p *instance) HeaderFilter(x *proxy.Exchange) {
	if !p.echo {
		return
	}
	id := x.Request.Fields.Get(p.header)
	if id == "" {
		id = p.newID(x)
	}
	x.Response.Fields.Set(p.header, id)
}
