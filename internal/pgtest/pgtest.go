// Package pgtest runs a private PostgreSQL cluster inside a test: in a folder of its own, reached by its
// administrator through a socket in that folder, and by nobody else until the test says who may come over the network.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience is how long the server may take to start, and to stop.
const patience = 30 * time.Second

// Cluster is a PostgreSQL server with its data.
type Cluster struct {
	// Folder is the data folder, which the server's user owns; files that the server reads can be put there.
	Folder string
	// Socket is the folder of the server's socket.
	Socket string
	// Port is that of the server, on the address 127.0.0.1 and in the name of the socket.
	Port int
	// User is the cluster's administrator: the operating system's user that runs the test, let in by peer.
	User string

	server *server
	log    *output
}

// Start starts a cluster that runs until the test ends. Without PostgreSQL the test is skipped; where CI or
// PERDURE_TEST_ALL is set it fails.
func Start(t testing.TB) *Cluster {
	t.Helper()
	bin, err := programs()
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv("PERDURE_TEST_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	c, err := start(bin, t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// programs returns the folder of PostgreSQL's programs, the newest one.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // where Debian has them
	if err != nil || len(found) == 0 {
		return "", errors.New("PostgreSQL is missing: apt-get install postgresql")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4]) // 0 for what is no number
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

func start(bin string, cleanup func(func())) (c *Cluster, err error) {
	as, err := serverUser()
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	// Not the test's own folder, which nobody else may enter, and whose name is too long for a socket.
	root, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	cleanup(func() { _ = os.RemoveAll(root) })
	if err := as.own(root); err != nil {
		return nil, err
	}
	c = &Cluster{Folder: filepath.Join(root, "data"), Socket: root, User: me.Username, log: &output{}}
	initdb := as.command(filepath.Join(bin, "initdb"), "--pgdata", c.Folder, "--username", c.User,
		"--auth-local", "peer", "--auth-host", "reject", "--encoding", "UTF8", "--no-locale", "--no-sync")
	initdb.Dir = root
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	for range 5 { // another process may take the port before the server has it
		if err = c.launch(bin, as); err == nil {
			cleanup(c.stop)
			return c, nil
		}
	}
	return nil, err
}

// launch starts the server and waits until it can be used.
func (c *Cluster) launch(bin string, as *account) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c.Port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	command := as.command(filepath.Join(bin, "postgres"), "-D", c.Folder, "-k", c.Socket, "-p", strconv.Itoa(c.Port),
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=60")
	command.Dir, command.Stdout, command.Stderr = c.Folder, c.log, c.log
	if c.server, err = launch(command); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.Admin("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.server.ended:
			return fmt.Errorf("the server ended: %w\n%s", c.server.err, c.log)
		case <-ctx.Done():
			c.stop()
			return fmt.Errorf("the server does not answer: %w\n%s", err, c.log)
		case <-retry.C:
		}
	}
}

// stop ends the server, with the sessions it has.
func (c *Cluster) stop() {
	_ = c.server.process.Signal(os.Interrupt) // it may have ended
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c.server.ended:
	case <-timer.C:
		_ = c.server.process.Kill()
		<-c.server.ended
	}
}

// server is a process that runs.
type server struct {
	process *os.Process
	ended   chan struct{}
	err     error // how it ended
}

// Admin is the connection string of the cluster's administrator, through the socket and without a password.
func (c *Cluster) Admin(database string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", c.Socket, c.Port, c.User, database)
}

// Exec runs statements in a database as the administrator.
func (c *Cluster) Exec(t testing.TB, database, sql string) {
	t.Helper()
	c.connected(t, database, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}

// Query returns the rows of a query in a database, as the administrator; each has one column, as text.
func (c *Cluster) Query(t testing.TB, database, sql string, args ...any) (texts []string) {
	t.Helper()
	c.connected(t, database, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, sql, args...)
		if err == nil {
			texts, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		return err
	})
	return texts
}

func (c *Cluster) connected(t testing.TB, database string, do func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.Admin(database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := do(ctx, conn); err != nil {
		t.Fatalf("%s: %v", database, err)
	}
}

// Log is what the server has written to its log.
func (c *Cluster) Log() string { return c.log.String() }

// output is a log that can be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
