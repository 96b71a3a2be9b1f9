package admin

import (
	"net/url"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// index is a configuration in the order of the answers.
type index struct {
	config *entity.Config
	lists  map[entity.Kind][]entity.Entity // by id
	tags   []tagged                        // by key
}

// tagged is a tag of an entity, as Kong shows it.
type tagged struct {
	Name string `json:"entity_name"`
	ID   string `json:"entity_id"`
	Tag  string `json:"tag"`
}

// key orders tags. No tag and no name has a zero byte.
func (t tagged) key() string { return t.Tag + "\x00" + t.Name + "\x00" + t.ID }

// current returns the index of the configuration in use, which is made once for each.
func (h *Handler) current() *index {
	config := h.o.Config()
	if config == nil {
		return &index{config: &entity.Config{}}
	}
	if known := h.index.Load(); known != nil && known.config == config {
		return known
	}
	made := newIndex(config)
	h.index.Store(made)
	return made
}

func newIndex(config *entity.Config) *index {
	x := &index{config: config, lists: map[entity.Kind][]entity.Entity{}}
	for e := range config.All() {
		x.lists[e.Kind()] = append(x.lists[e.Kind()], e)
		for _, tag := range entity.MetaOf(e).Tags {
			x.tags = append(x.tags, tagged{string(e.Kind()), entity.MetaOf(e).ID, tag})
		}
	}
	for _, list := range x.lists {
		slices.SortFunc(list, func(a, b entity.Entity) int { return strings.Compare(entity.MetaOf(a).ID, entity.MetaOf(b).ID) })
	}
	slices.SortFunc(x.tags, func(a, b tagged) int { return strings.Compare(a.key(), b.key()) })
	x.tags = slices.Compact(x.tags)
	return x
}

// of lists what belongs to an entity by a reference.
func (x *index) of(c *collection, ref *reference, parent entity.Entity) []entity.Entity {
	var list []entity.Entity
	for _, e := range x.lists[c.kind] {
		if ref.get(e) == parent {
			list = append(list, e)
		}
	}
	return list
}

func matchTags(path []string) *endpoint {
	if len(path) > 1 {
		return nil
	}
	return &endpoint{get: func(q *request) answer {
		rows, at := q.index.tags, "/tags"
		if len(path) == 1 {
			at += "/" + url.PathEscape(path[0])
			rows = slices.DeleteFunc(slices.Clone(rows), func(t tagged) bool { return t.Tag != path[0] })
		}
		p, refusal := paginate(q, rows, at, tagged.key, func(t tagged) any { return t })
		if refusal.status != 0 {
			return refusal
		}
		return ok(p)
	}}
}
