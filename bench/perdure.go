package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/durable"
	"github.com/perdure/perdure/queue"
	"github.com/perdure/perdure/stream"
)

// The names of what the bench runs on Perdure.
var (
	perdureGreet    = durable.NewActivity[string, string]("greet")
	perdureDecision = durable.NewEvent[string](decisionEvent)

	perdureWorkflows = map[kind]*durable.Orchestration[input, string]{
		sequence: durable.NewOrchestration[input, string](string(sequence)),
		parallel: durable.NewOrchestration[input, string](string(parallel)),
		approval: durable.NewOrchestration[input, string](string(approval)),
	}
)

var (
	perdureQueue  = queue.Of[string]("messages")
	perdureStream = stream.Of[string]("events", stream.Partitions(1))
)

// perdureMessage is what the queue's function is given.
type perdureMessage struct {
	Text string `body:""`
}

// perdureBatch is what the stream's function is given.
type perdureBatch struct {
	Texts []string `body:""`
}

// perdureEngine is Perdure on its embedded store, as any program uses it.
type perdureEngine struct {
	deps   deps
	app    *perdure.App
	client *durable.Client
}

func newPerdure(d deps) (engine, facts, error) {
	f := facts{
		version:    perdureVersion(),
		store:      "pebble " + moduleVersion("github.com/cockroachdb/pebble/v2"),
		durability: "a sync per commit group",
	}
	switch d.workload {
	case verified:
		return &perdureVerifier{deps: d}, facts{version: f.version}, nil
	case issued, refreshed:
		return &provider{name: "perdure", deps: d}, f, nil
	}
	switch d.variant.Via {
	case viaHTTPS:
		return &perdureVault{deps: d}, f, nil
	case viaProcess:
		return &perdureInProcess{deps: d}, f, nil
	}
	return &perdureEngine{deps: d}, f, nil
}

// perdureVersion names the commit that is measured.
func perdureVersion() string {
	output, err := exec.Command("git", "describe", "--always", "--tags", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(output))
}

func (e *perdureEngine) open(ctx context.Context, dir string) error {
	config := perdure.Config{
		Data:   filepath.Join(dir, "perdure"),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if e.deps.evict {
		config.MaxIdleInstances = 1
	}
	app := perdure.New(config)
	app.Add(
		perdureGreet.Impl(func(_ context.Context, text string) (string, error) { return greet(text), nil }),
		perdureWorkflows[sequence].Impl(perdureSequence),
		perdureWorkflows[parallel].Impl(perdureParallel),
		perdureWorkflows[approval].Impl(e.approval),
	)
	switch e.deps.workload {
	case queued:
		app.Add(perdure.OnQueue(perdureQueue, e.message, perdure.Policy{Concurrency: e.deps.inflight}))
	case streamed:
		app.Add(perdure.OnStreamBatch(perdureStream, e.batch, perdure.BatchSize(1000)))
	}
	if err := app.Start(ctx); err != nil {
		return err
	}
	e.app, e.client = app, app.Durable()
	return nil
}

func perdureSequence(ctx *durable.Context, in input) (result string, err error) {
	for range in.Activities {
		if in.Inline {
			result, err = durable.Step(ctx, "greet", func(context.Context) (string, error) { return greet(in.Text), nil })
		} else {
			result, err = perdureGreet.Call(ctx, in.Text)
		}
		if err != nil {
			return "", err
		}
	}
	return result, nil
}

func perdureParallel(ctx *durable.Context, in input) (string, error) {
	calls := make([]*durable.Task[string], in.Activities)
	for i := range calls {
		calls[i] = perdureGreet.Start(ctx, in.Text)
	}
	results, err := durable.All(ctx, calls...)
	return countGreetings(results, in.Text), err
}

func (e *perdureEngine) approval(ctx *durable.Context, _ input) (string, error) {
	e.deps.waiting(ctx.InstanceID())
	return perdureDecision.Wait(ctx)
}

func (e *perdureEngine) run(ctx context.Context, id string, k kind, in input) (string, error) {
	return perdureWorkflows[k].RunWith(ctx, e.client, in, durable.ID(id))
}

func (e *perdureEngine) start(ctx context.Context, id string, k kind, in input) error {
	_, err := perdureWorkflows[k].StartWith(ctx, e.client, in, durable.ID(id))
	return err
}

func (e *perdureEngine) raise(ctx context.Context, id, decision string) error {
	return perdureDecision.RaiseWith(ctx, e.client, id, decision)
}

func (e *perdureEngine) result(ctx context.Context, id string) (string, error) {
	return perdureWorkflows[approval].WaitWith(ctx, e.client, id)
}

func (e *perdureEngine) message(_ context.Context, in *perdureMessage) (*struct{}, error) {
	e.deps.handle(in.Text)
	return nil, nil
}

func (e *perdureEngine) batch(_ context.Context, in *perdureBatch) (*struct{}, error) {
	for _, text := range in.Texts {
		e.deps.handle(text)
	}
	return nil, nil
}

func (e *perdureEngine) send(ctx context.Context, message string) error {
	return e.app.Unit(ctx, func(ctx context.Context) error {
		if e.deps.workload == queued {
			return perdureQueue.Send(ctx, message)
		}
		return perdureStream.Append(ctx, message)
	})
}

// drained waits until the app is at rest: every message is handled, and that is committed.
func (e *perdureEngine) drained(ctx context.Context, _ int) error { return e.app.Settle(ctx) }

func (e *perdureEngine) server() int { return 0 }

func (e *perdureEngine) close() error {
	if e.app == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return e.app.Stop(ctx)
}
