package entity

import "iter"

// Config is all that a gateway is told.
type Config struct {
	Services       []*Service
	Routes         []*Route
	Consumers      []*Consumer
	JWTs           []*JWTCredential
	KeyAuths       []*KeyAuth
	ACLs           []*ACLGroup
	Plugins        []*Plugin
	Upstreams      []*Upstream
	Targets        []*Target
	Certificates   []*Certificate
	SNIs           []*SNI
	CACertificates []*CACertificate

	// Set by Compile: the entities by kind and id, and by kind and what is theirs alone.
	ids, keys map[nameKey]Entity
}

type nameKey struct {
	kind Kind
	key  string
}

// All yields every entity, kind by kind in the order of the files.
func (c *Config) All() iter.Seq[Entity] {
	return func(yield func(Entity) bool) {
		_ = each(c.Services, yield) && each(c.Routes, yield) && each(c.Consumers, yield) && each(c.JWTs, yield) &&
			each(c.KeyAuths, yield) && each(c.ACLs, yield) && each(c.Plugins, yield) && each(c.Upstreams, yield) &&
			each(c.Targets, yield) && each(c.Certificates, yield) && each(c.SNIs, yield) && each(c.CACertificates, yield)
	}
}

func each[E Entity](list []E, yield func(Entity) bool) bool {
	for _, e := range list {
		if !yield(e) {
			return false
		}
	}
	return true
}

// Append adds everything of another configuration, before either is compiled.
func (c *Config) Append(other *Config) {
	c.Services = append(c.Services, other.Services...)
	c.Routes = append(c.Routes, other.Routes...)
	c.Consumers = append(c.Consumers, other.Consumers...)
	c.JWTs = append(c.JWTs, other.JWTs...)
	c.KeyAuths = append(c.KeyAuths, other.KeyAuths...)
	c.ACLs = append(c.ACLs, other.ACLs...)
	c.Plugins = append(c.Plugins, other.Plugins...)
	c.Upstreams = append(c.Upstreams, other.Upstreams...)
	c.Targets = append(c.Targets, other.Targets...)
	c.Certificates = append(c.Certificates, other.Certificates...)
	c.SNIs = append(c.SNIs, other.SNIs...)
	c.CACertificates = append(c.CACertificates, other.CACertificates...)
}

// Lookup finds an entity of a compiled configuration by its id, or by what names it: the name of a
// service, a route, an upstream or an SNI, the username of a consumer, the instance name of a plugin.
// It is nil if there is none.
func (c *Config) Lookup(kind Kind, key string) Entity {
	if e, ok := c.keys[nameKey{kind, key}]; ok {
		return e
	}
	return c.ids[nameKey{kind, key}]
}

// Consumer finds a consumer of a compiled configuration by id or username, nil if there is none.
func (c *Config) Consumer(key string) *Consumer {
	found, _ := c.Lookup(Consumers, key).(*Consumer)
	return found
}

// JWT finds a credential of a compiled configuration by its key, nil if there is none.
func (c *Config) JWT(key string) *JWTCredential {
	found, _ := c.keys[nameKey{JWTs, key}].(*JWTCredential)
	return found
}

// KeyAuth finds a credential of a compiled configuration by its secret key, nil if there is none.
func (c *Config) KeyAuth(key string) *KeyAuth {
	found, _ := c.keys[nameKey{KeyAuths, key}].(*KeyAuth)
	return found
}
