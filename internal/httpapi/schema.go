package httpapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/problem"
)

// direction tells schemas of requests from those of answers.
type direction int

const (
	request direction = iota
	strictRequest
	response
)

// schemas generates the document's schemas from Go types.
type schemas struct {
	registry  huma.Registry
	names     map[string]reflect.Type
	requested map[string]bool // names that requests lead to
	strict    map[string]bool // those of them that strict bodies lead to
	lenient   map[string]bool // and those that others do
}

const schemaPrefix = "#/components/schemas/"

func newSchemas() *schemas {
	s := &schemas{names: map[string]reflect.Type{}, requested: map[string]bool{}, strict: map[string]bool{}, lenient: map[string]bool{}}
	s.registry = huma.NewMapRegistry(schemaPrefix, s.name)
	return s
}

// name gives a type its schema's name: the type's own, preceded by its package's
// when another type has it already.
func (s *schemas) name(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	base := huma.DefaultSchemaNamer(t, hint)
	if t.Kind() != reflect.Struct {
		return base
	}
	pkg := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	name := base
	for n := 2; s.names[name] != nil && s.names[name] != t; n++ {
		switch {
		case n == 2 && pkg != "":
			name = strings.ToUpper(pkg[:1]) + pkg[1:] + base
		default:
			name = base + strconv.Itoa(n)
		}
	}
	s.names[name] = t
	return name
}

// of returns the schema of a JSON body. The generator panics on what it does not
// know; that becomes an error.
func (s *schemas) of(t reflect.Type, d direction) (schema *huma.Schema, err error) {
	defer func() {
		if v := recover(); v != nil {
			schema, err = nil, fmt.Errorf("type %s: %v", t, v)
		}
	}()
	schema = s.registry.Schema(t, true, "Body")
	if schema == nil {
		return &huma.Schema{}, nil
	}
	switch d {
	case request:
		s.note(s.requested, schema)
		s.note(s.lenient, schema)
	case strictRequest:
		s.note(s.requested, schema)
		s.note(s.strict, schema)
	}
	return schema, nil
}

// note notes the names of schema and of all below it.
func (s *schemas) note(names map[string]bool, schema *huma.Schema) {
	if schema == nil {
		return
	}
	if name, ok := strings.CutPrefix(schema.Ref, schemaPrefix); ok {
		if names[name] {
			return
		}
		names[name] = true
		schema = s.registry.Map()[name]
	}
	s.note(names, schema.Items)
	for _, p := range schema.Properties {
		s.note(names, p)
	}
	if below, ok := schema.AdditionalProperties.(*huma.Schema); ok {
		s.note(names, below)
	}
}

// finish makes the schemas say what the functions do: members of a request may be
// missing, and unknown ones are ignored unless the body is strict.
func (s *schemas) finish() {
	for name, schema := range s.registry.Map() {
		if schema.AdditionalProperties == false && (!s.strict[name] || s.lenient[name]) {
			schema.AdditionalProperties = nil
		}
		if s.requested[name] {
			schema.Required = nil
		}
	}
}

// problem returns the schema of problem details.
func (s *schemas) problem() *huma.Schema {
	s.registry.Map()["Problem"] = &huma.Schema{
		Type: huma.TypeObject, Title: "Problem", Description: "Problem details (RFC 9457)",
		Required: []string{"title", "status"},
		Properties: map[string]*huma.Schema{
			"type":     {Type: huma.TypeString, Format: "uri-reference", Description: "The kind of problem; about:blank when absent."},
			"title":    {Type: huma.TypeString, Description: "The kind of problem in a few words."},
			"status":   {Type: huma.TypeInteger, Description: "The HTTP status."},
			"detail":   {Type: huma.TypeString, Description: "What went wrong this time."},
			"instance": {Type: huma.TypeString, Format: "uri-reference", Description: "This occurrence."},
			"id":       {Type: huma.TypeString, Description: "Finds this occurrence in the log."},
			"errors": {
				Type: huma.TypeArray, Description: "What is wrong with the request.",
				Items: &huma.Schema{Type: huma.TypeObject, Required: []string{"in", "detail"}, Properties: map[string]*huma.Schema{
					"in":     {Type: huma.TypeString, Description: "The part of the request."},
					"name":   {Type: huma.TypeString, Description: "The parameter, or the place in the body."},
					"detail": {Type: huma.TypeString, Description: "What is wrong with it."},
				}},
			},
		},
	}
	s.names["Problem"] = reflect.TypeFor[problem.Error]()
	return &huma.Schema{Ref: schemaPrefix + "Problem"}
}

// param returns the schema of a parameter.
func (s *schemas) param(p binding.Param) (*huma.Schema, error) {
	schema, err := s.text(p.Type, p.List)
	if err == nil && p.Default != "" {
		schema.Default = p.Default
		var value any
		if schema.Type != huma.TypeString && json.Unmarshal([]byte(p.Default), &value) == nil {
			schema.Default = value
		}
	}
	return schema, err
}

// text returns the schema of a value that is written as text.
func (s *schemas) text(t reflect.Type, list bool) (*huma.Schema, error) {
	if list {
		item, err := s.text(t, false)
		return &huma.Schema{Type: huma.TypeArray, Items: item}, err
	}
	if t == reflect.TypeFor[time.Duration]() {
		return &huma.Schema{Type: huma.TypeString, Description: "A duration such as 1h30m", Examples: []any{"1h30m"}}, nil
	}
	return s.of(t, response)
}

// form returns the schema of the form fields among params; nil without any.
func (s *schemas) form(params []binding.Param) (*huma.Schema, error) {
	schema := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
	for _, p := range params {
		if p.In != "form" {
			continue
		}
		field, err := s.param(p)
		if err != nil {
			return nil, err
		}
		field.Description = cmp.Or(p.Doc, field.Description)
		schema.Properties[p.Name] = field
		if p.Required {
			schema.Required = append(schema.Required, p.Name)
		}
	}
	if len(schema.Properties) == 0 {
		return nil, nil
	}
	return schema, nil
}
