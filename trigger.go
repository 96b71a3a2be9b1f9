package perdure

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure/blob"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/delivery"
)

// Policy says how a function that is triggered by events is run, and when an event is
// given up. The zero value means the defaults.
type Policy struct {
	// Attempts is after how many failed attempts an event becomes a dead letter.
	// Default 5.
	Attempts int
	// Initial is the wait after the first failure; default 1 s. Each further one
	// is Multiplier (default 2) times as long, up to Max (default 5 min).
	Initial, Max time.Duration
	Multiplier   float64
	// Timeout bounds one run; default 5 min, none if negative.
	Timeout time.Duration
	// Concurrency is how many events are handled at a time. Default 16.
	Concurrency int
}

func (p Policy) applyTrigger(t *trigger) {
	t.policy = delivery.Policy{
		Attempts: p.Attempts, Timeout: p.Timeout, Concurrency: p.Concurrency,
		Backoff: delivery.Backoff{Initial: p.Initial, Max: p.Max, Multiplier: p.Multiplier},
	}
}

// TriggerOption configures a function that is triggered by events. Policy and
// FunctionName are.
type TriggerOption interface{ applyTrigger(*trigger) }

// FunctionName names a function that is triggered by events. Its stored events are kept
// under it, so it must not change; the default follows from the trigger.
type FunctionName string

func (n FunctionName) applyTrigger(t *trigger) { t.name = string(n) }

// trigger is a function that is triggered by events.
type trigger struct {
	name    string
	policy  delivery.Policy
	blobs   *blob.ContainerRef
	pattern string
	in, out reflect.Type
	// call runs the user's function with pointers to In and Out.
	call func(ctx context.Context, in any) (out any, err error)
}

// OnBlob runs fn for each blob written to a container under a name that matches
// pattern, such as "{fileId}" or "raw/{id}.json": an expression stands for one or more
// characters without "/", and at the end, as "{path...}", for the rest. In takes the
// expressions by path tags, what the event says by a field of type blob.Event tagged
// body, and the blob's bytes by bind. Keys may also use {blob.container}, {blob.name} and
// {blob.size}. Each event is handled in one unit of work.
func OnBlob[In, Out any](c *blob.ContainerRef, pattern string, fn func(context.Context, *In) (*Out, error), opts ...TriggerOption) Part {
	t := &trigger{
		name: "blob/" + c.ResourceName() + "/" + pattern, blobs: c, pattern: pattern,
		in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
		call: func(ctx context.Context, in any) (any, error) { return fn(ctx, in.(*In)) },
	}
	for _, opt := range opts {
		opt.applyTrigger(t)
	}
	return t
}

// blobMetadata are the names that expressions may use besides those of the pattern.
var blobMetadata = []string{"blob.container", "blob.name", "blob.size"}

// function compiles the trigger for the dispatcher.
func (t *trigger) function(env binding.Env) (delivery.Function, error) {
	match, names, err := compilePattern(t.pattern)
	if err != nil {
		return delivery.Function{}, fmt.Errorf("function %s: pattern %q: %w", t.name, t.pattern, err)
	}
	trig := binding.Trigger{Function: t.name, Path: names, Metadata: blobMetadata}
	in, err := binding.CompileInput(t.in, trig, env)
	if err != nil {
		return delivery.Function{}, err
	}
	out, err := binding.CompileOutput(t.out, in, env)
	if err != nil {
		return delivery.Function{}, err
	}
	name := func(event []byte) (blob.Event, bool) {
		var ev blob.Event
		err := json.Unmarshal(event, &ev)
		return ev, err == nil && match.MatchString(ev.Name)
	}
	return delivery.Function{
		Name: t.name, Topics: []string{blob.Topic(t.blobs.ResourceName())}, Policy: t.policy,
		Accepts: func(_ string, event []byte) bool {
			_, ok := name(event)
			return ok
		},
		Handle: func(ctx context.Context, d *delivery.Delivery) error {
			ev, ok := name(d.Event)
			if !ok {
				return nil // the pattern was changed after the event
			}
			values := map[string]string{}
			for i, v := range match.FindStringSubmatch(ev.Name)[1:] {
				values[names[i]] = v
			}
			req := binding.NewEvent(values, map[string]string{
				"blob.container": ev.Container, "blob.name": ev.Name, "blob.size": strconv.FormatInt(ev.Size, 10),
			}, d.Event)
			return t.run(ctx, req, in, out)
		},
	}, nil
}

// run fills In, calls the function and writes Out, in the unit of ctx.
func (t *trigger) run(ctx context.Context, req *binding.Request, in *binding.Input, out *binding.Output) error {
	arg, err := in.Decode(ctx, req)
	if err != nil {
		return Permanent(err) // the same event reads the same each time
	}
	if err := in.Load(ctx, req, arg); err != nil {
		return err
	}
	result, err := t.call(ctx, arg.Interface())
	if err != nil {
		return err
	}
	return out.Store(ctx, req, arg, reflect.ValueOf(result))
}

var patternExpression = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)(\.\.\.)?\}`)

// compilePattern turns a pattern such as "raw/{id}.json" into a regular expression
// with one group for each name.
func compilePattern(pattern string) (*regexp.Regexp, []string, error) {
	if !fs.ValidPath(pattern) || pattern == "." {
		return nil, nil, fmt.Errorf("want a relative path without empty parts, such as {id} or raw/{id}.json")
	}
	var (
		names []string
		expr  strings.Builder
		at    int
	)
	literal := func(s string) error {
		if strings.ContainsAny(s, "{}") {
			return fmt.Errorf("a brace that belongs to no {name}")
		}
		expr.WriteString(regexp.QuoteMeta(s))
		return nil
	}
	expr.WriteString(`\A`)
	for _, m := range patternExpression.FindAllStringSubmatchIndex(pattern, -1) {
		if err := literal(pattern[at:m[0]]); err != nil {
			return nil, nil, err
		}
		name, rest := pattern[m[2]:m[3]], m[4] >= 0
		for _, other := range names {
			if other == name {
				return nil, nil, fmt.Errorf("{%s} stands in it twice", name)
			}
		}
		names = append(names, name)
		switch {
		case !rest:
			expr.WriteString(`([^/]+)`)
		case m[1] == len(pattern):
			expr.WriteString(`(.+)`)
		default:
			return nil, nil, fmt.Errorf("{%s...} must be at the end", name)
		}
		at = m[1]
	}
	if err := literal(pattern[at:]); err != nil {
		return nil, nil, err
	}
	expr.WriteString(`\z`)
	re, err := regexp.Compile(`(?s)` + expr.String())
	return re, names, err
}
