package perdure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/engine"
	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/unit"
)

// openControl makes what manages the app. An app without a store in its folder has
// nothing that locks the folder, and cannot be found there.
func (r *running) openControl(p *parts) error {
	if r.temporary != "" || r.lent != nil {
		return nil
	}
	h := r.withGateway(control.Handler(r.controlled(p)))
	if r.config.authenticates() { // permissions, and no token that could be lost
		r.guard = func(next http.Handler) http.Handler { return control.Permitted(r.httpConfig(), next) }
	} else {
		token, err := control.OpenToken(r.config.Data)
		if err != nil {
			return fmt.Errorf("perdure: control token: %w", err)
		}
		r.guard = func(next http.Handler) http.Handler { return control.Guard(token, next) }
	}
	r.control = r.guard(h)
	r.services = append(r.services, &controlSocket{r: r, handler: r.administration(h)})
	return nil
}

// controlSocket serves the control requests of the perdure command.
type controlSocket struct {
	r       *running
	handler http.Handler
	server  *http.Server
}

// Start implements service. An app whose socket cannot be made runs without: everything
// but the command works.
func (s *controlSocket) Start(context.Context) error {
	log := s.r.config.Logger
	socket, err := control.Listen(s.r.config.Data)
	if err != nil {
		log.Warn("the perdure command cannot reach this app", "error", err)
		return nil
	}
	s.server = &http.Server{
		Handler: s.handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.r.background.Go(func() {
		if err := s.server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the perdure command cannot reach this app any more", "error", err)
		}
	})
	return nil
}

// Stop implements service.
func (s *controlSocket) Stop(ctx context.Context) error {
	if s.server == nil {
		return nil
	}
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("perdure: control requests still ran: %w", err), s.server.Close())
	}
	return nil
}

// Idle implements service.
func (s *controlSocket) Idle(context.Context) error { return nil }

// controlled is the app as it is managed.
func (r *running) controlled(p *parts) control.App {
	functions, events := slices.Clone(p.functions), slices.Clone(p.events) // parts may be added later, in vain
	policies := p.controlledPolicies(r.config, r.openMetrics())
	return control.App{
		Info:        r.info,
		Instances:   controlledInstances{durable.NewClient(r.engine), r.engine},
		DeadLetters: r.dispatcher,
		Functions:   func() ([]control.Function, error) { return r.functions(functions, events) },
		Permissions: func() (control.Permissions, error) { return policies, nil },
		Queues:      controlledQueues{r, resourcesOf(p, "queue")},
		Streams:     controlledStreams{r, streamsOf(p)},
		Timers:      func(ctx context.Context) ([]control.Timer, error) { return r.timers(ctx, events) },
		Tables:      controlledTables{r, resourcesOf(p, "table")},
		Blobs:       controlledBlobs{r, resourcesOf(p, "container")},
		Log:         r.config.Logger,
	}
}

// modulePath is the path of this module.
const modulePath = "github.com/perdure/perdure"

// moduleVersion returns the version of this module in the running program.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == modulePath && m.Version != "" {
			return m.Version
		}
	}
	return "(devel)"
}

func (r *running) info() (control.Info, error) {
	info := control.Info{
		Title: r.config.Title, Version: r.config.Version, Perdure: moduleVersion(), Data: r.config.Data,
		Process: os.Getpid(), Started: r.began.UTC(), Uptime: int64(r.clock.Now().Sub(r.began) / time.Second),
		Healthy: errors.Join(r.cause(), r.engine.Err()) == nil,
	}
	if r.listener != nil {
		info.URL = "http://" + r.listener.Addr().String()
	}
	counts, err := r.dispatcher.CountDeadLetters("")
	for _, c := range counts {
		info.DeadLetters += c.Count
	}
	return info, err
}

// controlledInstances are the app's instances as they are managed: by names and JSON.
type controlledInstances struct {
	*durable.Client
	engine *engine.Engine
}

// History implements control.Instances.
func (c controlledInstances) History(id string) ([]history.Turn, error) { return c.engine.History(id) }

// Start implements control.Instances.
func (c controlledInstances) Start(ctx context.Context, s control.Start) (string, error) {
	return c.engine.StartInstance(ctx, engine.StartRequest{Start: unit.Start{
		Name: s.Name, ID: s.ID, Input: s.Input, Tags: s.Tags, At: s.At,
	}})
}

// Raise implements control.Instances.
func (c controlledInstances) Raise(ctx context.Context, id, event string, payload json.RawMessage, keepFor time.Duration) error {
	return c.engine.Raise(ctx, unit.Raise{ID: id, Name: event, Payload: payload, KeepFor: keepFor})
}
