package admin

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// collection is a list of entities of a kind.
type collection struct {
	path string
	// kind is also what messages and tags call it. There are none of those that entity does not know.
	kind entity.Kind
	// nested is the path below what the entities belong to; "" is path.
	nested string
	refs   []reference
}

// reference is a field by which an entity belongs to another.
type reference struct {
	field string
	to    string // path of the other's collection
	get   func(entity.Entity) entity.Entity
}

func refer[T any, E entity.Entity](field, to string, ref func(E) entity.Ref[T]) reference {
	return reference{field, to, func(e entity.Entity) entity.Entity {
		if of, is := e.(E); is {
			if r := ref(of); r.To != nil {
				other, _ := any(r.To).(entity.Entity)
				return other
			}
		}
		return nil
	}}
}

// none is a reference of entities of which there are none.
func none(field, to string) reference {
	return reference{field, to, func(entity.Entity) entity.Entity { return nil }}
}

// collections are all lists, those first that others refer to.
var collections = []collection{
	{path: "certificates", kind: entity.Certificates},
	{path: "ca_certificates", kind: entity.CACertificates},
	{path: "snis", kind: entity.SNIs, refs: []reference{
		refer("certificate", "certificates", func(s *entity.SNI) entity.Ref[entity.Certificate] { return s.Certificate }),
	}},
	{path: "services", kind: entity.Services, refs: []reference{
		refer("client_certificate", "certificates", func(s *entity.Service) entity.Ref[entity.Certificate] { return s.ClientCertificate }),
	}},
	{path: "routes", kind: entity.Routes, refs: []reference{
		refer("service", "services", func(r *entity.Route) entity.Ref[entity.Service] { return r.Service }),
	}},
	{path: "consumers", kind: entity.Consumers},
	{path: "plugins", kind: entity.Plugins, refs: []reference{
		refer("service", "services", func(p *entity.Plugin) entity.Ref[entity.Service] { return p.Service }),
		refer("route", "routes", func(p *entity.Plugin) entity.Ref[entity.Route] { return p.Route }),
		refer("consumer", "consumers", func(p *entity.Plugin) entity.Ref[entity.Consumer] { return p.Consumer }),
	}},
	{path: "upstreams", kind: entity.Upstreams, refs: []reference{
		refer("client_certificate", "certificates", func(u *entity.Upstream) entity.Ref[entity.Certificate] { return u.ClientCertificate }),
	}},
	{path: "targets", kind: entity.Targets, refs: []reference{
		refer("upstream", "upstreams", func(t *entity.Target) entity.Ref[entity.Upstream] { return t.Upstream }),
	}},
	{path: "acls", kind: entity.ACLs, refs: []reference{
		refer("consumer", "consumers", func(g *entity.ACLGroup) entity.Ref[entity.Consumer] { return g.Consumer }),
	}},
	{path: "jwts", kind: entity.JWTs, nested: "jwt", refs: []reference{
		refer("consumer", "consumers", func(c *entity.JWTCredential) entity.Ref[entity.Consumer] { return c.Consumer }),
	}},
	{path: "key-auths", kind: entity.KeyAuths, nested: "key-auth", refs: []reference{
		refer("consumer", "consumers", func(c *entity.KeyAuth) entity.Ref[entity.Consumer] { return c.Consumer }),
	}},
	{path: "basic-auths", kind: "basicauth_credentials", nested: "basic-auth", refs: []reference{none("consumer", "consumers")}},
	{path: "hmac-auths", kind: "hmacauth_credentials", nested: "hmac-auth", refs: []reference{none("consumer", "consumers")}},
	{path: "mtls-auths", kind: "mtls_auth_credentials", nested: "mtls-auth", refs: []reference{none("consumer", "consumers")}},
	{path: "oauth2", kind: "oauth2_credentials", refs: []reference{none("consumer", "consumers")}},
	{path: "consumer_groups", kind: "consumer_groups", refs: []reference{none("consumer", "consumers")}},
	{path: "filter-chains", kind: "filter_chains", refs: []reference{none("service", "services"), none("route", "routes")}},
	{path: "vaults", kind: "vaults"},
	{path: "key-sets", kind: "key_sets"},
	{path: "keys", kind: "keys", refs: []reference{none("set", "key-sets")}},
}

func collectionAt(path string) *collection {
	for i := range collections {
		if collections[i].path == path {
			return &collections[i]
		}
	}
	return nil
}

// below is the path of the list below what its entities belong to.
func (c *collection) below() string {
	if c.nested != "" {
		return c.nested
	}
	return c.path
}

// child finds the list of what belongs to entities of c.
func (c *collection) child(nested string) (*collection, *reference) {
	for i := range collections {
		child := &collections[i]
		if child.below() != nested {
			continue
		}
		for j := range child.refs {
			if child.refs[j].to == c.path {
				return child, &child.refs[j]
			}
		}
	}
	return nil, nil
}

