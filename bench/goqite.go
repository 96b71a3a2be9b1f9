package main

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"maragu.dev/goqite"
	_ "modernc.org/sqlite"
)

// goqiteEngine is goqite: a queue in a table of SQLite, asked by workers.
type goqiteEngine struct {
	deps    deps
	db      *sql.DB
	queue   *goqite.Queue
	deleted atomic.Int64
	stop    context.CancelFunc
	workers sync.WaitGroup
	mu      sync.Mutex
	failed  error
}

const (
	// goqiteWorkers ask for messages; SQLite writes one at a time, so that more do not help.
	goqiteWorkers = 4
	// goqiteInterval is how often a worker asks when there was nothing; goqite's own runner waits 100 ms.
	goqiteInterval = time.Millisecond
	// goqiteTimeout is longer than a message takes; by default it would be given out again after 5 s.
	goqiteTimeout = time.Minute
)

// goqiteSchema is the table as goqite's documentation makes it.
const goqiteSchema = `
create table goqite (
  id text primary key default ('m_' || lower(hex(randomblob(16)))),
  created text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')),
  updated text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')),
  queue text not null,
  body blob not null,
  timeout text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')),
  received integer not null default 0,
  priority integer not null default 0
) strict;
create trigger goqite_updated_timestamp after update on goqite begin
  update goqite set updated = strftime('%Y-%m-%dT%H:%M:%fZ') where id = old.id;
end;
create index goqite_queue_priority_created_idx on goqite (queue, priority desc, created);`

func newGoqite(d deps) (engine, facts, error) {
	return &goqiteEngine{deps: d}, facts{
		version: moduleVersion("maragu.dev/goqite"), store: sqliteStore(), durability: "WAL, synchronous=FULL",
	}, nil
}

func (e *goqiteEngine) open(ctx context.Context, dir string) (err error) {
	e.db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "goqite.sqlite")+
		"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	e.db.SetMaxOpenConns(1)
	e.db.SetMaxIdleConns(1)
	if _, err := e.db.ExecContext(ctx, goqiteSchema); err != nil {
		return err
	}
	e.queue = goqite.New(goqite.NewOpts{DB: e.db, Name: "bench", Timeout: goqiteTimeout})
	ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	for range goqiteWorkers {
		e.workers.Go(func() {
			if err := e.work(ctx); err != nil && ctx.Err() == nil {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.failed = errors.Join(e.failed, err)
			}
		})
	}
	return nil
}

func (e *goqiteEngine) work(ctx context.Context) error {
	for {
		message, err := e.queue.ReceiveAndWait(ctx, goqiteInterval)
		if err != nil {
			return err
		}
		e.deps.handle(string(message.Body))
		if err := e.queue.Delete(ctx, message.ID); err != nil {
			return err
		}
		e.deleted.Add(1)
	}
}

func (e *goqiteEngine) send(ctx context.Context, message string) error {
	return e.queue.Send(ctx, goqite.Message{Body: []byte(message)})
}

func (e *goqiteEngine) drained(ctx context.Context, n int) error {
	return poll(ctx, func() (bool, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.deleted.Load() >= int64(n), e.failed
	})
}

func (e *goqiteEngine) server() int { return 0 }

func (e *goqiteEngine) close() error {
	if e.stop != nil {
		e.stop()
		e.workers.Wait()
	}
	if e.db == nil {
		return nil
	}
	return e.db.Close()
}
