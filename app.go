package perdure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/collector"
	"github.com/perdure/perdure/internal/blobstore/signedurl"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/unit"
)

// Part is what an app is made of: a durable.Implementation, a table or container, and
// what HTTP, Handle and OnBlob return. Adding anything else is an error at start-up.
type Part any

// App ties resources, functions, orchestrations and activities to a configuration and
// runs them. Make one with New, Add its parts, and Run it.
type App struct {
	config Config
	parts  parts

	mu      sync.Mutex
	running *running
	used    bool
}

// parts are the parts of an app by kind.
type parts struct {
	resources       map[string]resource.Resource
	implementations []durable.Implementation
	functions       []*httpapi.Function
	handlers        []handled
	triggers        []*trigger
	errs            []error
}

// New returns an app without parts. Mistakes in c are reported when it starts.
func New(c Config) *App {
	return &App{config: c.withDefaults(), parts: parts{resources: map[string]resource.Resource{}}}
}

// Add adds parts. It must happen before the app starts; mistakes are reported then.
func (a *App) Add(all ...Part) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range all {
		a.parts.add(one)
	}
}

func (p *parts) add(one Part) {
	switch part := one.(type) {
	case durable.Implementation:
		p.implementations = append(p.implementations, part)
	case *httpapi.Function:
		p.functions = append(p.functions, part)
	case handled:
		p.handlers = append(p.handlers, part)
	case *trigger:
		p.triggers = append(p.triggers, part)
		p.addResource(part.blobs)
	case resource.Resource:
		p.addResource(part)
	default:
		p.errs = append(p.errs, fmt.Errorf("a %T cannot be added to an app: wrap a function in perdure.HTTP or perdure.OnBlob, and an orchestration or activity by its Impl", one))
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

// Run starts the app and blocks until ctx is done, then stops it in order: nothing new
// is taken, what runs may end within Config.ShutdownTimeout. It returns nil then, and
// the cause when the app could not start or cannot go on.
func (a *App) Run(ctx context.Context) error {
	if err := a.Start(ctx); err != nil {
		return err
	}
	r := a.current()
	select {
	case <-ctx.Done():
	case <-r.broken:
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.ShutdownTimeout)
	defer cancel()
	return errors.Join(r.cause(), a.Stop(stop))
}

// Start starts the app and returns when it is ready. The end of ctx does not stop it;
// Stop does.
func (a *App) Start(ctx context.Context) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used {
		return fmt.Errorf("%w: an app is started once; make another with New", ErrConfig)
	}
	a.used = true
	errs := append([]error{a.config.validate()}, a.parts.errs...)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r := &running{config: a.config, broken: make(chan struct{})}
	if err := r.start(ctx, &a.parts); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.ShutdownTimeout)
		defer cancel()
		return errors.Join(err, r.stop(stop))
	}
	a.running = r
	return nil
}

// Stop stops the app: nothing new is taken, and what runs may end until ctx is done;
// then it is cut off, and runs again after the next start. Everything acknowledged is
// stored. Stopping an app that does not run is no error.
func (a *App) Stop(ctx context.Context) error {
	a.mu.Lock()
	r := a.running
	a.running = nil
	a.mu.Unlock()
	if r == nil {
		return nil
	}
	return r.stop(ctx)
}

func (a *App) current() *running {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running
}

// Unit runs fn in a unit of work: what fn reads and writes through its ctx commits
// together, or not at all. When others changed what fn has read, it runs again, up to
// ten times, then it fails with ErrConflict. Inside a unit it fails with ErrInsideUnit.
func (a *App) Unit(ctx context.Context, fn func(ctx context.Context) error) error {
	r := a.current()
	if r == nil {
		return ErrNotRunning
	}
	return unit.Run(ctx, r.env, r.committer, unitAttempts, fn)
}

// unitAttempts is how often a unit is run before its conflict is an error.
const unitAttempts = 10

// Durable manages the app's orchestrations. It is nil while the app does not run.
func (a *App) Durable() *durable.Client {
	if r := a.current(); r != nil {
		return durable.NewClient(r.engine)
	}
	return nil
}

// DeadLetters manages the events that were given up. It must not be used while the app
// does not run.
func (a *App) DeadLetters() DeadLetters { return DeadLetters{a.current().dispatcher} }

// Handler returns what the app serves, for a server of your own: it answers 503 while
// the app does not run.
func (a *App) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r := a.current(); r != nil {
			r.handler.ServeHTTP(w, req)
			return
		}
		NewProblem(http.StatusServiceUnavailable, "the app does not run").Write(w)
	})
}

// Addr returns the address the app listens on; nil when it does not.
func (a *App) Addr() net.Addr {
	if r := a.current(); r != nil && r.listener != nil {
		return r.listener.Addr()
	}
	return nil
}

// running is a started app.
type running struct {
	config     Config
	store      store.Store
	blobs      blobstore.Driver
	journal    *poison.Journal
	committer  *store.Committer
	env        *unit.Env
	engine     *engine.Engine
	dispatcher *delivery.Dispatcher
	handler    http.Handler
	listener   net.Listener
	server     *http.Server

	stopCollector context.CancelFunc
	background    sync.WaitGroup
	temporary     string // a folder to be removed

	brokenOnce sync.Once
	broken     chan struct{} // closed when the app cannot go on
	why        error
}

// fail notes that the app cannot go on: what was acknowledged is safe, but nothing more
// may be written.
func (r *running) fail(err error) {
	r.brokenOnce.Do(func() {
		r.why = err
		close(r.broken)
	})
}

