package entity

import (
	"encoding/json"
	"fmt"
)

// Kind is a noun of the configuration, by the name that Kong's Admin API and kong.yml have for its list.
type Kind string

// The kinds.
const (
	Services       Kind = "services"
	Routes         Kind = "routes"
	Consumers      Kind = "consumers"
	JWTs           Kind = "jwt_secrets"
	KeyAuths       Kind = "keyauth_credentials"
	ACLs           Kind = "acls"
	Plugins        Kind = "plugins"
	Upstreams      Kind = "upstreams"
	Targets        Kind = "targets"
	Certificates   Kind = "certificates"
	SNIs           Kind = "snis"
	CACertificates Kind = "ca_certificates"
)

// singular are the kinds as messages name one of them.
var singular = map[Kind]string{
	Services: "service", Routes: "route", Consumers: "consumer", JWTs: "jwt credential", KeyAuths: "key-auth credential",
	ACLs: "acl group", Plugins: "plugin", Upstreams: "upstream", Targets: "target", Certificates: "certificate",
	SNIs: "sni", CACertificates: "ca certificate",
}

// One returns what one of a kind is called in a message.
func (k Kind) One() string { return singular[k] }

// Source is where an entity stands in a file.
type Source struct {
	File string // as it was given
	Line int    // of the entity, from 1; 0 is unknown
	// Fields are the lines of its fields, by their names with dots between the levels ("config.second").
	Fields map[string]int
}

// At returns the line of a field, or of the field it is in, or else of the entity.
func (s *Source) At(field string) int {
	for field != "" {
		if line, ok := s.Fields[field]; ok {
			return line
		}
		field = parent(field)
	}
	return s.Line
}

// parent cuts the last level off the name of a field.
func parent(field string) string {
	for i := len(field) - 1; i > 0; i-- {
		if field[i] == '.' || field[i] == '[' {
			return field[:i]
		}
	}
	return ""
}

func (s *Source) String() string {
	if s.Line == 0 {
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// Meta is what all entities have.
type Meta struct {
	// ID is a UUID. Compile derives it from what identifies the entity if a file gives none, in the way Kong
	// does where it has one: it is the same after a reload.
	ID string `json:"id"`
	// CreatedAt and UpdatedAt are Unix times in seconds: when the file was changed.
	CreatedAt int64    `json:"created_at"`
	UpdatedAt int64    `json:"updated_at"`
	Tags      []string `json:"tags"`
	Source    Source   `json:"-"`
}

func (m *Meta) meta() *Meta { return m }

// Entity is one of the types of this package.
type Entity interface {
	Kind() Kind
	// Label is what messages call it: its name, or else what tells it apart. It is never a secret.
	Label() string
	meta() *Meta
}

// MetaOf returns what all entities have.
func MetaOf(e Entity) *Meta { return e.meta() }

// Describe returns the kind and the label of an entity: route "demo".
func Describe(e Entity) string { return fmt.Sprintf("%s %q", e.Kind().One(), e.Label()) }

// Ref is a reference to another entity.
type Ref[T any] struct {
	// Key is the name or the id that a file gives; empty is no reference.
	Key string
	// To is what it refers to, set by Compile; nil is no reference.
	To *T
}

// RefTo returns a reference by name or id.
func RefTo[T any](key string) Ref[T] { return Ref[T]{Key: key} }

// Set reports whether there is a reference.
func (r Ref[T]) Set() bool { return r.Key != "" }

// ID returns the id of what it refers to, once compiled.
func (r Ref[T]) ID() string {
	if e, ok := any(r.To).(Entity); ok && r.To != nil {
		return e.meta().ID
	}
	return ""
}

// MarshalJSON encodes a reference as Kong does: an object with the id, or null.
func (r Ref[T]) MarshalJSON() ([]byte, error) {
	id := r.ID()
	if id == "" {
		id = r.Key
	}
	if id == "" {
		return []byte("null"), nil
	}
	return json.Marshal(map[string]string{"id": id})
}

// IsZero reports whether there is no reference.
func (r Ref[T]) IsZero() bool { return !r.Set() }

// SetKey makes it a reference by name or id.
func (r *Ref[T]) SetKey(key string) { r.Key, r.To = key, nil }
