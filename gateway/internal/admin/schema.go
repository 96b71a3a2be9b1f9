package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
)

// field is a field of an entity as Kong's schemas describe it.
type field struct {
	Type      string             `json:"type"`
	Reference string             `json:"reference,omitempty"`
	Required  bool               `json:"required,omitempty"`
	Unique    bool               `json:"unique,omitempty"`
	UUID      bool               `json:"uuid,omitempty"`
	Auto      bool               `json:"auto,omitempty"`
	Timestamp bool               `json:"timestamp,omitempty"`
	Default   any                `json:"default,omitempty"`
	OneOf     []string           `json:"one_of,omitempty"`
	Elements  *field             `json:"elements,omitempty"`
	Keys      *field             `json:"keys,omitempty"`
	Values    *field             `json:"values,omitempty"`
	Fields    []map[string]field `json:"fields,omitempty"`
}

// schema is a schema of an entity.
type schema struct {
	Name       string             `json:"name"`
	PrimaryKey []string           `json:"primary_key"`
	Fields     []map[string]field `json:"fields"`
}

// models are entities as they are when a file says nothing: what their schemas are made of, so that the defaults that
// are announced are the ones that are there.
func models() []entity.Entity {
	return []entity.Entity{
		entity.NewService(), entity.NewRoute(), &entity.Consumer{}, entity.NewJWTCredential(), &entity.KeyAuth{}, &entity.ACLGroup{},
		entity.NewPlugin(), entity.NewUpstream(), entity.NewTarget(), &entity.Certificate{}, &entity.SNI{}, &entity.CACertificate{},
	}
}

// choices are the texts that a field may have, by the kind and the field.
var choices = map[string][]string{
	"services.protocol":                   {"http", "https", "grpc", "grpcs"},
	"routes.protocols":                    {"http", "https", "grpc", "grpcs"},
	"routes.path_handling":                {"v0", "v1"},
	"plugins.protocols":                   {"http", "https", "grpc", "grpcs"},
	"upstreams.algorithm":                 {"round-robin", "least-connections", "consistent-hashing", "latency"},
	"upstreams.hash_on":                   {"none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"},
	"upstreams.hash_fallback":             {"none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"},
	"upstreams.healthchecks.active.type":  {"tcp", "http", "https", "grpc", "grpcs"},
	"upstreams.healthchecks.passive.type": {"tcp", "http", "https", "grpc", "grpcs"},
	"jwt_secrets.algorithm": {
		"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
	},
}

// required are fields that no entity is without, by the kind and the field; unique are those that are its alone.
var (
	required = map[string]bool{
		"services.host": true, "plugins.name": true, "upstreams.name": true, "targets.target": true, "targets.upstream": true, "snis.name": true,
		"snis.certificate": true, "certificates.cert": true, "certificates.key": true, "ca_certificates.cert": true, "acls.group": true,
	}
	unique = map[string]bool{
		"services.name": true, "routes.name": true, "consumers.username": true, "consumers.custom_id": true, "plugins.instance_name": true,
		"upstreams.name": true, "snis.name": true, "jwt_secrets.key": true, "keyauth_credentials.key": true, "ca_certificates.cert_digest": true,
	}
)

func schemaOf(e entity.Entity) schema {
	kind := string(e.Kind())
	return schema{kind, []string{"id"}, describe(kind, reflect.ValueOf(e).Elem())}
}

func describe(path string, v reflect.Value) []map[string]field {
	var fields []map[string]field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			fields = append(fields, describe(path, v.Field(i))...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || name == "" {
			continue
		}
		at := path + "." + name
		d := describeValue(at, v.Field(i))
		d.Required, d.Unique = d.Required || required[at], unique[at]
		if d.Elements == nil {
			d.OneOf = choices[at]
		}
		switch name {
		case "id":
			d.UUID, d.Auto = true, true
		case "created_at", "updated_at":
			d.Timestamp, d.Auto, d.Default = true, true, nil
		case "tags":
			d.Type = "set"
		}
		fields = append(fields, map[string]field{name: d})
	}
	return fields
}

func describeValue(at string, v reflect.Value) field {
	if ref, is := references[v.Type()]; is {
		return field{Type: "foreign", Reference: ref}
	}
	switch v.Kind() {
	case reflect.Pointer: // may be absent
		d := describeValue(at, reflect.Zero(v.Type().Elem()))
		d.Default = nil
		return d
	case reflect.String:
		d := field{Type: "string"}
		if v.Len() > 0 {
			d.Default = v.String()
		}
		return d
	case reflect.Bool:
		return field{Type: "boolean", Default: v.Bool()}
	case reflect.Int, reflect.Int64:
		return field{Type: "integer", Default: v.Int()}
	case reflect.Float64:
		return field{Type: "number", Default: v.Float()}
	case reflect.Slice:
		d := field{Type: "array", Elements: &field{Type: "string", OneOf: choices[at]}}
		switch v.Type().Elem().Kind() {
		case reflect.Int:
			d.Elements.Type = "integer"
		case reflect.Struct:
			d.Elements = &field{Type: "record"}
		}
		if !v.IsNil() {
			d.Default = v.Interface()
		}
		return d
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.Interface { // the settings of a plugin: each plugin's schema has them
			return field{Type: "record", Required: true}
		}
		return field{Type: "map", Keys: &field{Type: "string"}, Values: &field{Type: "array", Elements: &field{Type: "string"}}}
	case reflect.Struct:
		return field{Type: "record", Required: true, Fields: describe(at, v)}
	}
	panic("admin: no schema for " + at)
}

// references are the kinds that fields refer to.
var references = map[reflect.Type]string{
	reflect.TypeFor[entity.Ref[entity.Service]]():     "services",
	reflect.TypeFor[entity.Ref[entity.Route]]():       "routes",
	reflect.TypeFor[entity.Ref[entity.Consumer]]():    "consumers",
	reflect.TypeFor[entity.Ref[entity.Upstream]]():    "upstreams",
	reflect.TypeFor[entity.Ref[entity.Certificate]](): "certificates",
}

func matchSchemas(path []string) *endpoint {
	switch {
	case len(path) == 1:
		return &endpoint{get: func(q *request) answer { return entitySchema(path[0]) }}
	case len(path) == 2 && path[0] == "plugins":
		return &endpoint{get: func(q *request) answer { return q.pluginSchema(path[1]) }}
	}
	return nil
}

func entitySchema(name string) answer {
	for _, e := range models() {
		if string(e.Kind()) == name {
			return ok(schemaOf(e))
		}
	}
	return answer{http.StatusNotFound, message{fmt.Sprintf("No entity named '%s'", name)}}
}

// pluginSchema answers with the schema of a plugin.
func (q *request) pluginSchema(name string) answer {
	kind := q.o.Registry.Kind(name)
	if kind == nil {
		return noPlugin(name)
	}
	return ok(kind)
}

// settings answers with the schema of a plugin's settings alone.
func (q *request) settings(name string) answer {
	kind := q.o.Registry.Kind(name)
	if kind == nil {
		return noPlugin(name)
	}
	text, err := json.Marshal(kind)
	if err != nil {
		return q.unexpected(err)
	}
	var whole struct{ Fields []map[string]json.RawMessage }
	if err := json.Unmarshal(text, &whole); err != nil {
		return q.unexpected(err)
	}
	for _, f := range whole.Fields {
		if config, is := f["config"]; is {
			return ok(config)
		}
	}
	return q.unexpected(fmt.Errorf("the schema of %s has no config", name))
}

func noPlugin(name string) answer {
	return answer{http.StatusNotFound, message{fmt.Sprintf("No plugin named '%s'", name)}}
}
