package perdure

import "github.com/perdure/perdure/internal/resource"

// listenTo has the changes of a table noted.
func (r *running) listenTo(table resource.Resource) {
	if r.env.Feeds == nil {
		r.env.Feeds = map[string]bool{}
	}
	r.env.Feeds[table.ResourceName()] = true
}
