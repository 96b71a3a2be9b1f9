package perdure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure/auth/login"
	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/blobstore"
	"github.com/perdure/perdure/internal/blobstore/collector"
	"github.com/perdure/perdure/internal/blobstore/signedurl"
	"github.com/perdure/perdure/internal/clock"
	"github.com/perdure/perdure/internal/consumer"
	"github.com/perdure/perdure/internal/delivery"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/keystore"
	"github.com/perdure/perdure/internal/poison"
	"github.com/perdure/perdure/internal/store"
	"github.com/perdure/perdure/internal/store/memory"
	"github.com/perdure/perdure/internal/store/pebble"
	"github.com/perdure/perdure/internal/unit"
	"github.com/perdure/perdure/pgidentity/authority"
	"github.com/perdure/perdure/vault"
)

// running is a started app.
type running struct {
	config     Config
	clock      clock.Clock
	observer   observer
	store      store.Store
	lent       store.Store // by a test kit, used as the store and not closed
	blobs      blobstore.Driver
	signer     *signedurl.Signer
	journal    *poison.Journal
	committer  *store.Committer
	env        *unit.Env
	engine     *engine.Engine
	dispatcher *delivery.Dispatcher
	feeder     *consumer.Feeder
	services   []service // in the order of their start
	natsLinks  []*natsLink
	endless    []func() // end the answers that have no end of their own
	handler    http.Handler
	control    http.Handler // guarded; nil for an app that keeps nothing
	// guard lets those through who may manage the app; nil if nobody can be told.
	guard    func(http.Handler) http.Handler
	began    time.Time
	listener net.Listener
	server   *http.Server

	keys           *keystore.Keystore // nil while nothing is sealed
	master         masterKey
	provider       *identity.Provider   // nil without one
	identityServer *tlsServer           // nil where the provider has no port of its own
	vault          *vault.Vault         // nil without one
	vaultServer    *tlsServer           // nil where it is not served
	databases      *authority.Authority // nil without a provider
	caFile         string               // of the local authority; empty if it is not used
	login          *login.Login
	gateway        *gatewayPart // nil without one

	stopCollector context.CancelFunc
	background    sync.WaitGroup
	temporary     string // a folder to be removed

	serving    atomic.Bool
	stopped    chan struct{} // closed when it has stopped
	brokenOnce sync.Once
	broken     chan struct{} // closed when the app cannot go on
	why        error
}

