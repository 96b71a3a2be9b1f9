package perdure

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/resource"
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
	// Concurrency is how many events are handled at a time; of a stream, a table or
	// windows, how many partitions are. Ticks run one after another but with
	// OverlapParallel. Default 64.
	Concurrency int
	// Rate bounds how many events are begun in a time. Default: no bound.
	Rate Rate
	// Break pauses the function after failures in a row. Default: never.
	Break Break
	// SkipDeadLetters lets events of one key go on behind one that became a dead
	// letter. By default it holds its key until it is sent again or dropped.
	SkipDeadLetters bool
}

// Rate bounds how many events a function begins in a time.
type Rate = delivery.Rate

// Break pauses a function after failures in a row: what it needs seems to be down, and
// attempts would only be used up.
type Break = delivery.Break

func (p Policy) applyTrigger(f *eventFunction) {
	f.policy = delivery.Policy{
		Attempts: p.Attempts, Timeout: p.Timeout, Concurrency: p.Concurrency,
		Backoff: delivery.Backoff{Initial: p.Initial, Max: p.Max, Multiplier: p.Multiplier},
		Rate:    p.Rate, Break: p.Break, SkipDeadLetters: p.SkipDeadLetters,
	}
}

// TriggerOption configures a function that is triggered by events. Policy and
// FunctionName are.
type TriggerOption interface{ applyTrigger(*eventFunction) }

// FunctionName names a function that is triggered by events. Its stored events are kept
// under it, so it must not change; the default follows from the trigger.
type FunctionName string

func (n FunctionName) applyTrigger(f *eventFunction) { f.name = string(n) }

// eventPart is a part of an app that requests do not trigger.
type eventPart interface {
	// resources are those that the part uses; they need not be added apart.
	resources() []resource.Resource
	// register makes the part known to what will run it. It is called once, before
	// anything runs. Its errors are the user's and name the function.
	register(r *running, env binding.Env) error
}

// service works beside the functions of an app from its start to its end.
type service interface {
	// Start lets it work. The values of ctx reach what it runs; the end of ctx ends
	// nothing.
	Start(ctx context.Context) error
	// Stop ends it: nothing new is begun, and what runs may end until ctx is done.
	// It is called also when Start was not, or failed.
	Stop(ctx context.Context) error
	// Idle waits until it runs nothing and could run nothing at the present time.
	Idle(ctx context.Context) error
}

// eventFunction is what all functions that are triggered by events have in common.
type eventFunction struct {
	name    string
	policy  delivery.Policy
	in, out reflect.Type
	// call runs the user's function with pointers to In and Out.
	call func(ctx context.Context, in any) (out any, err error)
}

// newEventFunction returns the function fn under its default name.
func newEventFunction[In, Out any](name string, fn func(context.Context, *In) (*Out, error), opts ...TriggerOption) eventFunction {
	f := eventFunction{
		name: name, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
	}
	if fn != nil {
		f.call = func(ctx context.Context, in any) (any, error) { return fn(ctx, in.(*In)) }
	}
	for _, opt := range opts {
		opt.applyTrigger(&f)
	}
	return f
}

// eventPlan is an eventFunction with its bindings compiled.
type eventPlan struct {
	*eventFunction
	input  *binding.Input
	output *binding.Output
}

// compile compiles the bindings of a function whose trigger offers the names of path and
// metadata to expressions.
func (f *eventFunction) compile(env binding.Env, path, metadata []string) (*eventPlan, error) {
	if f.call == nil {
		return nil, fmt.Errorf("function %s: is nil", f.name)
	}
	trig := binding.Trigger{Function: f.name, Path: path, Metadata: metadata}
	in, err := binding.CompileInput(f.in, trig, env)
	if err != nil {
		return nil, err
	}
	if field := cmp.Or(in.Injected(httpapi.Known), in.Injected(httpapi.Perhaps)); field != "" {
		return nil, fmt.Errorf("function %s: field %s is who sent a request, but events trigger the function; put who it is about into the event", f.name, field)
	}
	out, err := binding.CompileOutput(f.out, in, env)
	if err != nil {
		return nil, err
	}
	return &eventPlan{f, in, out}, nil
}

// foreign reports whether a body of type t is a struct other than the events. Read as JSON
// its fields would stay zero.
func foreign(t, event reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != event && reflect.PointerTo(t) != event
}

// handle is run of the event of a delivery.
func (p *eventPlan) handle(ctx context.Context, d *delivery.Delivery, path, metadata map[string]string) error {
	req := binding.NewEvent(path, metadata, d.Event)
	return p.run(ctx, req.From(d.Function+"/"+d.ID.String(), d.Headers))
}

// run fills In, calls the function and writes Out, in the unit of ctx.
func (p *eventPlan) run(ctx context.Context, req *binding.Request) error {
	arg, err := p.input.Decode(ctx, req)
	if err != nil {
		return Permanent(err) // the same event reads the same each time
	}
	if err := p.input.Load(ctx, req, arg); err != nil {
		return err
	}
	result, err := p.call(ctx, arg.Interface())
	if err != nil {
		return err
	}
	return p.output.Store(ctx, req, arg, reflect.ValueOf(result))
}

// Extend gives the run of the function that ctx belongs to until d from now, instead of
// what is left of its timeout: what long work calls now and then to go on. It fails
// with ErrNoRun where no event is handled, and after the time was over.
func Extend(ctx context.Context, d time.Duration) error { return delivery.Extend(ctx, d) }