func (r *running) cause() error {
	select {
	case <-r.broken:
		return fmt.Errorf("perdure: cannot go on: %w", r.why)
	default:
		return nil
	}
}

// start opens everything from the store up to the listener.
func (r *running) start(ctx context.Context, p *parts) error {
	if err := r.openStores(); err != nil {
		return err
	}
	if err := r.openEngine(p); err != nil {
		return err
	}
	if err := r.openHTTP(p); err != nil {
		return err
	}
	if err := r.engine.Start(ctx); err != nil {
		return err
	}
	if err := r.dispatcher.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	r.collect()
	r.serve()
	return nil
}

// openStores opens what lasts: rows, blobs, keys and the journal.
func (r *running) openStores() (err error) {
	c := r.config
	scheme, path, err := c.store()
	if err != nil {
		return err
	}
	journal, blobs, keys := filepath.Join(c.Data, "running.journal"), c.Blobs, c.Data
	if scheme == "memory" {
		if r.temporary, err = os.MkdirTemp("", "perdure-"); err != nil {
			return err
		}
		journal, blobs, keys = "", "file:"+filepath.Join(r.temporary, "blobs"), r.temporary
		r.store = memory.New(&memory.Options{Now: c.clock.Now})
	} else {
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			return fmt.Errorf("perdure: data folder: %w", err)
		}
		r.store, err = pebble.Open(path, &pebble.Options{Logger: c.Logger, OnFatal: r.fail})
		if err != nil {
			return fmt.Errorf("perdure: open the store: %w", err)
		}
	}
	if r.blobs, err = blobstore.Open(context.Background(), blobs, blobstore.Options{}); err != nil {
		return fmt.Errorf("perdure: open the blobs: %w", err)
	}
	signer, err := signedurl.OpenKeys(blobstore.OS, keys)
	if err != nil {
		return fmt.Errorf("perdure: signing keys: %w", err)
	}
	if r.journal, err = poison.Open(journal); err != nil {
		return fmt.Errorf("perdure: %w", err)
	}
	r.env = &unit.Env{
		Snapshot: r.store.Snapshot, Now: c.clock.Now,
		Blobs: &signedBlobs{Driver: r.blobs, Signer: signer},
	}
	r.committer = store.NewCommitter(r.store, store.CommitterOptions{
		Busy: func() bool { return r.engine != nil && r.engine.Busy() },
	})
	return nil
}

// signedBlobs is the blob driver together with what signs links to its blobs.
type signedBlobs struct {
	blobstore.Driver
	*signedurl.Signer
}

// openEngine makes the engine and the dispatcher and registers what they run.
func (r *running) openEngine(p *parts) (err error) {
	c := r.config
	r.dispatcher, err = delivery.New(delivery.Config{
		Env: r.env, Committer: r.committer, Clock: c.clock, Journal: r.journal, Log: c.Logger,
		OnDeadLetter: c.OnDeadLetter,
	})
	if err != nil {
		return err
	}
	r.engine, err = engine.New(engine.Options{
		Store: r.store, Committer: r.committer, Env: r.env, Clock: c.clock, Logger: c.Logger, Journal: r.journal,
		MaxActivities: c.MaxActivities, MaxIdle: c.MaxIdleInstances, ReplayAlways: c.Development,
		DeadLetter: buryLostEvents(r.dispatcher), OnFatal: r.fail,
	})
	if err != nil {
		return err
	}
	r.env.Orchestrator, r.env.Publish = r.engine, r.dispatcher.Publish
	var errs []error
	for _, impl := range p.implementations {
		errs = append(errs, impl.Register(r.engine))
	}
	errs = append(errs, r.dispatcher.Register(raiseLostEvents(r.engine)))
	bindings := binding.Env{Resources: p.resources}
	for _, t := range p.triggers {
		f, err := t.function(bindings)
		if err == nil {
			err = r.dispatcher.Register(f)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// collect removes the bytes of deleted blobs in the background.
func (r *running) collect() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stopCollector = cancel
	c := collector.New(collector.Config{
		Store: r.store, Committer: r.committer, Objects: r.blobs, Clock: r.config.clock, Log: r.config.Logger,
	})
	r.background.Go(func() {
		if err := c.Run(ctx); err != nil {
			r.config.Logger.Error("the blob collector ended", "error", err)
		}
	})
}

// stop ends everything in the opposite order. Each part may be missing when the start
// failed.
func (r *running) stop(ctx context.Context) error {
	var errs []error
	if r.server != nil {
		if err := r.server.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("perdure: requests still ran: %w", err), r.server.Close())
		}
	} else if r.listener != nil {
		errs = append(errs, r.listener.Close())
	}
	if r.dispatcher != nil {
		errs = append(errs, r.dispatcher.Stop(ctx))
	}
	if r.engine != nil {
		errs = append(errs, r.engine.Stop(ctx))
	}
	if r.stopCollector != nil {
		r.stopCollector()
	}
	r.background.Wait()
	if r.committer != nil {
		r.committer.Close()
	}
	if r.journal != nil {
		errs = append(errs, r.journal.Close())
	}
	if r.blobs != nil {
		errs = append(errs, r.blobs.Close())
	}
	if r.store != nil {
		errs = append(errs, r.store.Close())
	}
	if r.temporary != "" {
		errs = append(errs, os.RemoveAll(r.temporary))
	}
	return errors.Join(errs...)
}