func newRunning(ctx context.Context, c Config) *running {
	return &running{config: c, clock: clock.From(ctx), lent: store.From(ctx), broken: make(chan struct{}), stopped: make(chan struct{})}
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

// open makes everything there is, the port first: when another program has it, nothing
// is touched.
func (r *running) open(ctx context.Context, p *parts) (err error) {
	reserveHeadroom()
	if err := r.listen(p); err != nil {
		return err
	}
	if err := r.listenGateway(); err != nil {
		return err
	}
	if r.observer, err = newObserver(r.config); err != nil {
		return err
	}
	if err := r.openStores(); err != nil {
		return err
	}
	r.addIdentityMails(p)
	if err := r.openEngine(p); err != nil {
		return err
	}
	if err := r.openAccess(ctx, p); err != nil {
		return err
	}
	if err := r.openControl(p); err != nil {
		return err
	}
	if err := r.openHTTP(p); err != nil {
		return err
	}
	return r.openGateway(p)
}

// begin lets it work. Requests come last.
func (r *running) begin(ctx context.Context) error {
	r.began = r.clock.Now()
	if err := r.engine.Start(ctx); err != nil {
		return err
	}
	if err := r.dispatcher.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	for _, s := range r.services {
		if err := s.Start(context.WithoutCancel(ctx)); err != nil {
			return err
		}
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
	switch {
	case r.lent != nil:
		journal, r.store = "", r.lent
	case scheme == "memory":
		if r.temporary, err = os.MkdirTemp("", "perdure-"); err != nil {
			return err
		}
		journal, blobs, keys = "", "file:"+filepath.Join(r.temporary, "blobs"), r.temporary
		r.store = memory.New(nil)
	default:
		if err := blobstore.MakeDir(blobstore.OS, c.Data); err != nil {
			return fmt.Errorf("perdure: data folder: %w", err)
		}
		opened, err := pebble.Open(path, &pebble.Options{Logger: c.Logger, OnFatal: r.fail})
		if err != nil {
			return fmt.Errorf("perdure: open the store: %w", err)
		}
		r.store = opened
	}
	r.committer = store.NewCommitter(r.store, store.CommitterOptions{
		Busy:      func() bool { return r.engine != nil && r.engine.Busy() },
		Committed: r.observer.Committed,
	})
	if err := r.openBlobs(blobs); err != nil {
		return err
	}
	if r.signer, err = signedurl.OpenKeys(blobstore.OS, keys); err != nil {
		return fmt.Errorf("perdure: signing keys: %w", err)
	}
	if r.journal, err = poison.Open(journal); err != nil {
		return fmt.Errorf("perdure: %w", err)
	}
	r.env = &unit.Env{
		Snapshot: r.store.Snapshot, Now: r.clock.Now, Trace: r.observer.Inject,
		Blobs: &signedurl.Place{Driver: r.blobs, Signer: r.signer, Now: r.clock.Now},
	}
	return nil
}

// openEngine makes the engine and the dispatcher and registers what they run.
func (r *running) openEngine(p *parts) (err error) {
	c := r.config
	r.dispatcher, err = delivery.New(delivery.Config{
		Env: r.env, Committer: r.committer, Clock: r.clock, Journal: r.journal, Log: c.Logger,
		OnDeadLetter: c.OnDeadLetter, Alert: c.DeadLetterWebhook.function(), Telemetry: r.observer.Telemetry,
	})
	if err != nil {
		return err
	}
	r.engine, err = engine.New(engine.Options{
		Store: r.store, Committer: r.committer, Env: r.env, Clock: r.clock, Logger: c.Logger, Journal: r.journal,
		Telemetry:     r.observer.Telemetry,
		MaxActivities: c.MaxActivities, MaxIdle: c.MaxIdleInstances, ReplayAlways: c.Development,
		DeadLetter: buryLostEvents(r.dispatcher), OnEnd: r.publishEnds(p), OnFatal: r.fail,
	})
	if err != nil {
		return err
	}
	r.feeder = consumer.New(consumer.Config{
		Env: r.env, Committer: r.committer, Watch: r.store.Watch, Dispatcher: r.dispatcher,
		Clock: r.clock, Journal: r.journal, Log: c.Logger, Telemetry: r.observer.Telemetry,
	})
	r.services = append(r.services, r.feeder)
	r.retainStreams(p.resources)
	r.env.Orchestrator, r.env.Publish, r.env.Deliver = r.engine, r.dispatcher.Publish, r.dispatcher.Deliver
	r.removeExpiredRows()
	errs := []error{r.observe(), r.linkNATS(p)}
	for _, impl := range p.implementations {
		errs = append(errs, impl.Register(r.engine))
	}
	errs = append(errs, r.dispatcher.Register(raiseLostEvents(r.engine)))
	if c.DeadLetterWebhook.URL != "" {
		errs = append(errs, r.dispatcher.Register(c.DeadLetterWebhook.sender(r.secret)))
	}
	bindings := binding.Env{Resources: p.resources, Injectors: injectors, Secret: r.bindSecret}
	for _, part := range p.events {
		errs = append(errs, part.register(r, bindings))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// settle waits until nothing runs and nothing could run at the present time. Whatever
// runs may wake what was found idle before, but not without a commit.
func (r *running) settle(ctx context.Context) error {
	for {
		before := r.committer.Stats().Transactions
		r.engine.Tick() // what is due may not have been noticed yet
		for _, s := range r.services {
			if err := s.Idle(ctx); err != nil {
				return err
			}
		}
		if err := r.dispatcher.Idle(ctx); err != nil {
			return err
		}
		r.engine.WaitIdle()
		if !r.engine.Busy() && r.committer.Stats().Transactions == before {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
}

// collect removes the bytes of deleted blobs in the background.
func (r *running) collect() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stopCollector = cancel
	c := collector.New(collector.Config{
		Store: r.store, Committer: r.committer, Objects: r.blobs, Clock: r.clock, Log: r.config.Logger,
		Hold: r.blobs.Hold(),
	})
	r.background.Go(func() {
		if err := c.Run(ctx); err != nil {
			r.config.Logger.Error("the blob collector ended", "error", err)
		}
	})
	r.background.Go(func() { r.expireAnswers(ctx) })
}

// stop ends everything in the opposite order. Each part may be missing when the start
// failed.
func (r *running) stop(ctx context.Context) error {
	defer close(r.stopped)
	r.serving.Store(false)
	for _, end := range r.endless {
		end()
	}
	var errs []error
	if r.server != nil {
		if err := r.server.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("perdure: requests still ran: %w", err), r.server.Close())
		}
	} else if r.listener != nil {
		errs = append(errs, r.listener.Close())
	}
	if r.gateway != nil && r.gateway.Gateway == nil {
		errs = append(errs, r.gateway.closeListeners())
	}
	for _, s := range slices.Backward(r.services) {
		errs = append(errs, s.Stop(ctx))
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
	if r.store != nil && r.lent == nil {
		errs = append(errs, r.store.Close())
	}
	if r.observer.shutdown != nil {
		errs = append(errs, r.observer.shutdown(ctx))
	}
	if r.master.keeper != nil {
		errs = append(errs, r.master.keeper.Close())
	}
	if r.temporary != "" {
		errs = append(errs, os.RemoveAll(r.temporary))
	}
	return errors.Join(errs...)
}
