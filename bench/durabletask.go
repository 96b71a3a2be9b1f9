package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/microsoft/durabletask-go/api"
	"github.com/microsoft/durabletask-go/backend"
	durablepostgres "github.com/microsoft/durabletask-go/backend/postgres"
	durablesqlite "github.com/microsoft/durabletask-go/backend/sqlite"
	durabletask "github.com/microsoft/durabletask-go/task"
)

// durableTaskParallelism is how many work items of each sort it may run at once; its own default is one.
const durableTaskParallelism = 100

// durableTaskConnections is the size of its PostgreSQL pool; its own default is one.
const durableTaskConnections = 20

// durableTaskEngine is Microsoft's Durable Task framework for Go.
type durableTaskEngine struct {
	deps    deps
	client  backend.TaskHubClient
	worker  backend.TaskHubWorker
	cluster *postgres
}

func newDurableTask(d deps) (engine, facts, error) {
	f := facts{
		version: moduleVersion("github.com/microsoft/durabletask-go"),
		store:   sqliteStore(), durability: "WAL, synchronous=FULL",
	}
	if d.store == "postgres" {
		version, err := postgresVersion()
		if err != nil {
			return nil, f, err
		}
		f.store, f.durability = "postgres "+version, "fsync=on, synchronous_commit=on"
	}
	return &durableTaskEngine{deps: d}, f, nil
}

func (e *durableTaskEngine) open(ctx context.Context, dir string) error {
	registry := durabletask.NewTaskRegistry()
	err := errors.Join(
		registry.AddActivityN("greet", durableTaskGreet),
		registry.AddOrchestratorN(string(sequence), durableTaskSequence),
		registry.AddOrchestratorN(string(parallel), durableTaskParallel),
		registry.AddOrchestratorN(string(approval), e.approval),
	)
	if err != nil {
		return err
	}
	logger := errorLogger{log.New(os.Stderr, "durabletask: ", 0)}
	store, err := e.openStore(ctx, dir, logger)
	if err != nil {
		return err
	}
	executor := durabletask.NewTaskExecutor(registry)
	e.worker = backend.NewTaskHubWorker(store,
		backend.NewOrchestrationWorker(store, executor, logger, backend.WithMaxParallelism(durableTaskParallelism)),
		backend.NewActivityTaskWorker(store, executor, logger, backend.WithMaxParallelism(durableTaskParallelism)),
		logger)
	e.client = backend.NewTaskHubClient(store)
	return e.worker.Start(context.Background())
}

func (e *durableTaskEngine) openStore(ctx context.Context, dir string, logger backend.Logger) (backend.Backend, error) {
	if e.deps.store == "postgres" {
		var err error
		if e.cluster, err = startPostgres(ctx, dir); err != nil {
			return nil, err
		}
		options := durablepostgres.NewPostgresOptions("localhost", 5432, "postgres", e.cluster.user, "")
		if options.PgOptions, err = pgxpool.ParseConfig(e.cluster.url()); err != nil {
			return nil, err
		}
		options.PgOptions.MaxConns = durableTaskConnections
		return durablepostgres.NewPostgresBackend(options, logger), nil
	}
	file := "file:" + filepath.Join(dir, "durabletask.sqlite") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	return durablesqlite.NewSqliteBackend(durablesqlite.NewSqliteOptions(file), logger), nil
}

func durableTaskGreet(ctx durabletask.ActivityContext) (any, error) {
	var text string
	if err := ctx.GetInput(&text); err != nil {
		return nil, err
	}
	return greet(text), nil
}

func durableTaskSequence(ctx *durabletask.OrchestrationContext) (any, error) {
	var in input
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	var result string
	for range in.Activities {
		if err := ctx.CallActivity("greet", durabletask.WithActivityInput(in.Text)).Await(&result); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func durableTaskParallel(ctx *durabletask.OrchestrationContext) (any, error) {
	var in input
	if err := ctx.GetInput(&in); err != nil {
		return nil, err
	}
	calls := make([]durabletask.Task, in.Activities)
	for i := range calls {
		calls[i] = ctx.CallActivity("greet", durabletask.WithActivityInput(in.Text))
	}
	results := make([]string, in.Activities)
	for i := range calls {
		if err := calls[i].Await(&results[i]); err != nil {
			return nil, err
		}
	}
	return countGreetings(results, in.Text), nil
}

func (e *durableTaskEngine) approval(ctx *durabletask.OrchestrationContext) (any, error) {
	e.deps.waiting(string(ctx.ID))
	var decision string
	err := ctx.WaitForSingleEvent(decisionEvent, decisionTimeout).Await(&decision)
	return decision, err
}

func (e *durableTaskEngine) run(ctx context.Context, id string, k kind, in input) (string, error) {
	if err := e.start(ctx, id, k, in); err != nil {
		return "", err
	}
	return e.result(ctx, id)
}

func (e *durableTaskEngine) start(ctx context.Context, id string, k kind, in input) error {
	_, err := e.client.ScheduleNewOrchestration(ctx, string(k), api.WithInstanceID(api.InstanceID(id)), api.WithInput(in))
	return err
}

func (e *durableTaskEngine) raise(ctx context.Context, id, decision string) error {
	return e.client.RaiseEvent(ctx, api.InstanceID(id), decisionEvent, api.WithEventPayload(decision))
}

func (e *durableTaskEngine) result(ctx context.Context, id string) (string, error) {
	metadata, err := e.client.WaitForOrchestrationCompletion(ctx, api.InstanceID(id))
	if err != nil {
		return "", err
	}
	if metadata.FailureDetails != nil {
		return "", fmt.Errorf("the orchestration failed: %s", metadata.FailureDetails.GetErrorMessage())
	}
	var result string
	err = json.Unmarshal([]byte(metadata.SerializedOutput), &result)
	return result, err
}

func (e *durableTaskEngine) server() int {
	if e.cluster == nil {
		return 0
	}
	return e.cluster.pid()
}

func (e *durableTaskEngine) close() error {
	var err error
	if e.worker != nil {
		err = e.worker.Shutdown(context.Background())
	}
	return errors.Join(err, e.cluster.close())
}

// errorLogger passes on errors only; at one line per work item the framework's other messages would be measured too.
type errorLogger struct{ *log.Logger }

func (errorLogger) Debug(...any)                     {}
func (errorLogger) Debugf(string, ...any)            {}
func (errorLogger) Info(...any)                      {}
func (errorLogger) Infof(string, ...any)             {}
func (errorLogger) Warn(...any)                      {}
func (errorLogger) Warnf(string, ...any)             {}
func (l errorLogger) Error(v ...any)                 { l.Println(v...) }
func (l errorLogger) Errorf(format string, v ...any) { l.Printf(format, v...) }
