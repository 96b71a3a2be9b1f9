package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/activity"
	temporalclient "go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"
	temporalworker "go.temporal.io/sdk/worker"
	temporalworkflow "go.temporal.io/sdk/workflow"
)

const temporalQueue = "bench"

// temporalEngine is Temporal: its development server on SQLite, and a worker in this process with default options.
type temporalEngine struct {
	deps    deps
	program string
	process *process
	client  temporalclient.Client
	worker  temporalworker.Worker
}

func newTemporal(d deps) (engine, facts, error) {
	program, err := findProgram("temporalserver", "temporalserver")
	if err != nil {
		return nil, facts{}, err
	}
	output, err := exec.Command(program, "-version").Output()
	if err != nil {
		return nil, facts{}, fmt.Errorf("ask Temporal's server for its version: %w", err)
	}
	return &temporalEngine{deps: d, program: program}, facts{
		version:    "dev server " + strings.TrimSpace(string(output)) + ", sdk " + moduleVersion("go.temporal.io/sdk"),
		store:      "server: sqlite (modernc)",
		durability: "WAL, synchronous=FULL",
	}, nil
}

func (e *temporalEngine) open(ctx context.Context, dir string) error {
	ports, err := savedPorts(dir, 1)
	if err != nil {
		return err
	}
	command := exec.Command(e.program, "-port", strconv.Itoa(ports[0]), "-db", filepath.Join(dir, "temporal.sqlite"))
	command.Dir = dir
	if e.process, err = startProcess(dir, command); err != nil {
		return err
	}
	logger := temporallog.NewStructuredLogger(slog.New(
		slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	err = e.process.awaitReady(ctx, func(ctx context.Context) (err error) {
		e.client, err = temporalclient.DialContext(ctx, temporalclient.Options{
			HostPort: fmt.Sprintf("127.0.0.1:%d", ports[0]), Logger: logger,
		})
		return err
	})
	if err != nil {
		return err
	}
	e.worker = temporalworker.New(e.client, temporalQueue, temporalworker.Options{})
	e.worker.RegisterActivityWithOptions(temporalGreet, activity.RegisterOptions{Name: "greet"})
	for k, function := range map[kind]any{
		sequence: temporalSequence, parallel: temporalParallel, approval: e.approval,
	} {
		e.worker.RegisterWorkflowWithOptions(function, temporalworkflow.RegisterOptions{Name: string(k)})
	}
	return e.worker.Start()
}

func temporalGreet(_ context.Context, text string) (string, error) { return greet(text), nil }

func withTemporalActivities(ctx temporalworkflow.Context) temporalworkflow.Context {
	return temporalworkflow.WithActivityOptions(ctx, temporalworkflow.ActivityOptions{StartToCloseTimeout: time.Minute})
}

func temporalSequence(ctx temporalworkflow.Context, in input) (result string, err error) {
	ctx = withTemporalActivities(ctx)
	for range in.Activities {
		if err = temporalworkflow.ExecuteActivity(ctx, "greet", in.Text).Get(ctx, &result); err != nil {
			return "", err
		}
	}
	return result, nil
}

func temporalParallel(ctx temporalworkflow.Context, in input) (string, error) {
	ctx = withTemporalActivities(ctx)
	calls := make([]temporalworkflow.Future, in.Activities)
	for i := range calls {
		calls[i] = temporalworkflow.ExecuteActivity(ctx, "greet", in.Text)
	}
	results := make([]string, in.Activities)
	for i := range calls {
		if err := calls[i].Get(ctx, &results[i]); err != nil {
			return "", err
		}
	}
	return countGreetings(results, in.Text), nil
}

func (e *temporalEngine) approval(ctx temporalworkflow.Context, _ input) (decision string, err error) {
	e.deps.waiting(temporalworkflow.GetInfo(ctx).WorkflowExecution.ID)
	temporalworkflow.GetSignalChannel(ctx, decisionEvent).Receive(ctx, &decision)
	return decision, nil
}

func (e *temporalEngine) run(ctx context.Context, id string, k kind, in input) (result string, err error) {
	running, err := e.begin(ctx, id, k, in)
	if err != nil {
		return "", err
	}
	err = running.Get(ctx, &result)
	return result, err
}

func (e *temporalEngine) begin(ctx context.Context, id string, k kind, in input) (temporalclient.WorkflowRun, error) {
	return e.client.ExecuteWorkflow(ctx, temporalclient.StartWorkflowOptions{ID: id, TaskQueue: temporalQueue}, string(k), in)
}

func (e *temporalEngine) start(ctx context.Context, id string, k kind, in input) error {
	_, err := e.begin(ctx, id, k, in)
	return err
}

func (e *temporalEngine) raise(ctx context.Context, id, decision string) error {
	return e.client.SignalWorkflow(ctx, id, "", decisionEvent, decision)
}

func (e *temporalEngine) result(ctx context.Context, id string) (result string, err error) {
	err = e.client.GetWorkflow(ctx, id, "").Get(ctx, &result)
	return result, err
}

func (e *temporalEngine) server() int { return e.process.pid() }

func (e *temporalEngine) close() error {
	if e.worker != nil {
		e.worker.Stop()
	}
	if e.client != nil {
		e.client.Close()
	}
	return e.process.stop(syscall.SIGTERM)
}
