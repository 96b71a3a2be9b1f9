package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "modernc.org/sqlite"
)

// dbosEngine is DBOS Transact: a workflow is a goroutine, a step runs inline and its result is stored.
type dbosEngine struct {
	deps    deps
	context dbos.DBOSContext
	sqlite  *sql.DB
	cluster *postgres
	handles sync.Map // workflow id → dbos.WorkflowHandle[string]
}

func newDBOS(d deps) (engine, facts, error) {
	f := facts{
		version: moduleVersion("github.com/dbos-inc/dbos-transact-golang"),
		store:   sqliteStore(), durability: "WAL, synchronous=FULL",
	}
	if d.store == "postgres" {
		version, err := postgresVersion()
		if err != nil {
			return nil, f, err
		}
		f.store, f.durability = "postgres "+version, "fsync=on, synchronous_commit=on"
	}
	return &dbosEngine{deps: d}, f, nil
}

func (e *dbosEngine) open(ctx context.Context, dir string) error {
	// It logs an error when it is closed while it polls its queues, which is no error here.
	config := dbos.Config{AppName: "bench", ApplicationVersion: "1", Logger: slog.New(slog.DiscardHandler)}
	var err error
	if e.deps.store == "postgres" {
		if e.cluster, err = startPostgres(ctx, dir); err != nil {
			return err
		}
		config.DatabaseURL = e.cluster.url()
	} else {
		// DBOS's own handle uses synchronous=NORMAL, which does not sync each commit. All else is as DBOS sets it.
		e.sqlite, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "dbos.sqlite")+
			"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=foreign_keys(ON)"+
			"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		if err != nil {
			return err
		}
		e.sqlite.SetMaxOpenConns(8)
		e.sqlite.SetMaxIdleConns(4)
		config.SqliteSystemDB = e.sqlite
	}
	if e.context, err = dbos.NewDBOSContext(context.Background(), config); err != nil {
		return err
	}
	dbos.RegisterWorkflow(e.context, dbosSequence, dbos.WithWorkflowName(string(sequence)))
	dbos.RegisterWorkflow(e.context, dbosParallel, dbos.WithWorkflowName(string(parallel)))
	dbos.RegisterWorkflow(e.context, e.approval, dbos.WithWorkflowName(string(approval)))
	return dbos.Launch(e.context)
}

func dbosStep(ctx dbos.DBOSContext, text string) (string, error) {
	return dbos.RunAsStep(ctx, func(context.Context) (string, error) { return greet(text), nil }, dbos.WithStepName("greet"))
}

func dbosSequence(ctx dbos.DBOSContext, in input) (result string, err error) {
	for range in.Activities {
		if result, err = dbosStep(ctx, in.Text); err != nil {
			return "", err
		}
	}
	return result, nil
}

func dbosParallel(ctx dbos.DBOSContext, in input) (string, error) {
	outcomes := make([]chan dbos.StepOutcome[string], in.Activities)
	for i := range outcomes {
		var err error
		outcomes[i], err = dbos.Go(ctx, func(context.Context) (string, error) { return greet(in.Text), nil },
			dbos.WithStepName("greet"))
		if err != nil {
			return "", err
		}
	}
	results := make([]string, in.Activities)
	for i := range outcomes {
		outcome := <-outcomes[i]
		if outcome.Err != nil {
			return "", outcome.Err
		}
		results[i] = outcome.Result
	}
	return countGreetings(results, in.Text), nil
}

func (e *dbosEngine) approval(ctx dbos.DBOSContext, _ input) (string, error) {
	id, err := dbos.GetWorkflowID(ctx)
	if err != nil {
		return "", err
	}
	e.deps.waiting(id)
	return dbos.Recv[string](ctx, decisionEvent, decisionTimeout)
}

func (e *dbosEngine) begin(id string, k kind, in input) (dbos.WorkflowHandle[string], error) {
	workflows := map[kind]dbos.Workflow[input, string]{
		sequence: dbosSequence, parallel: dbosParallel, approval: e.approval,
	}
	return dbos.RunWorkflow(e.context, workflows[k], in, dbos.WithWorkflowID(id))
}

func (e *dbosEngine) run(ctx context.Context, id string, k kind, in input) (string, error) {
	handle, err := e.begin(id, k, in)
	if err != nil {
		return "", err
	}
	return dbosResult(ctx, handle)
}

// dbosResult waits for a result until ctx ends, of which DBOS takes only the deadline.
func dbosResult(ctx context.Context, handle dbos.WorkflowHandle[string]) (string, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return handle.GetResult()
	}
	return handle.GetResult(dbos.WithHandleTimeout(time.Until(deadline)))
}

func (e *dbosEngine) start(_ context.Context, id string, k kind, in input) error {
	handle, err := e.begin(id, k, in)
	if err != nil {
		return err
	}
	e.handles.Store(id, handle)
	return nil
}

func (e *dbosEngine) raise(_ context.Context, id, decision string) error {
	return dbos.Send(e.context, id, decision, decisionEvent)
}

func (e *dbosEngine) result(ctx context.Context, id string) (string, error) {
	var handle dbos.WorkflowHandle[string]
	if started, ok := e.handles.LoadAndDelete(id); ok {
		handle = started.(dbos.WorkflowHandle[string])
	} else {
		retrieved, err := dbos.RetrieveWorkflow[string](e.context, id)
		if err != nil {
			return "", fmt.Errorf("find the workflow: %w", err)
		}
		handle = retrieved
	}
	return dbosResult(ctx, handle)
}

func (e *dbosEngine) server() int {
	if e.cluster == nil {
		return 0
	}
	return e.cluster.pid()
}

func (e *dbosEngine) close() error {
	if e.context != nil {
		dbos.Shutdown(e.context, time.Second)
	}
	var err error
	if e.sqlite != nil {
		err = e.sqlite.Close()
	}
	return errors.Join(err, e.cluster.close())
}
