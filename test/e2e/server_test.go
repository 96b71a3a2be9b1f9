// Package e2e_test drives the real file approver, built and started as a user
// would, through its page in a real browser.
package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// patience is how long the binary may take to start or to stop.
const patience = 30 * time.Second

// server is the file approver in a process of its own.
type server struct {
	url string

	t       testing.TB
	listen  string
	data    string
	process *exec.Cmd
	exited  chan error
	output  *bytes.Buffer
}

// binary is the file approver, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("no end-to-end tests in a short run")
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "perdure-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	binary = filepath.Join(folder, "fileapprover")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./examples/fileapprover")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// start starts a file approver on a free port with an empty data folder and
// waits until it is ready. It is stopped at the end of the test.
func start(t testing.TB) *server {
	t.Helper()
	listen, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{url: "http://" + listen, t: t, listen: listen, data: filepath.Join(t.TempDir(), "data"), output: new(bytes.Buffer)}
	t.Cleanup(func() {
		if s.process != nil {
			s.stop()
		}
		if t.Failed() {
			t.Logf("the server wrote:\n%s", s.output)
		}
	})
	s.restart()
	return s
}

// freePort asks the system for a port and gives it back: nothing holds it until
// the server listens, but ports are not given out twice in a short time.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port), nil
}

// restart starts the server, which is not running, on its data.
func (s *server) restart() {
	s.t.Helper()
	s.process = exec.Command(binary)
	s.process.Env = append(os.Environ(), "PERDURE_LISTEN="+s.listen, "PERDURE_DATA="+s.data, "FILEAPPROVER_DEMO=1")
	s.process.Stdout, s.process.Stderr = s.output, s.output
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func(process *exec.Cmd) { exited <- process.Wait() }(s.process)
	s.exited = exited
	s.waitReady()
}

func (s *server) waitReady() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !s.ready(ctx) {
		select {
		case err := <-s.exited:
			s.process = nil
			s.t.Fatalf("the server ended before it was ready: %v", err)
		case <-ctx.Done():
			s.t.Fatalf("the server is not ready after %v", patience)
		case <-again.C:
		}
	}
}

func (s *server) ready(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/healthz", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// kill ends the server at once, as a crash does.
func (s *server) kill() {
	s.t.Helper()
	s.end(syscall.SIGKILL)
}

// stop asks the server to end, as Ctrl-C does, and requires that it ends well.
func (s *server) stop() {
	s.t.Helper()
	if err := s.end(syscall.SIGINT); err != nil {
		s.t.Errorf("the server did not end well: %v", err)
	}
}

var errNotEnding = errors.New("it does not end")

func (s *server) end(signal syscall.Signal) error {
	s.t.Helper()
	process := s.process
	s.process = nil
	if err := process.Process.Signal(signal); err != nil {
		return err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case err := <-s.exited:
		return err
	case <-late.C:
		if err := process.Process.Kill(); err != nil {
			return errors.Join(errNotEnding, err)
		}
		<-s.exited
		return errNotEnding
	}
}
