package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perdure/perdure/identity"
	"github.com/perdure/perdure/internal/failpoint"
)

// patience is how long the program may take to start, to stop or to answer.
const patience = time.Minute

// build builds the program under test, and once more with the race detector if race.
func build(ctx context.Context, folder string, race bool) (binaries []string, err error) {
	for _, flags := range [][]string{nil, {"-race"}} {
		if flags != nil && !race {
			break
		}
		binary := filepath.Join(folder, "fileapprover"+strings.Join(flags, ""))
		args := append([]string{"build", "-buildvcs=false", "-tags", "failpoint", "-o", binary}, flags...)
		cmd := exec.CommandContext(ctx, "go", append(args, "github.com/perdure/perdure/examples/fileapprover")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
		binaries = append(binaries, binary)
	}
	return binaries, nil
}

// server is a running program under test.
type server struct {
	url     string // once it is ready
	data    string
	process *exec.Cmd
	started time.Time
	exited  chan struct{} // closed when it is dead
	output  *output
}

// launch starts the program; it is not ready yet.
func launch(binary, listen, data string, k kill, r round) (*server, error) {
	s := &server{data: data, exited: make(chan struct{}), output: &output{}, started: time.Now()}
	s.process = exec.Command(binary)
	s.process.Env = append(os.Environ(), "PERDURE_LISTEN="+listen, "PERDURE_DATA="+data, "FILEAPPROVER_DEMO=1",
		"FILEAPPROVER_WAIT="+r.wait.String(), fmt.Sprintf("FILEAPPROVER_IDLE=%d", r.idle))
	if k.when == atPoint {
		s.process.Env = append(s.process.Env, failpoint.Env+"="+k.String())
	}
	s.process.Stdout, s.process.Stderr = s.output, s.output
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.process.Wait() // what it says is in ProcessState
		close(s.exited)
	}()
	return s, nil
}

// accounts are the accounts of demo mode, by role.
func (s *server) accounts() (map[string]identity.DemoAccount, error) {
	data, err := os.ReadFile(filepath.Join(s.data, identity.DemoFile))
	if err != nil {
		return nil, err
	}
	var all identity.DemoAccounts
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	byRole := map[string]identity.DemoAccount{}
	for _, a := range all.Users {
		for _, role := range a.Roles {
			byRole[role] = a
		}
	}
	return byRole, nil
}

// address is where the program says that it listens.
var address = regexp.MustCompile(`perdure is ready.* url=(http://\S+)`)

// freeAddress is an address that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return "localhost:" + port, errors.Join(err, l.Close())
}

// ready waits until the program answers. It reports false when it died before.
func (s *server) ready(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		if m := address.FindStringSubmatch(s.output.text()); m != nil {
			s.url = m[1]
			if s.healthy(ctx) {
				return true, nil
			}
		}
		select {
		case <-s.exited:
			return false, nil
		case <-ctx.Done():
			return false, fmt.Errorf("the program is not ready: %w", ctx.Err())
		case <-again.C:
		}
	}
}

func (s *server) healthy(ctx context.Context) bool {
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

func (s *server) dead() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// kill ends the program by SIGKILL, unless it is dead, and waits for that. An end of
// its own is an error.
func (s *server) kill() error {
	_ = s.process.Process.Kill() // it may be dead
	<-s.exited
	status, ok := s.process.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		return fmt.Errorf("the program ended by itself (%v):\n%s", s.process.ProcessState, s.output.tail())
	}
	return s.output.trouble()
}

// dump ends the program; if it lives, it writes what its goroutines do.
func (s *server) dump() {
	_ = s.process.Process.Signal(syscall.SIGQUIT) // it may be dead
	select {
	case <-s.exited:
	case <-time.After(10 * time.Second):
		_ = s.process.Process.Kill()
		<-s.exited
	}
}

// stop ends the program as Ctrl-C does.
func (s *server) stop() error {
	if err := s.process.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(patience):
		return errors.Join(errors.New("the program does not stop"), s.process.Process.Kill())
	}
	if !s.process.ProcessState.Success() {
		return fmt.Errorf("the program did not stop well (%v):\n%s", s.process.ProcessState, s.output.tail())
	}
	return s.output.trouble()
}

// output is what the program wrote.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// tail is the end of it.
func (o *output) tail() string {
	text := o.text()
	return text[max(0, len(text)-4<<10):]
}

// signs are texts in the log that mean that something went wrong, whatever the clients
// have seen.
var signs = []string{"DATA RACE", "panic", "dead letter", "stalled", "cannot go on", "level=ERROR", " ERROR "}

func (o *output) trouble() error {
	for line := range strings.Lines(o.text()) {
		for _, sign := range signs {
			if strings.Contains(line, sign) {
				return fmt.Errorf("the program wrote: %s", o.tail())
			}
		}
	}
	return nil
}
