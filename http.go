package perdure

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/httpapi"
)

// HTTPOption configures an HTTP function.
type HTTPOption = httpapi.Option

// Upload is an uploaded file as a function's body: the raw body of a request, or one
// field of a multipart form. It is streamed, never kept in memory as a whole.
type Upload = binding.Upload

// HTTP makes fn answer the requests that match pattern, written as for http.ServeMux:
// "POST /api/approve/{fileId}". A request is one unit of work; the answer is sent after
// its commit. Errors are answered as problem details (RFC 9457).
func HTTP[In, Out any](pattern string, fn func(context.Context, *In) (*Out, error), opts ...HTTPOption) Part {
	return httpapi.New(pattern, fn, opts...)
}

// Handle serves the requests that match pattern by a plain http.Handler: pages, files.
// It has no unit of work.
func Handle(pattern string, handler http.Handler) Part {
	return handled{pattern: pattern, handler: handler}
}

type handled struct {
	pattern  string
	handler  http.Handler
	requires httpapi.Requirements
	// what is "Handle", or what else it is in messages.
	what string
}

// in returns the handler as it is in groups with policies, the innermost first.
func (h handled) in(groups []auth.Policy) handled {
	for _, policy := range groups {
		h.requires = h.requires.In(policy)
	}
	return h
}

// name names the handler in messages.
func (h handled) name() string { return cmp.Or(h.what, "Handle") + " " + h.pattern }

// Named sets a function's name in messages, logs and the OpenAPI document.
func Named(name string) HTTPOption { return httpapi.Named(name) }

// Summary sets the line that the OpenAPI document says about a function.
func Summary(text string) HTTPOption { return httpapi.Summary(text) }

// Description sets what the OpenAPI document says about a function at length, in
// CommonMark.
func Description(text string) HTTPOption { return httpapi.Description(text) }

// MaxBody bounds the request body, in bytes. The default is 1 MiB for a body kept in
// memory and 64 MiB for a streamed one.
func MaxBody(bytes int64) HTTPOption { return httpapi.MaxBody(bytes) }

// NoUnit runs a function without a unit of work. It opens units itself, by App.Unit,
// for example to send a request and wait for the reply.
func NoUnit() HTTPOption { return httpapi.NoUnit() }

// Hidden leaves a function out of the OpenAPI document.
func Hidden() HTTPOption { return httpapi.Hidden() }

// Origin is the address a request came to, such as "http://localhost:8080", without a
// path: what an absolute URL in its answer begins with. A field of this type in the In
// of an HTTP function is filled with it.
type Origin string

// URL returns a link in full: behind o, unless it is absolute already.
func (o Origin) URL(link string) string {
	if strings.HasPrefix(link, "/") {
		return string(o) + link
	}
	return link
}

// injectors fill fields by their type alone.
var injectors = map[reflect.Type]binding.Injector{
	reflect.TypeFor[Origin](): func(_ context.Context, r *http.Request) (reflect.Value, error) {
		if r == nil {
			return reflect.Value{}, errors.New("perdure: Origin in a function that is not triggered by HTTP")
		}
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		return reflect.ValueOf(Origin(scheme + "://" + r.Host)), nil
	},
	httpapi.Known:   injectPrincipal,
	httpapi.Perhaps: injectPerhaps,
}
