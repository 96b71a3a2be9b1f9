// Package resource is what tables, containers, queues and streams have in common
// for the binding layer: a name that is unique in an app, and typed access by a
// key string, so that struct tags such as `bind:"metadata/{fileId}"` work on all
// of them alike.
package resource

import (
	"context"
	"errors"
	"reflect"
)

// What every kind of resource can answer. Requests that fail with them get a status of
// their own.
var (
	// ErrNotFound: an input binding names something that does not exist.
	ErrNotFound = errors.New("perdure: not found")
	// ErrExists: what was to be made new is there already.
	ErrExists = errors.New("exists already")
	// ErrChanged: something is not what its ETag was taken of.
	ErrChanged = errors.New("has changed")
)

// Resource is a named resource that an app can bind.
type Resource interface {
	// ResourceName is the name, unique in an app over all kinds.
	ResourceName() string
	// ResourceKind is "table", "container", "queue" or "stream".
	ResourceKind() string
	// BindInput returns how a field of type t is filled. The error says what
	// the field's type should be.
	BindInput(t reflect.Type) (Input, error)
	// BindOutput returns how a field of type t is written. The error says what
	// the field's type should be.
	BindOutput(t reflect.Type) (Output, error)
}

// Input reads what key names, in the unit of ctx, as a value of the bound type.
// It fails with ErrNotFound when there is nothing.
type Input func(ctx context.Context, key string) (reflect.Value, error)

// Output writes v under key in the unit of ctx.
type Output func(ctx context.Context, key string, v reflect.Value) error

// Collection is a Resource of which a field can be filled with several at once.
type Collection interface {
	Resource
	// BindCollection returns how a field of the slice type t is filled. The error says
	// what the field's type should be.
	BindCollection(t reflect.Type) (List, error)
}

// List reads, in the unit of ctx, the first of those whose keys begin with prefix, at most
// limit, in the order of their keys, as a value of the bound slice type.
type List func(ctx context.Context, prefix string, limit int) (reflect.Value, error)
