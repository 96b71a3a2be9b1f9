package manifest

import (
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// rewrite makes the plugin that does what konghq.com/rewrite says. A $1 in it is what the first group of the
// path's regular expression matched, and \$ a dollar.
func (r *reader) rewrite(o *object, route *entity.Route) {
	a, ok := o.annotation("rewrite")
	if !ok {
		return
	}
	uri, ok := captures(a.value)
	if !ok {
		r.Errorf(a.line, `the annotation %srewrite has a $ that no digit follows; write \$ for the character`, kong)
		return
	}
	if uri == "" {
		uri = "/"
	}
	if !route.Service.Set() {
		return
	}
	p := entity.NewPlugin()
	p.Name = "request-transformer"
	p.Config = map[string]any{"replace": map[string]any{"uri": uri}}
	p.Route = entity.RefTo[entity.Route](route.Name)
	p.Source = entity.Source{File: o.file, Line: a.line}
	p.Tags = r.tags(o)
	r.config.Plugins = append(r.config.Plugins, p)
}

// captures writes $1 as the plugin does.
func captures(uri string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(uri); i++ {
		switch {
		case uri[i] == '\\':
			if i++; i == len(uri) || uri[i] != '$' {
				return "", false
			}
			b.WriteByte('$')
		case uri[i] == '$':
			n := i + 1
			for n < len(uri) && uri[n] >= '0' && uri[n] <= '9' {
				n++
			}
			if n == i+1 {
				return "", false
			}
			b.WriteString("$(uri_captures[" + uri[i+1:n] + "])")
			i = n - 1
		default:
			b.WriteByte(uri[i])
		}
	}
	return b.String(), true
}
