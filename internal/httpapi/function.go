package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/perdure/perdure/internal/binding"
)

// Function is a Go function that answers HTTP requests.
type Function struct {
	pattern string
	name    string
	in, out reflect.Type
	call    func(ctx context.Context, in reflect.Value) (reflect.Value, error)

	maxBody     int64
	noUnit      bool
	hidden      bool
	summary     string
	description string
	tags        []string
	requires    Requirements
	faults      []error // of its options
}

// New returns the function that answers requests which match pattern, written as
// for http.ServeMux: "POST /api/approve/{fileId}". Mistakes are reported when it
// is registered.
func New[In, Out any](pattern string, fn func(context.Context, *In) (*Out, error), opts ...Option) *Function {
	f := &Function{
		pattern: pattern,
		name:    pattern,
		in:      reflect.TypeFor[In](),
		out:     reflect.TypeFor[Out](),
	}
	if fn != nil {
		f.call = func(ctx context.Context, in reflect.Value) (reflect.Value, error) {
			out, err := fn(ctx, in.Interface().(*In))
			return reflect.ValueOf(out), err
		}
	}
	for _, o := range opts {
		o(f)
	}
	return f
}

// Name returns the function's name: its pattern, unless Named gave another.
func (f *Function) Name() string { return f.name }

// Pattern returns the pattern it answers.
func (f *Function) Pattern() string { return f.pattern }

// Option changes one function.
type Option func(*Function)

// Named sets the function's name, which messages, logs and the OpenAPI document
// use.
func Named(name string) Option { return func(f *Function) { f.name = name } }

// MaxBody sets the limit of the request's body, in bytes. The default is 1 MiB
// for a body that is kept in memory and 64 MiB for a streamed one.
func MaxBody(bytes int64) Option { return func(f *Function) { f.maxBody = bytes } }

// NoUnit runs the function without a unit of work. It opens units itself, for
// example to send a request and wait for the reply. It cannot have fields bound
// to resources, and takes no Idempotency-Key.
func NoUnit() Option { return func(f *Function) { f.noUnit = true } }

// Summary sets the one line that the OpenAPI document says about the function.
func Summary(text string) Option { return func(f *Function) { f.summary = text } }

// Description sets what the OpenAPI document says about the function at length,
// in CommonMark.
func Description(text string) Option { return func(f *Function) { f.description = text } }

// Tags sets the groups of the OpenAPI document that the function belongs to.
func Tags(tags ...string) Option { return func(f *Function) { f.tags = tags } }

// Hidden leaves the function out of the OpenAPI document.
func Hidden() Option { return func(f *Function) { f.hidden = true } }

// route is a function with its plans, ready to serve.
type route struct {
	*Function
	method, path string
	input        *binding.Input
	output       *binding.Output
	cfg          *Config
	gate         *Gate
	// about returns what Resource policies are asked about; nil without any.
	about func(in reflect.Value) any
}

// compile checks the function and makes its plans.
func (f *Function) compile(cfg *Config) (*route, error) {
	rt := &route{Function: f, cfg: cfg}
	err := errors.Join(f.faults...)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", f.name, err)
	}
	if rt.method, rt.path, err = splitPattern(f.pattern); err != nil {
		return nil, fmt.Errorf("function %s: %w", f.name, err)
	}
	trig := binding.Trigger{Function: f.name, HTTP: true, Path: wildcards(rt.path)}
	if rt.method == http.MethodGet || rt.method == http.MethodHead {
		trig.NoBody = "a " + rt.method + " request has none"
	}
	if f.call == nil {
		return nil, fmt.Errorf("function %s: is nil", f.name)
	}
	if f.maxBody < 0 {
		err = fmt.Errorf("function %s: MaxBody is negative", f.name)
	}
	var inErr, outErr error
	if rt.input, inErr = binding.CompileInput(f.in, trig, cfg.Bindings); inErr == nil {
		rt.output, outErr = binding.CompileOutput(f.out, rt.input, cfg.Bindings)
	}
	if err = errors.Join(err, inErr, outErr); err != nil {
		return nil, err
	}
	if f.noUnit && (rt.input.Binds() || rt.output.Binds()) {
		return nil, fmt.Errorf("function %s: has no unit of work, so no field can be bound to a resource; drop NoUnit or the bind tags", f.name)
	}
	return rt, rt.guard()
}

// splitPattern splits "METHOD /path"; the method may be missing. A pattern with a
// host is refused: one app answers under all its names.
func splitPattern(pattern string) (method, path string, err error) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = "", pattern
	}
	path = strings.TrimLeft(path, " \t")
	if !strings.HasPrefix(path, "/") {
		return "", "", fmt.Errorf("pattern %q has no path; write \"POST /path/{name}\"", pattern)
	}
	if method != strings.ToUpper(method) {
		return "", "", fmt.Errorf("pattern %q: methods are written in capitals", pattern)
	}
	return method, path, nil
}

// wildcards returns the names in a path of http.ServeMux.
func wildcards(path string) []string {
	var names []string
	for segment := range strings.SplitSeq(path, "/") {
		name, isWildcard := strings.CutPrefix(segment, "{")
		name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
		if isWildcard && name != "$" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
