// Package natstest runs a NATS server with JetStream inside a test. It keeps its streams
// in files and syncs each write, so that what it acknowledged survives it.
package natstest

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// readyTime bounds how long a server may take to start.
const readyTime = 20 * time.Second

// Options are the server's configuration.
type Options = server.Options

// Server is a NATS server that can be killed and started again on what it has stored. It
// keeps its port.
type Server struct {
	t      testing.TB
	opts   server.Options
	server *server.Server
}

// Start starts a server that runs until the test ends. Change, unless nil, changes its
// configuration.
func Start(t testing.TB, change func(*Options)) *Server {
	t.Helper()
	s := &Server{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
	}}
	if change != nil {
		change(&s.opts)
	}
	s.Resume()
	t.Cleanup(s.Kill)
	return s
}

// Change changes the configuration for the next Resume.
func (s *Server) Change(change func(*Options)) { change(&s.opts) }

// Resume starts the server after Kill.
func (s *Server) Resume() {
	s.t.Helper()
	opts := s.opts
	var err error
	if s.server, err = server.NewServer(&opts); err != nil {
		s.t.Fatalf("natstest: %v", err)
	}
	go s.server.Start()
	if !s.server.ReadyForConnections(readyTime) {
		s.t.Fatal("natstest: the server does not start")
	}
	_, port, err := net.SplitHostPort(s.server.Addr().String())
	if err != nil {
		s.t.Fatalf("natstest: %v", err)
	}
	if s.opts.Port, err = strconv.Atoi(port); err != nil {
		s.t.Fatalf("natstest: %v", err)
	}
}

// Kill ends the server: connections break, and what it has stored stays.
func (s *Server) Kill() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// Host returns the host and port of the server.
func (s *Server) Host() string {
	return net.JoinHostPort(s.opts.Host, strconv.Itoa(s.opts.Port))
}

// Connect returns a JetStream client of another program.
func (s *Server) Connect(options ...nats.Option) jetstream.JetStream {
	s.t.Helper()
	conn, err := nats.Connect("nats://"+s.Host(), options...)
	if err != nil {
		s.t.Fatalf("natstest: %v", err)
	}
	s.t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		s.t.Fatalf("natstest: %v", err)
	}
	return js
}

// Messages returns how many messages a stream holds; none if it does not exist.
func (s *Server) Messages(ctx context.Context, js jetstream.JetStream, stream string) uint64 {
	s.t.Helper()
	found, err := js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0
	}
	if err != nil {
		s.t.Fatalf("natstest: %v", err)
	}
	return found.CachedInfo().State.Msgs
}
