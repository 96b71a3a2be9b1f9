package perdure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure/auth"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/live"
)

// Part is what an app is made of: a durable.Implementation, a table or container, and
// what HTTP, Handle, Guarded and the functions that begin with On return. Adding anything else is an error at start-up.
type Part any

// App ties resources, functions, orchestrations and activities to a configuration and
// runs them. Make one with New, Add its parts, and Run it.
type App struct {
	config Config
	parts  parts

	lifecycle sync.Mutex // held by Add, Start and Stop
	used      bool
	running   atomic.Pointer[running] // nil while the app does not run
}

// parts are the parts of an app by kind.
type parts struct {
	resources       map[string]resource.Resource
	implementations []durable.Implementation
	functions       []*httpapi.Function
	handlers        []handled
	events          []eventPart
	errs            []error
}

// New returns an app without parts. Mistakes in c are reported when it starts.
func New(c Config) *App {
	return &App{config: c.withDefaults(), parts: parts{resources: map[string]resource.Resource{}}}
}

// Add adds parts. It must happen before the app starts; mistakes are reported then.
func (a *App) Add(all ...Part) {
	a.lifecycle.Lock()
	defer a.lifecycle.Unlock()
	for _, one := range all {
		a.parts.add(one, nil)
	}
}

// add adds a part that stands in groups with policies, the innermost first.
func (p *parts) add(one Part, groups []auth.Policy) {
	switch part := one.(type) {
	case durable.Implementation:
		p.implementations = append(p.implementations, part)
	case *httpapi.Function:
		for _, policy := range groups {
			part = part.Guarded(policy)
		}
		p.functions = append(p.functions, part)
	case handled:
		p.handlers = append(p.handlers, part.in(groups))
	case *live.Endpoint:
		p.addLive(part, groups)
	case guarded:
		for _, inner := range part.parts {
			p.add(inner, append([]auth.Policy{part.policy}, groups...))
		}
	case eventPart:
		p.events = append(p.events, part)
		for _, r := range part.resources() {
			p.addResource(r)
		}
	case resource.Resource:
		p.addResource(part)
	default:
		p.errs = append(p.errs, fmt.Errorf("a %T cannot be added to an app: wrap a function in perdure.HTTP or one of perdure.OnBlob and its like, and an orchestration or activity by its Impl", one))
	}
}

// addResource makes a resource known under its name, once.
func (p *parts) addResource(r resource.Resource) {
	name := r.ResourceName()
	if other := p.resources[name]; other != nil && other != r {
		p.errs = append(p.errs, fmt.Errorf("the name %q is taken by a %s and a %s: names are unique over all kinds of resources", name, other.ResourceKind(), r.ResourceKind()))
		return
	}
	if p.resources[name] == nil {
		p.resources[name] = r
		if v, ok := r.(interface{ Validate() error }); ok {
			if err := v.Validate(); err != nil {
				p.errs = append(p.errs, err)
			}
		}
	}
}

// Run starts the app and blocks until ctx is done, or Stop is called, then stops it in
// order: nothing new is taken, what runs may end within Config.ShutdownTimeout. It
// returns nil then, and the cause when the app could not start or cannot go on.
func (a *App) Run(ctx context.Context) error {
	if err := a.Start(ctx); err != nil {
		if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
			return nil // told to stop before it was ready
		}
		return err
	}
	r := a.running.Load()
	if r == nil {
		return nil // stopped by another
	}
	select {
	case <-ctx.Done():
	case <-r.broken:
	case <-r.stopped:
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.ShutdownTimeout)
	defer cancel()
	return errors.Join(r.cause(), a.Stop(stop))
}

// Start starts the app and returns when it is ready. The end of ctx ends only a start
// that is under way; Stop ends the app.
func (a *App) Start(ctx context.Context) error {
	a.lifecycle.Lock()
	defer a.lifecycle.Unlock()
	if a.used {
		return fmt.Errorf("%w: an app is started once; make another with New", ErrConfig)
	}
	a.used = true
	err := errors.Join(a.config.validate(), errors.Join(a.parts.errs...), a.parts.checkPolicies(a.config, store.From(ctx) != nil))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r := newRunning(ctx, a.config)
	err = r.open(ctx, &a.parts)
	if err == nil {
		a.running.Store(r) // functions that run from now on may use the app
		err = r.begin(ctx)
	}
	if err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.ShutdownTimeout)
		defer cancel()
		err = errors.Join(err, r.stop(stop))
		a.running.Store(nil)
	}
	return err
}

// Stop stops the app: nothing new is taken, and what runs may end until ctx is done;
// then it is cut off, and runs again after the next start. Everything acknowledged is
// stored. Stopping an app that does not run is no error. A server of your own that
// serves Handler is shut down before.
func (a *App) Stop(ctx context.Context) error {
	a.lifecycle.Lock()
	defer a.lifecycle.Unlock()
	r := a.running.Load()
	if r == nil {
		return nil
	}
	defer a.running.Store(nil) // not before: what still runs uses the app
	return r.stop(ctx)
}

// Durable manages the app's orchestrations. It is nil while the app does not run.
func (a *App) Durable() *durable.Client {
	if r := a.running.Load(); r != nil {
		return durable.NewClient(r.engine)
	}
	return nil
}

// Settle waits until nothing runs in the app and nothing could run at its present time:
// each event that was committed has been handled, waits for its next attempt or is a dead
// letter. It is for tests. It fails with the cause of ctx, and with ErrNotRunning.
func (a *App) Settle(ctx context.Context) error {
	r := a.running.Load()
	if r == nil {
		return ErrNotRunning
	}
	return r.settle(ctx)
}

// DeadLetters manages the events that were given up. Its methods fail with
// ErrNotRunning while the app does not run.
func (a *App) DeadLetters() DeadLetters { return DeadLetters{a} }

// Handler returns what the app serves, for a server of your own: set Config.Listen to
// "none" then, and Config.Hosts to the names it is reached by. A principal that your server
// has put into the context of a request (auth.With) is who sent it. It answers 503 while
// the app does not run.
func (a *App) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r := a.running.Load(); r != nil && r.serving.Load() {
			r.handler.ServeHTTP(w, req)
			return
		}
		NewProblem(http.StatusServiceUnavailable, "the app does not run").Write(w)
	})
}

// Addr returns the address the app listens on; nil when it does not.
func (a *App) Addr() net.Addr {
	if r := a.running.Load(); r != nil && r.listener != nil {
		return r.listener.Addr()
	}
	return nil
}
