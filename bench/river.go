package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverEngine is River: jobs in PostgreSQL.
type riverEngine struct {
	deps      deps
	cluster   *postgres
	pool      *pgxpool.Pool
	client    *river.Client[pgx.Tx]
	completed atomic.Int64
	cancel    func()
}

func newRiver(d deps) (engine, facts, error) {
	version, err := postgresVersion()
	return &riverEngine{deps: d}, facts{
		version: moduleVersion("github.com/riverqueue/river"), store: "postgres " + version,
		durability: "fsync=on, synchronous_commit=on",
	}, err
}

// riverCooldown is the least time between two fetches. By default it is 100 ms, which allows 100 workers no more than
// 1,000 jobs a second.
const riverCooldown = time.Millisecond

// riverJob carries a message.
type riverJob struct {
	Message string `json:"message"`
}

// Kind implements river.JobArgs.
func (riverJob) Kind() string { return "message" }

func (e *riverEngine) open(ctx context.Context, dir string) (err error) {
	if e.cluster, err = startPostgres(ctx, dir); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(e.cluster.url())
	if err != nil {
		return err
	}
	config.MaxConns = int32(max(20, min(e.deps.inflight, 100)))
	if e.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	driver := riverpgxv5.New(e.pool)
	logger := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: logger})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[riverJob]) error {
		e.deps.handle(job.Args.Message)
		return nil
	}))
	e.client, err = river.NewClient(driver, &river.Config{
		Logger: logger, Workers: workers, FetchCooldown: riverCooldown,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}},
	})
	if err != nil {
		return err
	}
	events, cancel := e.client.SubscribeConfig(&river.SubscribeConfig{
		Kinds: []river.EventKind{river.EventKindJobCompleted}, ChanSize: 1 << 20,
	})
	e.cancel = cancel
	go func() {
		for range events {
			e.completed.Add(1)
		}
	}()
	return e.client.Start(context.WithoutCancel(ctx))
}

func (e *riverEngine) send(ctx context.Context, message string) error {
	_, err := e.client.Insert(ctx, riverJob{message}, nil)
	return err
}

// drained counts what River says it has completed: it says so after the database knows.
func (e *riverEngine) drained(ctx context.Context, n int) error {
	return poll(ctx, func() (bool, error) { return e.completed.Load() >= int64(n), nil })
}

func (e *riverEngine) server() int { return e.cluster.pid() }

func (e *riverEngine) close() error {
	var err error
	if e.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		err = e.client.StopAndCancel(ctx)
		e.cancel()
	}
	if e.pool != nil {
		e.pool.Close()
	}
	return errors.Join(err, e.cluster.close())
}
