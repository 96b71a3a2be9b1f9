package admin

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// dump answers with the whole configuration as a file in Kong's format. It is JSON, which is YAML.
func (q *request) dump() answer {
	file := map[string]any{"_format_version": "3.0", "_transform": false}
	for i := range collections {
		c := &collections[i]
		var list []any
		for _, e := range q.index.lists[c.kind] {
			fields, err := q.plain(c, e)
			if err != nil {
				return q.unexpected(err)
			}
			list = append(list, fields)
		}
		if list != nil {
			file[string(c.kind)] = list
		}
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return q.unexpected(err)
	}
	return ok(map[string]string{"config": string(text) + "\n"})
}

// plain are the fields of an entity as a file has them.
func (q *request) plain(c *collection, e entity.Entity) (map[string]any, error) {
	text, err := json.Marshal(q.show(e))
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		return nil, fmt.Errorf("%s: %w", entity.Describe(e), err)
	}
	for _, ref := range c.refs {
		if to := ref.get(e); to != nil {
			fields[ref.field] = entity.MetaOf(to).ID
		}
	}
	if c.kind == entity.Certificates {
		delete(fields, "snis") // they are a list of their own
	}
	for name, value := range fields {
		if value == nil {
			delete(fields, name)
		}
	}
	return fields, nil
}
