package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cschleiden/go-workflows/backend"
	"github.com/cschleiden/go-workflows/backend/sqlite"
	"github.com/cschleiden/go-workflows/client"
	"github.com/cschleiden/go-workflows/diag"
	"github.com/cschleiden/go-workflows/registry"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
)

// goWorkflowsEngine is go-workflows with its default worker options.
type goWorkflowsEngine struct {
	deps      deps
	backend   goWorkflowsBackend
	client    *client.Client
	worker    *worker.Worker
	stop      context.CancelFunc
	instances sync.Map // workflow id → *workflow.Instance
}

// goWorkflowsBackend is what its SQLite backend offers: the store, and the list of instances of its diagnosis page.
type goWorkflowsBackend interface {
	backend.Backend
	diag.Backend
}

func newGoWorkflows(d deps) (engine, facts, error) {
	return &goWorkflowsEngine{deps: d}, facts{
		version:    moduleVersion("github.com/cschleiden/go-workflows"),
		store:      sqliteStore(),
		durability: "WAL, synchronous=FULL",
	}, nil
}

func (e *goWorkflowsEngine) open(_ context.Context, dir string) error {
	// The backend appends its own parameters to the path, which its driver does not know; the pragmas that it means to
	// set go before them. The last parameter takes up the question mark that it adds.
	file := filepath.Join(dir, "goworkflows.sqlite") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&ignored="
	e.backend = sqlite.NewSqliteBackend(file, sqlite.WithBackendOptions(
		backend.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))))
	e.client = client.New(e.backend)
	e.worker = worker.New(e.backend, &worker.DefaultOptions)
	for _, register := range []func() error{
		func() error { return e.worker.RegisterActivity(goWorkflowsGreet) },
		func() error {
			return e.worker.RegisterWorkflow(goWorkflowsSequence, registry.WithName(string(sequence)))
		},
		func() error {
			return e.worker.RegisterWorkflow(goWorkflowsParallel, registry.WithName(string(parallel)))
		},
		func() error { return e.worker.RegisterWorkflow(e.approval, registry.WithName(string(approval))) },
	} {
		if err := register(); err != nil {
			return err
		}
	}
	var ctx context.Context
	ctx, e.stop = context.WithCancel(context.Background())
	return e.worker.Start(ctx)
}

func goWorkflowsGreet(_ context.Context, text string) (string, error) { return greet(text), nil }

func goWorkflowsSequence(ctx workflow.Context, in input) (result string, err error) {
	for range in.Activities {
		result, err = workflow.ExecuteActivity[string](ctx, workflow.DefaultActivityOptions, goWorkflowsGreet, in.Text).Get(ctx)
		if err != nil {
			return "", err
		}
	}
	return result, nil
}

func goWorkflowsParallel(ctx workflow.Context, in input) (string, error) {
	calls := make([]workflow.Future[string], in.Activities)
	for i := range calls {
		calls[i] = workflow.ExecuteActivity[string](ctx, workflow.DefaultActivityOptions, goWorkflowsGreet, in.Text)
	}
	results := make([]string, in.Activities)
	for i := range calls {
		var err error
		if results[i], err = calls[i].Get(ctx); err != nil {
			return "", err
		}
	}
	return countGreetings(results, in.Text), nil
}

func (e *goWorkflowsEngine) approval(ctx workflow.Context, _ input) (string, error) {
	e.deps.waiting(workflow.WorkflowInstance(ctx).InstanceID)
	decision, _ := workflow.NewSignalChannel[string](ctx, decisionEvent).Receive(ctx)
	return decision, nil
}

func (e *goWorkflowsEngine) run(ctx context.Context, id string, k kind, in input) (string, error) {
	if err := e.start(ctx, id, k, in); err != nil {
		return "", err
	}
	return e.result(ctx, id)
}

func (e *goWorkflowsEngine) start(ctx context.Context, id string, k kind, in input) error {
	instance, err := e.client.CreateWorkflowInstance(ctx, client.WorkflowInstanceOptions{InstanceID: id}, string(k), in)
	if err != nil {
		return err
	}
	e.instances.Store(id, instance)
	return nil
}

func (e *goWorkflowsEngine) raise(ctx context.Context, id, decision string) error {
	return e.client.SignalWorkflow(ctx, id, decisionEvent, decision)
}

func (e *goWorkflowsEngine) result(ctx context.Context, id string) (string, error) {
	instance, err := e.instance(ctx, id)
	if err != nil {
		return "", err
	}
	deadline, _ := ctx.Deadline()
	return client.GetWorkflowResult[string](ctx, e.client, instance, time.Until(deadline))
}

// instance finds the instance of a workflow, whose execution id only its start and the store know.
func (e *goWorkflowsEngine) instance(ctx context.Context, id string) (*workflow.Instance, error) {
	if started, ok := e.instances.LoadAndDelete(id); ok {
		return started.(*workflow.Instance), nil
	}
	const page = 1000
	for afterID, afterExecution := "", ""; ; {
		found, err := e.backend.GetWorkflowInstances(ctx, afterID, afterExecution, page)
		if err != nil {
			return nil, err
		}
		for _, ref := range found {
			if ref.Instance.InstanceID == id {
				return ref.Instance, nil
			}
		}
		if len(found) < page {
			return nil, fmt.Errorf("there is no workflow %s", id)
		}
		last := found[len(found)-1].Instance
		afterID, afterExecution = last.InstanceID, last.ExecutionID
	}
}

func (e *goWorkflowsEngine) server() int { return 0 }

func (e *goWorkflowsEngine) close() error {
	if e.stop == nil {
		return nil
	}
	e.stop()
	if err := e.worker.WaitForCompletion(); err != nil {
		return err
	}
	return e.backend.Close()
}