// matchCollection finds what a path of a collection leads to.
func matchCollection(path []string) *endpoint {
	c := collectionAt(path[0])
	switch {
	case c == nil || len(path) > 4:
		return nil
	case len(path) == 1:
		return &endpoint{string(c.kind), func(q *request) answer { return q.all(c) }}
	case len(path) == 2:
		return &endpoint{string(c.kind), func(q *request) answer { return q.one(q.find(c, path[1])) }}
	}
	if c.kind == entity.Upstreams && path[2] == "health" && len(path) == 3 {
		return &endpoint{get: func(q *request) answer { return q.health(path[1]) }}
	}
	if len(path) == 3 {
		for _, ref := range c.refs {
			if ref.field == path[2] {
				return &endpoint{string(collectionAt(ref.to).kind), func(q *request) answer { return q.referred(c, path[1], ref) }}
			}
		}
	}
	child, ref := c.child(path[2])
	if child == nil {
		return nil
	}
	list := func(q *request) answer { return q.belonging(c, path[1], child, ref) }
	switch {
	case len(path) == 3:
		return &endpoint{string(child.kind), list}
	case child.kind == entity.Targets && path[3] == "all":
		return &endpoint{get: list}
	}
	return &endpoint{string(child.kind), func(q *request) answer { return q.member(c, path[1], child, ref, path[3]) }}
}

// all lists a collection.
func (q *request) all(c *collection) answer {
	list := q.index.lists[c.kind]
	if c.kind == entity.Consumers && q.query.Has("custom_id") {
		custom := q.query.Get("custom_id")
		list = slices.DeleteFunc(slices.Clone(list), func(e entity.Entity) bool { return e.(*entity.Consumer).CustomID != custom })
	}
	return q.page(list, "/"+c.path)
}

// one answers with an entity, if there is one.
func (q *request) one(e entity.Entity) answer {
	if e == nil {
		return notFound()
	}
	return ok(q.show(e))
}

// find finds an entity by its id, or by what names it.
func (q *request) find(c *collection, key string) entity.Entity {
	if e := q.index.config.Lookup(c.kind, key); e != nil {
		if !q.secrets && c.kind == entity.KeyAuths && entity.MetaOf(e).ID != key {
			return nil // whoever may not see keys cannot try them either
		}
		return e
	}
	switch c.kind {
	case entity.Certificates:
		if sni, is := q.index.config.Lookup(entity.SNIs, key).(*entity.SNI); is && sni.Certificate.To != nil {
			return sni.Certificate.To
		}
	case entity.Consumers:
		for _, consumer := range q.index.config.Consumers {
			if consumer.CustomID == key {
				return consumer
			}
		}
	}
	return nil
}

// referred answers with what a field of an entity refers to.
func (q *request) referred(c *collection, key string, ref reference) answer {
	e := q.find(c, key)
	if e == nil {
		return notFound()
	}
	return q.one(ref.get(e))
}

// belonging lists what belongs to an entity.
func (q *request) belonging(c *collection, key string, child *collection, ref *reference) answer {
	parent := q.find(c, key)
	if parent == nil {
		return notFound()
	}
	return q.page(q.index.of(child, ref, parent), fmt.Sprintf("/%s/%s/%s", c.path, url.PathEscape(key), child.below()))
}

// member answers with one of what belongs to an entity.
func (q *request) member(c *collection, key string, child *collection, ref *reference, name string) answer {
	parent := q.find(c, key)
	if parent == nil {
		return notFound()
	}
	e := q.find(child, name)
	if child.kind == entity.Targets || child.kind == entity.ACLs { // their names are theirs among those of the parent
		for _, other := range q.index.of(child, ref, parent) {
			if other.Label() == name {
				e = other
			}
		}
	}
	if e == nil || ref.get(e) != parent {
		return notFound()
	}
	return ok(q.show(e))
}

// endpoints lists the paths.
func (q *request) endpoints() answer {
	list := []string{
		"/", "/config", "/endpoints", "/plugins/enabled", "/plugins/schema/{name}", "/schemas/{name}", "/schemas/plugins/{name}",
		"/status", "/status/ready", "/tags", "/tags/{tags}", "/upstreams/{upstreams}/health", "/upstreams/{upstreams}/targets/all",
	}
	for i := range collections {
		c := &collections[i]
		one := fmt.Sprintf("/%s/{%s}", c.path, c.kind)
		list = append(list, "/"+c.path, one)
		for _, ref := range c.refs {
			of := collectionAt(ref.to)
			nested := fmt.Sprintf("/%s/{%s}/%s", of.path, of.kind, c.below())
			list = append(list, one+"/"+ref.field, nested, fmt.Sprintf("%s/{%s}", nested, c.kind))
		}
	}
	slices.SortFunc(list, func(a, b string) int { // by segments
		return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
	})
	return ok(map[string]any{"data": list})
}
